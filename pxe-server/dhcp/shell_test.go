package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is a transport in memory.
type wire struct {
	in   chan []byte
	out  chan *reply
	end  chan struct{}
	fail error
}

func newWire() *wire {
	return &wire{in: make(chan []byte, 1000), out: make(chan *reply, 1000), end: make(chan struct{})}
}

func (w *wire) receive(b []byte) (int, netip.AddrPort, error) {
	select {
	case p := <-w.in:
		return copy(b, p), netip.MustParseAddrPort("10.0.0.9:68"), nil
	case <-w.end:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (w *wire) send(r *reply) error {
	if w.fail == nil {
		w.out <- r
	}
	return w.fail
}

func (w *wire) close() error {
	select {
	case <-w.end:
	default:
		close(w.end)
	}
	return nil
}

// askProber answers probes from a function.
type askProber func(netip.Addr) (net.HardwareAddr, error)

func (f askProber) Probe(_ <-chan struct{}, a netip.Addr) (net.HardwareAddr, error) { return f(a) }

func free_(netip.Addr) (net.HardwareAddr, error) { return nil, nil }

func startOn(t *testing.T, cfg Config, p askProber) (*Server, *wire) {
	t.Helper()
	w := newWire()
	if cfg.Limits.PerMACBurst == 0 {
		cfg.Limits.PerMACBurst = 1_000_000 // tests ask in loops until something is counted
	}
	if cfg.Limits.Ahead == 0 {
		cfg.Limits.Ahead = -1 // tests count probes
	}
	if !filepath.IsAbs(cfg.LeaseFile) {
		cfg.LeaseFile = filepath.Join(t.TempDir(), "leases")
	}
	s, err := newServer(cfg.withDefaults(), w, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return s, w
}

func (w *wire) ask(t *testing.T, p *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	t.Helper()
	w.in <- p.ToBytes()
	m, err := dhcpv4.FromBytes((<-w.out).bytes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// settled waits until all packets are counted, by sending one more of the same client and seeing its answer.
func (w *wire) settled(t *testing.T, host int) {
	w.ask(t, msg(inform, host, ciaddr("10.0.0.9")))
}

func TestNoACKWithoutDisk(t *testing.T) {
	cfg := testConfig()
	dir := filepath.Join(t.TempDir(), "state")
	check0(t, os.Mkdir(dir, 0o700))
	cfg.LeaseFile = filepath.Join(dir, "leases")
	s, w := startOn(t, cfg, free_)
	o := w.ask(t, msg(discover, 1))
	take := msg(request_, 1, optIP(54, "10.0.0.1"), optIP(50, toAddr(o.YourIPAddr).String()))
	check0(t, s.store.Close())
	check0(t, os.Rename(dir, dir+"x"))
	w.in <- take.ToBytes()
	w.settled(t, 1)
	if st := s.Stats(); st.Silent[Failed] != 1 || st.Acks != 1 { // the one ACK is of the INFORM
		t.Errorf("stats %+v", st)
	}
	check0(t, os.Rename(dir+"x", dir))
	if m := w.ask(t, take); m.MessageType() != dhcpv4.MessageTypeAck {
		t.Errorf("control, with the disk back: %v", m.MessageType())
	}
}

func TestLimitPerMAC(t *testing.T) {
	cfg := testConfig()
	cfg.Limits = Limits{PerMACRate: 0.0001, PerMACBurst: 5}
	s, w := startOn(t, cfg, free_)
	for range 50 {
		w.in <- msg(inform, 1, ciaddr("10.0.0.9")).ToBytes()
	}
	w.settled(t, 2) // another client is not touched
	for range 5 {
		<-w.out
	}
	if st := s.Stats(); st.Silent[Limited] != 45 || st.Received != 51 {
		t.Errorf("stats %+v", st)
	}
}

func TestLimitOfInterface(t *testing.T) {
	cfg := testConfig()
	cfg.Limits = Limits{InterfaceRate: 0.0001, InterfaceBurst: 7}
	s, w := startOn(t, cfg, free_)
	for i := range 50 {
		w.in <- msg(inform, i, ciaddr("10.0.0.9")).ToBytes()
	}
	for range 7 {
		<-w.out
	}
	for s.Stats().Received < 50 {
		w.in <- []byte("x") // counted, too; the channel paces this loop
	}
	if n := len(w.out); n != 0 {
		t.Errorf("%d answers beyond the limit", n)
	}
}

func TestProberFails(t *testing.T) {
	s, w := startOn(t, testConfig(), func(netip.Addr) (net.HardwareAddr, error) { return nil, errors.New("no ARP here") })
	if m := w.ask(t, msg(discover, 1)); m.MessageType() != dhcpv4.MessageTypeOffer {
		t.Errorf("got %v", m)
	}
	if s.Stats().Probes != 1 {
		t.Errorf("stats %+v", s.Stats())
	}
}

func TestEveryAddressTaken(t *testing.T) {
	s, w := startOn(t, testConfig(), func(netip.Addr) (net.HardwareAddr, error) { return net.HardwareAddr{2, 9, 9, 9, 9, 9}, nil })
	w.in <- msg(discover, 1).ToBytes()
	for s.Stats().Silent[PoolEmpty] == 0 {
		w.settled(t, 2)
	}
	if st := s.Stats(); st.Conflicts != maxProbes || st.Offers != 0 {
		t.Errorf("stats %+v", st)
	}
}

// While all probes are taken, clients get what was probed a short while ago, and nothing unprobed.
func TestProbesTaken(t *testing.T) {
	cfg := testConfig()
	cfg.Limits.Probes = 1
	hold := make(chan struct{})
	s, w := startOn(t, cfg, func(a netip.Addr) (net.HardwareAddr, error) {
		if a != ip("10.0.0.2") {
			<-hold
		}
		return nil, nil
	})
	w.ask(t, msg(discover, 1)) // 10.0.0.2 is clear and offered
	w.in <- msg(discover, 2).ToBytes()
	for s.Stats().Probes < 2 {
		w.settled(t, 7)
	}
	if m := w.ask(t, msg(discover, 3)); toAddr(m.YourIPAddr) != ip("10.0.0.2") {
		t.Errorf("got %v, want the probed address", toAddr(m.YourIPAddr))
	}
	w.in <- msg(discover, 2).ToBytes() // its probe still runs
	w.in <- msg(discover, 77).ToBytes()
	w.settled(t, 2)
	w.settled(t, 77)
	close(hold)
	if m, _ := dhcpv4.FromBytes((<-w.out).bytes); toAddr(m.YourIPAddr) != ip("10.0.0.250") {
		t.Errorf("after its probe host 2 got %v", m)
	}
	if st := s.Stats(); st.Silent[Repeated] != 1 || st.Silent[Overload] != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestSendFails(t *testing.T) {
	s, w := startOn(t, testConfig(), free_)
	w.fail = errors.New("network is down")
	w.in <- msg(inform, 1, ciaddr("10.0.0.9")).ToBytes()
	for s.Stats().Silent[Failed] == 0 {
		w.in <- msg(release, 1).ToBytes()
	}
}

func TestGarbageIsCounted(t *testing.T) {
	s, w := startOn(t, testConfig(), free_)
	reply := msg(dhcpv4.MessageTypeOffer, 1)
	reply.OpCode = dhcpv4.OpcodeBootReply
	for _, b := range [][]byte{nil, make([]byte, 239), make([]byte, 240), make([]byte, 1501), reply.ToBytes(), msg(dhcpv4.MessageTypeAck, 1).ToBytes()} {
		w.in <- b
	}
	w.settled(t, 1)
	for s.Stats().Silent[Malformed]+s.Stats().Silent[NotARequest] < 6 {
		w.settled(t, 2)
	}
	if st := s.Stats(); st.Silent[Malformed] != 4 || st.Silent[NotARequest] != 2 {
		t.Errorf("stats %+v", st)
	}
}

func FuzzARPSender(f *testing.F) {
	f.Add(arpProbe(hostMAC(1), ip("10.0.0.1")))
	f.Add([]byte("\x00\x01\x08\x00\x06\x04\x00\x02\x02\x00\x00\x00\x00\x01\x0a\x00\x00\x01\x02\x00\x00\x00\x00\x02\x0a\x00\x00\x02"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, hw, ok := arpSender(b)
		if ok && (!a.Is4() || a.IsUnspecified() || len(hw) != 6) {
			t.Fatalf("%v %v", a, hw)
		}
	})
}
