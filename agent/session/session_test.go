package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/agent/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opening is what an agent asks at the beginning of each boot.
func (s *server) opening() {
	s.t.Helper()
	s.expect("enroll boot-1 SN-1")
	s.expect("report 6.12")
	s.expect("watch")
}

func TestEnrolReportWatchLeave(t *testing.T) {
	s := newServer(t)
	a := start(t, s.start("127.0.0.1:0"), s.ca.pin())
	s.opening()
	s.directives <- &protocol.Directive{Kind: &protocol.Directive_Wait{Wait: &protocol.Wait{Reason: "WaitingForAcceptance", Message: "ingot accept srv-1"}}}
	a.changed <- struct{}{}
	s.expect("report 6.12")
	s.directives <- &protocol.Directive{} // of a newer controller
	s.directives <- &protocol.Directive{Kind: &protocol.Directive_Leave{Leave: &protocol.Leave{Reason: "LocalDiskPreferred", Message: "bye"}}}
	<-a.done
	if a.err != nil || a.leave != (Leave{Reason: "LocalDiskPreferred", Message: "bye"}) {
		t.Errorf("got %+v, %v", a.leave, a.err)
	}
	for _, want := range []string{"ingot accept srv-1", "does not know", "enrolled"} {
		if !strings.Contains(a.console.String(), want) {
			t.Errorf("the console does not say %q:\n%s", want, a.console)
		}
	}
}

func TestPlain(t *testing.T) {
	refusal := status.Error(codes.Unavailable, `connection error: desc = "transport: authentication handshake failed: bad pin"`)
	for err, want := range map[error]string{
		fmt.Errorf("enrolling: %w", refusal):                                    "authentication handshake failed: bad pin",
		status.Error(codes.FailedPrecondition, "IdentityConflict: two Servers"): "IdentityConflict: two Servers",
		errEnded: errEnded.Error(),
	} {
		if got := plain(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWrongPinIsRefused(t *testing.T) {
	s, other := newServer(t), newAuthority(t)
	address := s.start("127.0.0.1:0")
	a := start(t, address, other.pin())
	a.wait(t)
	a.stop()
	if len(s.calls) != 0 {
		t.Errorf("the agent talked to a server with another CA: %q", <-s.calls)
	}
	if !strings.Contains(a.console.String(), "no CA in its chain has the pinned key") {
		t.Errorf("the console does not say why:\n%s", a.console)
	}
	start(t, address, s.ca.pin())
	s.opening()
}

func TestServerNameIsChecked(t *testing.T) {
	s := newServer(t)
	s.host = "192.0.2.1"
	a := start(t, s.start("127.0.0.1:0"), s.ca.pin())
	a.wait(t)
	a.stop()
	if len(s.calls) != 0 || !strings.Contains(a.console.String(), "192.0.2.1") {
		t.Errorf("a certificate for another host was taken:\n%s", a.console)
	}
}

func TestRenewAtHalfLifeWithoutAnotherReport(t *testing.T) {
	s := newServer(t)
	a := start(t, s.start("127.0.0.1:0"), s.ca.pin())
	s.opening()
	if d := a.wait(t); d != 30*time.Minute {
		t.Fatalf("the agent renews after %s of an hour", d)
	}
	a.advance(30 * time.Minute)
	s.expect("renew")
	s.expect("watch")
	if d := a.wait(t); d != 30*time.Minute {
		t.Errorf("the second renewal comes after %s", d)
	}
}

func TestServerRestart(t *testing.T) {
	s := newServer(t)
	address := s.start("127.0.0.1:0")
	a := start(t, address, s.ca.pin())
	s.opening()
	a.wait(t) // the renewal
	s.stop()
	first := a.wait(t)
	if first < firstPause/2 || first > firstPause {
		t.Errorf("the first pause is %s", first)
	}
	a.advance(first)
	if second := a.wait(t); second < firstPause || second > 2*firstPause {
		t.Errorf("the second pause is %s", second)
	}
	s.start(address)
	a.advance(2 * firstPause)
	// The certificate still lives, so the agent does not enrol again.
	s.expect("report 6.12")
	s.expect("watch")
}

func TestEnrolAgainAfterTheCertificateEnded(t *testing.T) {
	s := newServer(t)
	address := s.start("127.0.0.1:0")
	a := start(t, address, s.ca.pin())
	s.opening()
	a.wait(t)
	s.stop()
	a.wait(t)
	s.start(address)
	a.advance(2 * time.Hour)
	s.opening()
}

func TestEnrolAgainWhenTheCertificateIsNotBelieved(t *testing.T) {
	s := newServer(t)
	address := s.start("127.0.0.1:0")
	a := start(t, address, s.ca.pin())
	s.opening()
	a.wait(t)
	s.stop()
	a.wait(t)
	s.mu.Lock()
	s.refuse = true
	s.mu.Unlock()
	s.start(address)
	a.advance(firstPause)
	a.advance(a.wait(t))
	s.opening()
}

func TestSilentServerIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	a := start(t, l.Addr().String(), Pin{})
	c := <-accepted
	a.advance(callTime)
	a.wait(t)
	if !strings.Contains(a.console.String(), "took too long") {
		t.Errorf("the console does not say so:\n%s", a.console)
	}
	_ = l.Close()
	_ = c.Close()
}

func TestNewRefusesBadAddresses(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://10.0.0.1:9443": true, "https://[fd00::1]": true, "http://10.0.0.1:9443": false, "10.0.0.1:9443": false, "https://": false, "": false,
	} {
		s, err := New(Config{URL: url, Random: rand.Reader})
		if (err == nil) != ok {
			t.Errorf("%q: got %v", url, err)
		}
		if url == "https://[fd00::1]" && s.address != "[fd00::1]:443" {
			t.Errorf("got address %s", s.address)
		}
	}
}

func TestBackoffIsBoundedAndJitters(t *testing.T) {
	b := backoff{random: rand.Reader}
	seen := map[time.Duration]bool{}
	for range 100 {
		d := b.next()
		if d < firstPause/2 || d > longestPause {
			t.Fatalf("pause of %s", d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d different pauses of 100", len(seen))
	}
	b.reset()
	if d := b.next(); d > firstPause {
		t.Errorf("after a success the pause is %s", d)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := newServer(t)
	a := start(t, s.start("127.0.0.1:0"), s.ca.pin())
	s.opening()
	a.stop()
	if !errors.Is(a.err, context.Canceled) {
		t.Errorf("got %v", a.err)
	}
}
