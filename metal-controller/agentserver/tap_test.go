package agentserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/metal-controller/authority"
)

// tapped is a Server that has only what the tap needs, and a caller's certificate for the Server "known".
func tapped(t *testing.T) (*Server, *x509.Certificate) {
	t.Helper()
	c, k, err := authority.New("test", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Parse(c, k)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Authority: a, Installation: "here", Now: time.Now, Random: rand.Reader, Log: logr.Discard()})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := s.sign(key.Public(), "known", "b1")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return s, leaf
}

// from is the context of a call as gRPC gives it to the tap.
func from(ctx context.Context, address string, leaf *x509.Certificate) context.Context {
	var state tls.ConnectionState
	if leaf != nil {
		state.PeerCertificates = []*x509.Certificate{leaf}
	}
	return peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(address), Port: 1}, AuthInfo: credentials.TLSInfo{State: state}})
}

// TestStalledMessages: messages that do not come take a bounded number of places, for a bounded time; one that came takes none.
func TestStalledMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, leaf := tapped(t)
		watch := &tap.Info{FullMethodName: protocol.Agent_Watch_FullMethodName}
		begin := func() (context.Context, error) { return s.tap(from(t.Context(), "192.0.2.1", leaf), watch) }
		var stalled []context.Context
		for range receivingPerSource {
			ctx, err := begin()
			if err != nil {
				t.Fatal(err)
			}
			stalled = append(stalled, ctx)
		}
		if _, err := begin(); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a message more than the limit: %v", err)
		}
		admissionOf(stalled[0]).arrived()
		if _, err := begin(); err != nil {
			t.Errorf("control: after one message arrived: %v", err)
		}
		<-time.After(receiveTime)
		synctest.Wait()
		if stalled[0].Err() != nil || stalled[1].Err() == nil || s.limits.receiving.Busy() != 0 {
			t.Errorf("the call whose message came: %v, one whose did not: %v; %d places taken", stalled[0].Err(), stalled[1].Err(), s.limits.receiving.Busy())
		}
	})
}

// TestRefusedWithDeadline: a refused call with a deadline is ended by us, since gRPC would keep it until then.
func TestRefusedWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := tapped(t)
		report := &tap.Info{FullMethodName: protocol.Agent_ReportInventory_FullMethodName}
		if _, err := s.tap(from(t.Context(), "192.0.2.1", nil), report); status.Code(err) != codes.Unauthenticated {
			t.Errorf("without a deadline: %v", err)
		}
		long, cancel := context.WithTimeout(t.Context(), 1000*time.Hour)
		defer cancel()
		ctx, err := s.tap(from(long, "192.0.2.1", nil), report)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.guard(ctx, admissionOf(ctx), report.FullMethodName); status.Code(err) != codes.Unauthenticated {
			t.Errorf("the guard: %v", err)
		}
		<-time.After(refuseTime)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("the refused call goes on")
		}
	})
}

// TestNoAdmission: a call that came past the tap is refused.
func TestNoAdmission(t *testing.T) {
	s, _ := tapped(t)
	for _, method := range []string{protocol.Agent_Enroll_FullMethodName, protocol.Agent_Renew_FullMethodName} {
		if err := s.guard(t.Context(), admissionOf(t.Context()), method); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", method, err)
		}
	}
}
