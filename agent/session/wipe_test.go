package session

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/agent/protocol"
)

// opened is an agent whose session is open, and that has begun wipe w/1.
func opened(t *testing.T) (*server, *agent, string) {
	t.Helper()
	s := newServer(t)
	address := s.start("127.0.0.1:0")
	a := start(t, address, s.ca.pin())
	s.opening()
	a.wait(t) // the renewal
	s.directives <- wipe("w", 1)
	a.tasks.wantBegun(t, "w/1")
	return s, a, address
}

// TestWipeReceiptPowerOff: progress at its pace, the receipt before the report of the inventory, then off.
func TestWipeReceiptPowerOff(t *testing.T) {
	s, a, _ := opened(t)
	a.changed <- struct{}{} // read while disks are being wiped: not to be reported before the receipt
	a.tasks.steps <- 10
	s.expect("progress Overwrite 10% w/1")
	a.tasks.steps <- 20
	a.tasks.steps <- 30
	a.beat(t)
	s.expect("progress Overwrite 30% w/1")
	a.tasks.end()
	s.expect("receipt w/1")
	s.expect("report 6.12")
	s.directives <- powerOff()
	<-a.done
	if a.err != nil || a.leave != (Leave{Reason: "Wiped", Message: "proof", PowerOff: true}) {
		t.Errorf("got %+v, %v", a.leave, a.err)
	}
}

// TestTheSameOrderTwice: it is carried out once, and its receipt told again.
func TestTheSameOrderTwice(t *testing.T) {
	s, a, _ := opened(t)
	s.directives <- wipe("w", 1)
	a.told(t, "the wipe goes on", 1)
	a.tasks.end()
	s.expect("receipt w/1")
	s.directives <- wipe("w", 1)
	s.expect("receipt w/1")
	a.tasks.wantNothing(t)
	// Control: another generation is carried out, and then the earlier one is stale only where it never ran.
	s.directives <- wipe("w", 3)
	a.tasks.wantBegun(t, "w/3")
	a.tasks.end()
	s.expect("receipt w/3")
	s.directives <- wipe("w", 2)
	a.told(t, "is not carried out", 1)
	a.tasks.wantNothing(t)
}

// TestOrdersThatMakeNoSense: nothing runs, and the session goes on.
func TestOrdersThatMakeNoSense(t *testing.T) {
	s := newServer(t)
	a := start(t, s.start("127.0.0.1:0"), s.ca.pin())
	s.opening()
	nothing := wipe("w", 1)
	nothing.GetWipe().Disks = nil
	for i, d := range []*protocol.Directive{wipe("", 1), wipe("w", 0), wipe("w", -1), nothing, {Kind: &protocol.Directive_Wipe{}}} {
		s.directives <- d
		a.told(t, "makes no sense", i+1)
	}
	a.tasks.wantNothing(t)
	s.directives <- wipe("w", 1)
	a.tasks.wantBegun(t, "w/1")
}

// TestAnotherOrderWaits: until the receipt of the one that runs is told.
func TestAnotherOrderWaits(t *testing.T) {
	s, a, _ := opened(t)
	s.directives <- wipe("w", 2)
	a.told(t, "waits for it", 1)
	a.tasks.wantNothing(t)
	s.set(func() { s.task = status.Error(codes.Unavailable, "later") })
	a.tasks.end()
	s.expect("receipt w/1")
	pause := a.wait(t)
	a.tasks.wantNothing(t)
	s.set(func() { s.task = nil })
	a.advance(pause)
	s.expect("receipt w/1")
	a.tasks.wantBegun(t, "w/2")
}

// TestNothingEndsAWipe: neither a wish to switch off nor one to restart, nor the button; a newer directive makes them void.
func TestNothingEndsAWipe(t *testing.T) {
	s, a, _ := opened(t)
	s.directives <- powerOff()
	a.told(t, "it does that afterwards", 1)
	s.directives <- &protocol.Directive{Kind: &protocol.Directive_Leave{Leave: &protocol.Leave{Reason: "LocalDiskPreferred"}}}
	a.told(t, "it does that afterwards", 2)
	if a.Quiesce() {
		t.Error("the button may switch the machine off in the middle of a wipe")
	}
	a.tasks.end()
	s.expect("receipt w/1")
	<-a.done
	if a.leave.PowerOff || a.leave.Reason != "LocalDiskPreferred" {
		t.Errorf("got %+v: the latest directive counts", a.leave)
	}
	if len(a.tasks.cut) > 0 {
		t.Error("the wipe was cut short")
	}
}

