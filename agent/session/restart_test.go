package session

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/agent/protocol"
)

func restart(bootID string) *protocol.Directive {
	return &protocol.Directive{Kind: &protocol.Directive_Restart{Restart: &protocol.Restart{BootId: bootID, Reason: "BootRunning", Message: "needed"}}}
}

// TestRestartIsAcknowledged: the machine restarts once the server has the word, which is said again after trouble, and not when the server takes its order back.
func TestRestartIsAcknowledged(t *testing.T) {
	s := newServer(t)
	a := start(t, s.start("127.0.0.1:0"), s.ca.pin())
	s.opening()
	s.set(func() { s.restart = status.Error(codes.FailedPrecondition, "no such task") })
	s.directives <- restart("boot-2")
	s.expect("acknowledge boot-2")
	s.directives <- waitFor("later")
	a.changed <- struct{}{}
	s.expect("report 6.12") // it goes on
	s.set(func() { s.restart = status.Error(codes.Unavailable, "busy") })
	s.directives <- restart("boot-3")
	s.expect("acknowledge boot-3")
	a.advance(a.wait(t)) // the renewal of the first connection
	a.advance(a.wait(t))
	s.set(func() { s.restart = nil })
	s.expect("report 6.12")
	s.expect("watch")
	s.directives <- restart("boot-3")
	s.expect("acknowledge boot-3")
	<-a.done
	if a.err != nil || a.leave != (Leave{Reason: "BootRunning", Message: "needed"}) {
		t.Errorf("got %+v, %v", a.leave, a.err)
	}
	for _, want := range []string{"the network is next", "takes its order to restart back"} {
		if !strings.Contains(a.console.String(), want) {
			t.Errorf("the console does not say %q:\n%s", want, a.console)
		}
	}
}

// TestRestartWaitsForWipe: a wipe that runs is not cut short, and nothing is acknowledged meanwhile.
func TestRestartWaitsForWipe(t *testing.T) {
	s := newServer(t)
	a := start(t, s.start("127.0.0.1:0"), s.ca.pin())
	s.opening()
	s.directives <- wipe("w1", 1)
	a.tasks.wantBegun(t, "w1/1")
	s.directives <- restart("boot-2")
	a.told(t, "a wipe runs, so it does that afterwards", 1)
	a.tasks.end()
	s.expect("receipt w1/1")
	s.expect("acknowledge boot-2")
	<-a.done
	if a.err != nil || a.leave.PowerOff {
		t.Errorf("got %+v, %v", a.leave, a.err)
	}
}
