package httpboot_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// fromAddress lets the site's client speak from another address of the loopback, as another machine on the segment does.
func (s *site) fromAddress(t *testing.T, source string) *site {
	t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	transport := &http.Transport{DialContext: d.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &site{url: s.url, client: &http.Client{Transport: transport}}
}

// expecting is a site whose controller expects a boot of the machine that asks.
func expecting(t *testing.T, bootID string) *site {
	t.Helper()
	return newSite(t, func(s *site) {
		s.view.Servers = []boot.Server{{Name: "s1", Identity: boot.Identity{MACs: []string{"52:54:00:78:00:01"}}, Accepted: true, Target: boot.Agent, BootID: bootID}}
	})
}

// reported are the events that a site has queued: it stops at the first one that says so.
func (s *site) reported(t *testing.T, until func(*protocol.BootEvent) bool) []*protocol.BootEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all []*protocol.BootEvent
	err := s.cfg.Events.Run(ctx, func(_ context.Context, batch []*protocol.BootEvent) error {
		all = append(all, batch...)
		for _, e := range batch {
			if until(e) {
				cancel()
			}
		}
		return nil
	})
	if err != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("the event did not come: %v", all)
	}
	return all
}

// TestSecondSource: the script of an expected boot goes to one address. A second one that asks gets no boot, the first neither any more, and the
// controller is told.
func TestSecondSource(t *testing.T) {
	s := expecting(t, "b1")
	machine, neighbour := s.fromAddress(t, "127.0.0.2"), s.fromAddress(t, "127.0.0.3")
	for range 2 { // iPXE asks again after a failure
		if _, body := machine.get(t, ask); !strings.Contains(body, " ingot.boot=b1 ") {
			t.Fatalf("control: the machine got\n%s", body)
		}
	}
	if res, _ := neighbour.do(t, http.MethodHead, ask); res.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
	if _, body := machine.get(t, ask); !strings.Contains(body, " ingot.boot=b1 ") {
		t.Errorf("a HEAD, which tells nothing of the script, ended the boot:\n%s", body)
	}
	for name, who := range map[string]*site{"neighbour": neighbour, "machine, afterwards": machine} {
		if name != "neighbour" {
			neighbour.get(t, ask)
		}
		_, body := who.get(t, ask)
		if strings.Contains(body, "b1") || strings.Contains(body, "kernel") || !strings.Contains(body, reasons.IdentityConflict) || !strings.Contains(body, "two addresses") {
			t.Errorf("the %s got\n%s", name, body)
		}
	}
	all := s.reported(t, func(e *protocol.BootEvent) bool { return e.SecondSource })
	if e := all[len(all)-1]; len(all) < 2 || all[0].SecondSource || all[0].BootId != "b1" || e.Server != "s1" || e.BootId != "b1" || len(e.Stages) != 0 {
		t.Errorf("events %v", all)
	}
	s.view.Servers[0].BootID = "b2" // the controller starts another one
	if _, body := machine.get(t, ask); !strings.Contains(body, " ingot.boot=b2 ") {
		t.Errorf("the next boot:\n%s", body)
	}
}

// TestUnexpectedBootsAreNotContested: without an expected boot every answer is a boot of its own, and nobody's trust hangs on it.
func TestUnexpectedBootsAreNotContested(t *testing.T) {
	s := expecting(t, "")
	for _, source := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.2"} {
		_, body := s.fromAddress(t, source).get(t, ask)
		_, id, ok := strings.Cut(body, " ingot.boot=")
		id, _, _ = strings.Cut(id, " ")
		if !ok || len(id) != 32 {
			t.Fatalf("%s got\n%s", source, body)
		}
	}
	for _, e := range s.reported(t, func(*protocol.BootEvent) bool { return true }) {
		if e.SecondSource {
			t.Errorf("reported: %v", e)
		}
	}
}

// TestContradictionsAreStillReported: evidence of two Servers gets the machine its own disk, and the controller hears of it.
func TestContradictionsAreStillReported(t *testing.T) {
	s := expecting(t, "b1")
	s.view.Servers = append(s.view.Servers, boot.Server{Name: "s2", Identity: boot.Identity{Manufacturer: "QEMU & Co", Serial: "SN 01#7"}, Target: boot.Agent})
	if _, body := s.get(t, ask); strings.Contains(body, "b1") || !strings.Contains(body, "its own disk") {
		t.Errorf("it got\n%s", body)
	}
	all := s.reported(t, func(e *protocol.BootEvent) bool { return len(e.Conflict) > 0 })
	if e := all[len(all)-1]; len(e.Conflict) != 2 || e.SecondSource {
		t.Errorf("events %v", all)
	}
}
