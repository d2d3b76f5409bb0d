package agentserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/peer"

	"ingot.dev/ingot/agent/protocol"
)

func TestLimits(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimits(func() time.Time { return now })
	allowed := func(from string, tries int) (n int) {
		for range tries {
			if l.allow(from) == nil {
				n++
			}
		}
		return n
	}
	if n := allowed("a", 100); n != enrolPerSourceBurst {
		t.Errorf("one source got %d at once", n)
	}
	if n := allowed("b", 100); n != enrolPerSourceBurst {
		t.Errorf("another source got %d", n)
	}
	now = now.Add(time.Minute)
	if n := allowed("a", 100); n != enrolPerSourceBurst {
		t.Errorf("after a minute the first got %d", n)
	}
	now = now.Add(time.Hour)
	total := 0
	for i := range 10000 {
		total += allowed(fmt.Sprint(i), 1)
	}
	if total != enrolGlobalBurst || l.sources.Len() > maxSources {
		t.Errorf("10,000 sources got %d, %d are remembered", total, l.sources.Len())
	}
}

// TestAgentLimits: a wipe may tell its progress every second, one agent does not use up what another may ask, and reports of tasks leave room for the rest.
func TestAgentLimits(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimits(func() time.Time { return now })
	allowed := func(agent, method string, tries int) (n int) {
		for range tries {
			if l.allowAgent(agent, method) == nil {
				n++
			}
		}
		return n
	}
	if n := allowed("s1/dead", protocol.Agent_Watch_FullMethodName, 100); n != callsPerAgentBurst {
		t.Errorf("a flood of one agent: %d calls", n)
	}
	if n := allowed("s1/live", protocol.Agent_Watch_FullMethodName, 1); n != 1 {
		t.Error("the live agent of the same server is locked out")
	}
	if n := allowed("s1/live", protocol.Agent_ReportTask_FullMethodName, 100); n != tasksPerAgentBurst {
		t.Errorf("a flood of reports: %d", n)
	}
	if n := allowed("s1/live", protocol.Agent_ReportInventory_FullMethodName, 1); n != 1 {
		t.Error("reports of tasks left no room for an inventory")
	}
	for range 60 {
		now = now.Add(time.Second)
		if allowed("s1/live", protocol.Agent_ReportTask_FullMethodName, 1) != 1 {
			t.Fatal("one report each second is too many")
		}
	}
	total := 0
	for i := range 1000 {
		total += allowed(fmt.Sprint("s", i), protocol.Agent_ReportTask_FullMethodName, 10)
	}
	if total > tasksGlobalBurst || total < tasksGlobalBurst/2 || l.working.Len() > maxAgents {
		t.Errorf("a thousand servers got %d reports at once", total)
	}
}

func TestSourceOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:1000": "192.0.2.1", "[2001:db8::1:2:3:4]:1": "2001:db8::", "[2001:db8::ffff]:2": "2001:db8::", "[::ffff:192.0.2.1]:5": "::ffff:192.0.2.1",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := sourceOf(peer.NewContext(t.Context(), &peer.Peer{Addr: a})); got != want && got != "192.0.2.1" {
			t.Errorf("%s counts as %q; want %q", addr, got, want)
		}
	}
	if got := sourceOf(context.Background()); got != "" {
		t.Errorf("no peer counts as %q", got)
	}
}

func TestCounter(t *testing.T) {
	c := newCounter(2)
	if !c.take("a") || !c.take("a") || c.take("a") || !c.take("b") {
		t.Error("the limit is not two for each")
	}
	c.give("a")
	if !c.take("a") {
		t.Error("what was given back is not free")
	}
	for range 2 {
		c.give("a")
	}
	c.give("b")
	if len(c.n) != 0 {
		t.Errorf("it remembers %v", c.n)
	}
}

// TestNames: random, of one form, and hard to meet.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		n, err := randomName(rand.Reader)
		if err != nil || len(n) != 10 || n[:4] != "srv-" {
			t.Fatalf("%q %v", n, err)
		}
		seen[n] = true
	}
	if len(seen) < 990 {
		t.Errorf("%d different names of a thousand", len(seen))
	}
}
