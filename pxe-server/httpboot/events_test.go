package httpboot

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

const mac1, mac2 = "52:54:00:78:00:01", "52:54:00:78:00:02"

var (
	noon     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ip1, ip2 = netip.MustParseAddr("192.0.2.101"), netip.MustParseAddr("192.0.2.102")
)

// clock moves a second with every reading.
func clock() func() time.Time {
	now := noon
	return func() time.Time { now = now.Add(time.Second); return now }
}

func of(mac, firmware string) asked {
	a := asked{mac: mac}
	a.Firmware = firmware
	return a
}

// short writes an event as one line.
func short(e *protocol.BootEvent) string {
	var stages []string
	for _, s := range e.Stages {
		stages = append(stages, s.Stage)
	}
	return fmt.Sprintf("%s %s %s %s [%s]", e.BootId, e.Mac, e.Firmware, e.Target, strings.Join(stages, " "))
}

func drain(e *Events) (list []string) {
	for _, ev := range e.take() {
		list = append(list, short(ev))
	}
	return list
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// TestOneBoot: what was seen before the script goes out with it, what comes later follows, repetitions do not.
func TestOneBoot(t *testing.T) {
	e := NewEvents(clock())
	e.Seen(mac1, boot.UEFIPXE, StageDHCP, noon)
	e.Leased(mac1, ip1)
	e.Seen(mac2, boot.UEFIHTTP, StageDHCP, noon)
	e.Leased(mac2, ip2)
	e.Fetched(ip1, StageFirstStage, noon)
	want(t, drain(e))
	e.decided(ip1, of(mac1, boot.UEFIPXE), boot.Decision{BootID: "b1", Target: boot.Agent})
	e.Seen(mac1, "ipxe", StageDHCP, noon) // iPXE's own DHCP belongs to the same boot
	e.fetched(ip1, StageKernel)
	e.fetched(ip1, StageKernel)
	e.fetched(ip1, StageInitramfs)
	e.fetched(netip.MustParseAddr("192.0.2.99"), StageKernel)
	want(t, drain(e),
		"b1 "+mac1+" uefi-pxe Agent [DHCP FirstStage Script]",
		"b1 "+mac1+" uefi-pxe Agent [Kernel]",
		"b1 "+mac1+" uefi-pxe Agent [Initramfs]")
	if got := e.firmware(mac2, boot.UEFIPXE); got != boot.UEFIHTTP {
		t.Errorf("firmware of the machine that asked for HTTP boot: %s", got)
	}
	if got := e.firmware(mac2, boot.BIOSPXE); got != boot.BIOSPXE {
		t.Errorf("firmware of a BIOS: %s", got)
	}
}

// TestNextBoot: the firmware's DHCP begins another boot; asking again for the same does not; another decision does.
func TestNextBoot(t *testing.T) {
	e := NewEvents(clock())
	e.Seen(mac1, boot.UEFIPXE, StageDHCP, noon)
	disk := boot.Decision{Target: boot.LocalDisk}
	e.decided(ip1, of(mac1, boot.UEFIPXE), disk)
	e.decided(ip1, of(mac1, boot.UEFIPXE), disk)
	e.Seen(mac1, boot.UEFIPXE, StageDHCP, noon)
	e.decided(ip1, of(mac1, boot.UEFIPXE), disk)
	e.decided(ip1, of(mac1, boot.UEFIPXE), boot.Decision{Target: boot.Agent, BootID: "b2"})
	want(t, drain(e),
		" "+mac1+" uefi-pxe LocalDisk [DHCP Script]",
		" "+mac1+" uefi-pxe LocalDisk [DHCP Script]",
		"b2 "+mac1+" uefi-pxe Agent [Script]")
}

// TestUnserved: a machine whose agent image is missing is told of at once and every two minutes while it asks again; other machines that wait are told of once.
func TestUnserved(t *testing.T) {
	at := noon
	e := NewEvents(func() time.Time { return at })
	missing, waits := boot.Decision{Server: "a1", Target: boot.Idle, Reason: reasons.AgentImageMissing}, boot.Decision{Server: "b1", Target: boot.Idle, Reason: reasons.Available}
	told := func() (list []string) {
		for range 13 { // each ten seconds
			e.decided(ip1, asked{mac: mac1, Request: boot.Request{Arch: boot.ARM64, Firmware: boot.UEFIPXE}}, missing)
			e.decided(ip2, of(mac2, boot.UEFIPXE), waits)
			at = at.Add(10 * time.Second)
		}
		for _, ev := range e.take() {
			list = append(list, ev.Server+" "+ev.Unserved+" "+ev.Arch)
		}
		return list
	}
	want(t, told(), "a1 AgentImageMissing arm64", "b1  ", "a1 AgentImageMissing arm64")
	want(t, told(), "a1 AgentImageMissing arm64")
	e.decided(ip1, of(mac1, boot.UEFIPXE), boot.Decision{Server: "a1", Target: boot.Agent, BootID: "n1"}) // somebody built one
	if got := e.take(); len(got) != 1 || got[0].Unserved != "" {
		t.Errorf("got %v", got)
	}
}

// TestEventsAreBounded: made-up machines cost bounded memory, old ones give way, and what is lost is counted.
func TestEventsAreBounded(t *testing.T) {
	now := noon
	e := NewEvents(func() time.Time { return now })
	for i := range rememberBoots + 500 {
		now = now.Add(time.Millisecond)
		mac := fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&0xff)
		e.Seen(mac, boot.UEFIPXE, StageDHCP, now)
		e.decided(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), of(mac, boot.UEFIPXE), boot.Decision{Target: boot.Agent, BootID: mac})
	}
	if len(e.byMAC) > rememberBoots || len(e.byIP) > rememberBoots || len(e.queue) > maxQueue {
		t.Errorf("%d boots, %d addresses, %d events", len(e.byMAC), len(e.byIP), len(e.queue))
	}
	if got := e.Dropped(); got != uint64(rememberBoots+500-maxQueue) {
		t.Errorf("dropped %d", got)
	}
	now = now.Add(maxAge + time.Second)
	e.Seen("02:00:00:00:10:00", boot.UEFIPXE, StageDHCP, now)
	if b := e.byMAC["02:00:00:00:10:00"]; b.sent != nil || len(b.stages) != 1 {
		t.Errorf("an old boot goes on: %+v", b)
	}
	for i := range 2 * maxStages {
		e.Seen("02:00:00:00:10:01", "", fmt.Sprint(i), now)
	}
	if n := len(e.byMAC["02:00:00:00:10:01"].stages); n > maxStages {
		t.Errorf("%d stages", n)
	}
}