// TestANewerDirectiveVoidsOneThatWaits: what the server wanted in the middle of a wipe, and wants no more, is not done after it.
func TestANewerDirectiveVoidsOneThatWaits(t *testing.T) {
	s, a, _ := opened(t)
	s.directives <- powerOff()
	a.told(t, "it does that afterwards", 1)
	s.directives <- waitFor("stay on")
	a.told(t, "stay on", 1)
	a.tasks.end()
	s.expect("receipt w/1")
	a.told(t, "has the receipt", 1)
	a.changed <- struct{}{}
	s.expect("report 6.12") // which comes after what waited
	s.directives <- waitFor("still here")
	a.told(t, "still here", 1)
}

// TestQuiesce: from then on nothing begins.
func TestQuiesce(t *testing.T) {
	s, a, _ := opened(t)
	a.tasks.end()
	s.expect("receipt w/1")
	a.told(t, "has the receipt", 1)
	if !a.Quiesce() {
		t.Fatal("a wipe that has ended keeps the machine on")
	}
	s.directives <- wipe("w", 2)
	a.told(t, "begins no more wipes", 1)
	a.tasks.wantNothing(t)
}

// TestControllerRestartsMidWipe: the wipe goes on and is not begun again; an order of the old connection is void.
func TestControllerRestartsMidWipe(t *testing.T) {
	s, a, address := opened(t)
	s.directives <- powerOff()
	a.told(t, "it does that afterwards", 1)
	s.stop()
	pause := a.wait(t)
	a.tasks.steps <- 50 // nobody to tell
	s.start(address)
	a.advance(pause)
	s.expect("watch") // no report: disks are half wiped
	s.directives <- wipe("w", 1)
	s.expect("progress Overwrite 50% w/1")
	a.tasks.end()
	s.expect("receipt w/1")
	s.expect("report 6.12")
	a.tasks.wantNothing(t)
	s.directives <- waitFor("judging")
	a.told(t, "judging", 1)
	select {
	case <-a.done:
		t.Error("an order of a connection that is gone was obeyed")
	default:
	}
}

// TestWipeEndsWithoutController: the receipt is kept, over restarts and a renewal, until the server has it.
func TestWipeEndsWithoutController(t *testing.T) {
	s, a, address := opened(t)
	s.stop()
	pause := a.wait(t)
	a.tasks.end()
	a.told(t, "the wipe has ended", 1)
	s.set(func() { s.task = status.Error(codes.Unavailable, "not yet") })
	s.start(address)
	a.advance(pause)
	s.expect("watch")
	renewal := a.wait(t)
	s.directives <- waitFor("here again")
	s.expect("receipt w/1")
	retry := a.wait(t)
	if retry > firstPause {
		t.Errorf("the first pause is %s", retry)
	}
	s.set(func() { s.task = nil })
	a.advance(renewal)
	expectBoth(t, s, "renew", "receipt w/1")
}

