package networks_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/networks"
)

type book struct {
	*networks.Store
	now  time.Time
	told []string
}

func newBook() *book {
	b := &book{now: time.Unix(1_800_000_000, 0)}
	b.Store = networks.NewStore(func() time.Time { return b.now }, func(c networks.Change) { b.told = append(b.told, c.Message()) })
	return b
}

func (b *book) say(site, name, trouble string, servers ...string) {
	b.Told(site, []networks.Network{{Interface: name, Trouble: trouble, Servers: servers}})
}

// count reads one series, as a scrape does.
func (b *book) count(t *testing.T, reason string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(b.Store); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "metal_dhcp_trouble" || len(families[0].GetMetric()) != 4 {
		t.Fatalf("gathered %v, %v", families, err)
	}
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == reason {
			return m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no series for %s", reason)
	return 0
}

// TestChangesAreTold: once each, with what to do, and the end of the trouble as well.
func TestChangesAreTold(t *testing.T) {
	b := newBook()
	b.say("rack1", "eth1", "")
	if len(b.told) != 0 || b.count(t, reasons.OtherDHCPServer) != 0 {
		t.Errorf("nothing is wrong, and it was told: %q", b.told)
	}
	for range 3 {
		b.say("rack1", "eth1", reasons.OtherDHCPServer, "192.0.2.2", "192.0.2.3")
	}
	b.say("rack2", "eth1", reasons.NoDHCPServer)
	want := []string{
		"Site rack1, interface eth1: the DHCP server 192.0.2.2 and 192.0.2.3 gives addresses, too",
		"Site rack2, interface eth1: nobody gives addresses",
	}
	for i, w := range want {
		if len(b.told) != len(want) || !strings.HasPrefix(b.told[i], w) || !strings.Contains(b.told[i], "--proxy-dhcp") {
			t.Fatalf("told %q, want %q", b.told, want)
		}
	}
	if b.count(t, reasons.OtherDHCPServer) != 1 || b.count(t, reasons.NoDHCPServer) != 1 {
		t.Error("the metric counts neither")
	}
	b.say("rack1", "eth1", "")
	if len(b.told) != 3 || !strings.Contains(b.told[2], "as they should be") || b.count(t, reasons.OtherDHCPServer) != 0 {
		t.Errorf("the end was not told: %q", b.told)
	}
	for i := range 20 {
		b.say("rack1", "eth1", reasons.OtherDHCPServer, fmt.Sprint("192.0.2.", i))
	}
	if len(b.told) != 5 || b.count(t, reasons.OtherDHCPServer) != 1 {
		t.Errorf("a site that cries all the time was told %d times", len(b.told)-3)
	}
	b.now = b.now.Add(time.Minute)
	b.say("rack1", "eth1", reasons.OtherDHCPServer, "192.0.2.19")
	if len(b.told) != 6 || !strings.Contains(b.told[5], "192.0.2.19 ") {
		t.Errorf("after a minute the last word is not told: %q", b.told)
	}
}

// TestSilentSitesAreNotCounted: a site that says nothing for a quarter of an hour may be gone.
func TestSilentSitesAreNotCounted(t *testing.T) {
	b := newBook()
	b.say("rack1", "eth1", reasons.OtherBootServer, "192.0.2.2")
	if b.count(t, reasons.OtherBootServer) != 1 {
		t.Error("control: it is not counted")
	}
	b.now = b.now.Add(16 * time.Minute)
	if b.count(t, reasons.OtherBootServer) != 0 {
		t.Error("it is still counted")
	}
}

// TestNonsenseIsLeftOut, and what is beyond the limits. The control is in the same report.
func TestNonsenseIsLeftOut(t *testing.T) {
	b := newBook()
	many := []networks.Network{
		{Interface: "", Trouble: reasons.NoDHCPServer},
		{Interface: "eth1\nx", Trouble: reasons.NoDHCPServer},
		{Interface: "eth1", Trouble: "Made up"},
		{Interface: "eth1", Trouble: reasons.OtherDHCPServer, Servers: []string{"a server"}},
		{Interface: "eth1", Trouble: reasons.OtherDHCPServer, Servers: []string{"fe80::1%eth0"}},
		{Interface: "eth1", Trouble: reasons.OtherDHCPServer, Servers: make([]string, 17)},
		{Interface: "eth9", Trouble: reasons.SeveralDHCPServers, Servers: []string{"192.0.2.2", "2001:db8::1"}},
	}
	b.Told("rack1", many)
	if len(b.told) != 1 || !strings.Contains(b.told[0], "eth9") {
		t.Errorf("told %q", b.told)
	}
	for i := range 1000 {
		b.say("rack1", fmt.Sprint("eth", i), reasons.NoDHCPServer)
		b.say(fmt.Sprint("site", i), "eth0", reasons.NoDHCPServer)
	}
	if n := b.count(t, reasons.NoDHCPServer); n != 64+255 {
		t.Errorf("%v networks are kept", n)
	}
	b.now = b.now.Add(16 * time.Minute)
	b.say("new", "eth0", reasons.NoDHCPServer)
	if n := b.count(t, reasons.NoDHCPServer); n != 1 {
		t.Errorf("after all were silent a new site does not count: %v", n)
	}
}