// TestRun: events wait while the controller is away, in order, and reach it afterwards.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEvents(time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var away atomic.Bool
		var tries atomic.Int32
		var got []string // read after synctest.Wait
		away.Store(true)
		done := make(chan error)
		go func() {
			done <- e.Run(ctx, func(_ context.Context, batch []*protocol.BootEvent) error {
				tries.Add(1)
				if away.Load() {
					return errors.New("away")
				}
				for _, ev := range batch {
					got = append(got, ev.BootId)
				}
				return nil
			})
		}()
		begin := func(id string) {
			e.decided(ip1, of(mac1, boot.UEFIPXE), boot.Decision{Target: boot.Agent, BootID: id})
		}
		begin("b1")
		synctest.Wait()
		begin("b2")
		<-time.After(time.Hour) // the bubble's clock
		synctest.Wait()
		if n := tries.Load(); n < 100 || n > 400 || len(got) != 0 {
			t.Errorf("%d tries in an hour, got %v", n, got)
		}
		away.Store(false)
		<-time.After(longestWait)
		synctest.Wait()
		begin("b3")
		synctest.Wait()
		want(t, got, "b1", "b2", "b3")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPutBackIsBounded: what waits never exceeds the queue.
func TestPutBackIsBounded(t *testing.T) {
	e := NewEvents(clock())
	for i := range maxQueue {
		e.queue = append(e.queue, &protocol.BootEvent{BootId: fmt.Sprint(i)})
	}
	batch := e.take()
	for range maxBatch {
		e.queue = append(e.queue, &protocol.BootEvent{BootId: "new"})
	}
	e.putBack(batch)
	if len(e.queue) != maxQueue || e.Dropped() != maxBatch || e.queue[0].BootId != fmt.Sprint(maxBatch) {
		t.Errorf("%d events, %d dropped, first %s", len(e.queue), e.Dropped(), e.queue[0].BootId)
	}
}

func TestPatienceIsBounded(t *testing.T) {
	p := newPatience(3, clock())
	for i := range 10 {
		p.over(fmt.Sprint(i))
	}
	if len(p.since) != 3 {
		t.Errorf("%d machines", len(p.since))
	}
}

// TestWaiting: what was not taken waits, also while it is being sent, and is restored in order and within the bound.
func TestWaiting(t *testing.T) {
	e := NewEvents(clock())
	for _, id := range []string{"b1", "b2"} {
		e.decided(ip1, of(mac1, boot.UEFIPXE), boot.Decision{BootID: id, Target: boot.Agent})
	}
	count := func(step string, want int) (change uint64) {
		t.Helper()
		list, change := e.Waiting()
		if len(list) != want {
			t.Errorf("%s: %d wait, want %d", step, len(list), want)
		}
		return change
	}
	first := count("queued", 2)
	batch := e.take()
	if count("on their way", 2) != first {
		t.Error("sending changes nothing of what waits")
	}
	e.putBack(batch)
	count("refused", 2)
	e.take()
	e.taken()
	if count("taken", 0) == first {
		t.Error("what was taken changes what waits")
	}
	e.decided(ip1, of(mac1, boot.UEFIPXE), boot.Decision{BootID: "b3", Target: boot.Agent})
	e.Restore(batch)
	list, _ := e.Waiting()
	if len(list) != 3 || list[0].BootId != "b1" || list[2].BootId != "b3" {
		t.Errorf("restored: %v", list)
	}
	e.Restore(slices.Repeat([]*protocol.BootEvent{{}}, maxQueue))
	count("too many", maxQueue)
	if e.Dropped() != 3 {
		t.Errorf("%d dropped", e.Dropped())
	}
}