// expectBoth waits for a renewal, and for the receipt over the old connection or the new one.
func expectBoth(t *testing.T, s *server, renewal, receipt string) {
	t.Helper()
	seen := map[string]bool{}
	for !seen[renewal] || !seen[receipt] {
		select {
		case got := <-s.calls:
			seen[got] = true
			if got == "watch" {
				s.directives <- waitFor("renewed")
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the agent called only %v", seen)
		}
	}
}

// TestRenewalMidWipe: the connection ends and the wipe does not.
func TestRenewalMidWipe(t *testing.T) {
	s, a, _ := opened(t)
	a.advance(30 * time.Minute)
	s.expect("renew")
	s.expect("watch")
	s.directives <- wipe("w", 1)
	a.told(t, "the wipe goes on", 1)
	a.tasks.end()
	s.expect("receipt w/1")
	a.tasks.wantNothing(t)
}

// TestReceiptRefused: no more tries, the session goes on; the same order asks once more.
func TestReceiptRefused(t *testing.T) {
	for _, code := range []codes.Code{codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition} {
		t.Run(code.String(), func(t *testing.T) {
			s, a, _ := opened(t)
			s.set(func() { s.task = status.Error(code, "not yours") })
			a.tasks.end()
			s.expect("receipt w/1")
			a.told(t, "the server refuses the receipt", 1)
			a.changed <- struct{}{}
			s.expect("report 6.12")
			s.set(func() { s.task = nil })
			s.directives <- wipe("w", 1)
			s.expect("receipt w/1")
			a.told(t, "has the receipt", 1)
			a.tasks.wantNothing(t)
		})
	}
}

// TestReceiptWaitsUntilTheCertificateIsBelieved: a controller that came back with another CA refuses everything; that is no answer for the
// receipt, which goes over the connection with the new certificate.
func TestReceiptWaitsUntilTheCertificateIsBelieved(t *testing.T) {
	s, a, address := opened(t)
	s.stop()
	pause := a.wait(t)
	a.tasks.end()
	a.told(t, "the wipe has ended", 1)
	s.set(func() { s.refuse = true })
	s.start(address)
	a.advance(pause)
	a.wait(t) // the renewal
	a.advance(a.wait(t))
	s.expect("enroll boot-1 SN-1")
	s.expect("watch")
	if len(s.calls) > 0 {
		t.Errorf("the agent called %q before the server had said anything", <-s.calls)
	}
	s.directives <- waitFor("judging")
	s.expect("receipt w/1")
}

// TestSlowProgressIsDropped: a receipt does not wait behind it for longer than its bound.
func TestSlowProgressIsDropped(t *testing.T) {
	s, a, _ := opened(t)
	s.set(func() { s.slow = true })
	a.tasks.steps <- 10
	s.expect("progress Overwrite 10% w/1")
	a.tasks.steps <- 20
	a.tasks.steps <- 30
	a.tasks.end()
	a.told(t, "the wipe has ended", 1)
	a.advance(progressTime)
	s.expect("receipt w/1")
}

// TestOutageUntilTheCertificateEnds: the agent enrols again, with the same key, and the receipt comes through; nothing is wiped twice.
func TestOutageUntilTheCertificateEnds(t *testing.T) {
	s, a, address := opened(t)
	s.stop()
	for passed := time.Duration(0); passed < 65*time.Minute; {
		pause := a.wait(t)
		a.advance(pause)
		passed += pause
	}
	pause := a.wait(t)
	a.tasks.end()
	a.told(t, "the wipe has ended", 1)
	s.start(address)
	a.advance(pause)
	s.expect("enroll boot-1 SN-1")
	s.expect("watch")
	s.directives <- wipe("w", 1)
	s.expect("receipt w/1")
	s.expect("report 6.12")
	a.tasks.wantNothing(t)
	if len(s.keys) != 2 || !s.keys[0].Equal(s.keys[1]) {
		t.Error("the agent enrolled with another key: the controller takes it for another claimant")
	}
}

// TestDeniedAgentWaits: after the acceptance a boot that the controller did not begin is let in no more. It says why and never gives up.
func TestDeniedAgentWaits(t *testing.T) {
	s := newServer(t)
	address := s.start("127.0.0.1:0")
	a := start(t, address, s.ca.pin())
	s.opening()
	a.wait(t)
	s.set(func() { s.deny = status.Error(codes.PermissionDenied, "Accepted: only an expected boot") })
	s.stop()
	pause := a.wait(t)
	s.set(func() { s.refuse = true })
	s.start(address)
	a.advance(pause)
	a.advance(a.wait(t)) // the certificate is refused: enrol again
	for range 8 {
		s.expect("enroll boot-1 SN-1")
		if pause = a.wait(t); pause > longestPause {
			t.Fatalf("a pause of %s", pause)
		}
		a.advance(pause)
	}
	s.expect("enroll boot-1 SN-1")
	pause = a.wait(t)
	a.told(t, "this server was accepted; waiting for the controller to restart this machine", 9)
	a.told(t, "only an expected boot", 9)
	s.set(func() { s.deny = status.Error(codes.PermissionDenied, "UnmanagedHere: another installation") })
	a.advance(pause)
	s.expect("enroll boot-1 SN-1")
	pause = a.wait(t)
	a.told(t, "the controller does not let this machine in", 1)
	s.set(func() { s.deny = nil })
	a.advance(pause)
	s.opening()
}

// TestTheEndOfTheProcessCutsAWipe: Run waits for it, and what it says then is no receipt.
func TestTheEndOfTheProcessCutsAWipe(t *testing.T) {
	s, a, _ := opened(t)
	a.stop()
	if len(a.tasks.cut) != 1 || a.err == nil || errors.Is(a.err, errEnded) {
		t.Errorf("%d wipes were cut, %v", len(a.tasks.cut), a.err)
	}
	if due, _ := a.ledger.due(); due.GetReceipt() != nil || len(s.calls) > 0 {
		t.Error("a wipe that was cut short has a receipt")
	}
}

// TestNoReceiptIsAnEmptyOne: a runner that says nothing proves nothing.
func TestNoReceiptIsAnEmptyOne(t *testing.T) {
	l := newLedger()
	l.order(pair{"w", 1})
	l.end(nil)
	if r, _ := l.due(); r.GetReceipt() == nil || len(r.GetReceipt().GetDisks()) > 0 {
		t.Errorf("got %v", r.ReportTaskRequest)
	}
}

// TestWipesOfOneBootAreBounded: the ledger keeps a receipt of each.
func TestWipesOfOneBootAreBounded(t *testing.T) {
	l := newLedger()
	for i := range int64(maxWipes) {
		if v := l.order(pair{"w", i + 1}); v != begin {
			t.Fatalf("wipe %d: %d", i, v)
		}
		l.end(&protocol.Receipt{})
	}
	if v := l.order(pair{"w", maxWipes + 1}); v != closed {
		t.Errorf("one too many: %d", v)
	}
	if v := l.order(pair{"w", 1}); v != again {
		t.Errorf("an old one: %d", v)
	}
}
