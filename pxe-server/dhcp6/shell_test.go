package dhcp6

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// cable is a network in memory.
type cable struct {
	in   chan inbound
	out  chan *dhcpv6.Message
	end  chan struct{}
	fail error
}

func newCable() *cable {
	return &cable{in: make(chan inbound), out: make(chan *dhcpv6.Message, 16), end: make(chan struct{})}
}

func (c *cable) receive(b []byte) (int, netip.Addr, bool, error) {
	if c.fail != nil {
		return 0, netip.Addr{}, false, c.fail
	}
	select {
	case p := <-c.in:
		return copy(b, p.bytes), p.from, p.unicast, nil
	case <-c.end:
		return 0, netip.Addr{}, false, net.ErrClosed
	}
}

func (c *cable) send(b []byte, _ netip.Addr) error {
	m, err := dhcpv6.MessageFromBytes(b)
	if err == nil {
		c.out <- m
	}
	return err
}

func (c *cable) close() error {
	select {
	case <-c.end:
	default:
		close(c.end)
	}
	return nil
}

// startOn serves until the test ends.
func startOn(t *testing.T, cfg Config) (*Server, *cable) {
	t.Helper()
	c := newCable()
	s, err := newServer(cfg, c, hostMAC(1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return s, c
}

// settled waits until all packets of host n are handled, by one more whose answer is seen.
func (c *cable) settled(n byte) *dhcpv6.Message {
	c.in <- inbound{bytes: msg(dhcpv6.MessageTypeInformationRequest).ToBytes(), from: linkLocal(n)}
	return <-c.out
}

func TestNoReplyWithoutDisk(t *testing.T) {
	cfg := testConfig()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg.LeaseFile = filepath.Join(dir, "leases6")
	s, c := startOn(t, cfg)
	take := inbound{bytes: msg(dhcpv6.MessageTypeRequest, clientID(1), server(ours), want(1, "2001:db8::1001")).ToBytes(), from: linkLocal(1)}
	if err := errors.Join(s.store.Close(), os.Rename(dir, dir+"x")); err != nil {
		t.Fatal(err)
	}
	c.in <- take
	c.settled(1)
	if st := s.Stats(); st.Silent[Failed] != 1 || st.Replies != 1 { // the one Reply is information
		t.Errorf("stats %+v", st)
	}
	if err := os.Rename(dir+"x", dir); err != nil {
		t.Fatal(err)
	}
	c.in <- take
	if m := <-c.out; outcome(m, step{}) != "reply 2001:db8::1001" {
		t.Errorf("control, with the disk back: %v", m)
	}
}

func TestLimitPerSource(t *testing.T) {
	cfg := testConfig()
	cfg.LeaseFile = filepath.Join(t.TempDir(), "leases6")
	cfg.Limits.PerSourceRate, cfg.Limits.PerSourceBurst = 0.0001, 5
	s, c := startOn(t, cfg)
	for range 50 {
		c.in <- inbound{bytes: msg(dhcpv6.MessageTypeInformationRequest).ToBytes(), from: linkLocal(1)}
	}
	for range 5 {
		<-c.out
	}
	c.settled(2) // another client is not touched
	if st := s.Stats(); st.Silent[Limited] != 45 || st.Received != 51 {
		t.Errorf("stats %+v", st)
	}
}

// TestServeGivesUp on a network that only fails.
func TestServeGivesUp(t *testing.T) {
	c := newCable()
	c.fail = errors.New("network is down")
	cfg := testConfig()
	cfg.LeaseFile = filepath.Join(t.TempDir(), "leases6")
	s, err := newServer(cfg, c, hostMAC(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration was taken")
	}
	missing := testConfig()
	missing.Interface = "none0"
	if _, err := New(missing); err == nil {
		t.Error("an interface that is not there was taken")
	}
}
