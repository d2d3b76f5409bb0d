package session

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ingot.dev/ingot/agent/protocol"
)

// scripted is a task runner that goes on only when the test says so.
type scripted struct {
	// begun hears of each wipe, steps are percents to tell, ends are receipts. cut hears of a wipe whose context ended.
	begun chan string
	steps chan int32
	ends  chan *protocol.Receipt
	cut   chan string
}

func newScripted() *scripted {
	return &scripted{begun: make(chan string, 10), steps: make(chan int32), ends: make(chan *protocol.Receipt), cut: make(chan string, 1)}
}

func (s *scripted) Wipe(ctx context.Context, w *protocol.Wipe, progress func([]*protocol.DiskProgress)) *protocol.Receipt {
	name := fmt.Sprintf("%s/%d", w.GetId(), w.GetGeneration())
	s.begun <- name
	for {
		select {
		case percent := <-s.steps:
			progress([]*protocol.DiskProgress{{Wwid: "w", Phase: "Overwrite", Percent: percent}})
		case r := <-s.ends:
			return r
		case <-ctx.Done():
			s.cut <- name
			return &protocol.Receipt{}
		}
	}
}

// Account sets up every user in slot 3, but that of the password "refused".
func (s *scripted) Account(_ context.Context, order *protocol.BMCAccount) *protocol.ReportBMCAccountRequest {
	if order.GetPassword() == "refused" {
		return &protocol.ReportBMCAccountRequest{Error: "no slot"}
	}
	return &protocol.ReportBMCAccountRequest{Slot: 3}
}

// wantBegun waits for a wipe to begin.
func (s *scripted) wantBegun(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-s.begun:
		if got != want {
			t.Fatalf("the agent began %s, want %s", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("the agent did not begin %s", want)
	}
}

// wantNothing checks that no wipe beside those that were seen has begun.
func (s *scripted) wantNothing(t *testing.T) {
	t.Helper()
	select {
	case got := <-s.begun:
		t.Errorf("the agent began %s", got)
	default:
	}
}

func (s *scripted) end() { s.ends <- &protocol.Receipt{Firmware: "as it was"} }

func wipe(id string, generation int64) *protocol.Directive {
	return &protocol.Directive{Kind: &protocol.Directive_Wipe{Wipe: &protocol.Wipe{
		Id: id, Generation: generation, Level: "Quick", Disks: []*protocol.WipeDisk{{Wwid: "w"}},
	}}}
}

func powerOff() *protocol.Directive {
	return &protocol.Directive{Kind: &protocol.Directive_PowerOff{PowerOff: &protocol.PowerOff{Reason: "Wiped", Message: "proof"}}}
}

func waitFor(message string) *protocol.Directive {
	return &protocol.Directive{Kind: &protocol.Directive_Wait{Wait: &protocol.Wait{Reason: "Waiting", Message: message}}}
}

// told waits until the console says something. What the agent prints last of an order tells that it has obeyed it.
func (a *agent) told(t *testing.T, text string, times int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		n, next := a.console.count(text)
		if n >= times {
			return
		}
		select {
		case <-next:
		case <-deadline:
			t.Fatalf("the console does not say %q %d times:\n%s", text, times, a.console)
		}
	}
}
