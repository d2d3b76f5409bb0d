package session

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/agent/protocol"
)

func bmcAccount(user, password string) *protocol.Directive {
	return &protocol.Directive{Kind: &protocol.Directive_BmcAccount{BmcAccount: &protocol.BMCAccount{Id: "x", Generation: 2, Username: user, Password: password}}}
}

// TestAccount: an order is carried out as often as it comes, and what became of it is told; a refusal is waited out, an outage leads to another connection, and no
// password reaches the console.
func TestAccount(t *testing.T) {
	s := newServer(t)
	a := start(t, s.start("127.0.0.1:0"), s.ca.pin())
	s.opening()
	for range 2 {
		s.directives <- bmcAccount("ingot-x", "hunter22")
		s.expect("account x/2 dropped=false slot=3 ")
	}
	s.directives <- bmcAccount("ingot-x", "refused")
	s.expect("account x/2 dropped=false slot=0 no slot")
	s.set(func() { s.restart = status.Error(codes.FailedPrecondition, "no such task") })
	s.directives <- bmcAccount("", "")
	s.expect("account x/2 dropped=true slot=3 ")
	a.told(t, "takes its order about the BMC's account back", 1)
	s.set(func() { s.restart = status.Error(codes.Unavailable, "busy") })
	s.directives <- bmcAccount("ingot-x", "hunter22")
	s.expect("account x/2 dropped=false slot=3 ")
	a.advance(a.wait(t)) // the renewal of the first connection
	a.advance(a.wait(t))
	s.set(func() { s.restart = nil })
	s.expect("report 6.12")
	s.expect("watch")
	if said := a.console.String(); strings.Contains(said, "hunter22") || strings.Contains(said, "password") || !strings.Contains(said, "ingot-x") {
		t.Errorf("the console says:\n%s", said)
	}
}

// TestAccountWaitsForWipe: while disks are being wiped nothing else is done.
func TestAccountWaitsForWipe(t *testing.T) {
	s := newServer(t)
	a := start(t, s.start("127.0.0.1:0"), s.ca.pin())
	s.opening()
	s.directives <- wipe("w1", 1)
	a.tasks.wantBegun(t, "w1/1")
	s.directives <- bmcAccount("ingot-x", "hunter22")
	a.tasks.end()
	s.expect("receipt w1/1")
	s.expect("account x/2 dropped=false slot=3 ")
}
