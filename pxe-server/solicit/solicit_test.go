package solicit

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"go.uber.org/goleak"
	"golang.org/x/net/bpf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	epoch   = time.Unix(1_800_000_000, 0)
	us      = mac{2, 0, 0, 0, 0, 1}
	machine = mac{0x52, 0x54, 0, 0xe2, 0xe, 0x61}
	another = mac{0x52, 0x54, 0, 0xe2, 0xe, 0x62}
	routers = netip.MustParseAddr("ff02::2")
)

// packetOf puts a message of another code base's codec, with its checksum, into an IPv6 packet.
func packetOf(t testing.TB, m ndp.Message, from, to netip.Addr) []byte {
	t.Helper()
	body, err := ndp.MarshalMessageChecksum(m, from, to)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, headerLen)
	b[0], b[6], b[7] = 0x60, icmpv6, 255
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	f, d := from.As16(), to.As16()
	copy(b[8:], f[:])
	copy(b[24:], d[:])
	return append(b, body...)
}

func ask(t testing.TB, m mac) []byte {
	return packetOf(t, &ndp.RouterSolicitation{Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: m.hardware()}}}, linkLocal(m), routers)
}

func router(t testing.TB) []byte {
	return packetOf(t, &ndp.RouterAdvertisement{RouterLifetime: time.Hour}, linkLocal(another), netip.MustParseAddr("ff02::1"))
}

// TestAnswerAnnouncesNothing: read by another code base's codec, checksum included, the answer changes nothing on the host that gets it.
func TestAnswerAnnouncesNothing(t *testing.T) {
	table := newTable(us)
	table.boot(epoch, machine)
	b, _, ok := table.frame(epoch, machine, ask(t, machine))
	if !ok {
		t.Fatal("no answer")
	}
	from, to := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	if from != netip.MustParseAddr("fe80::ff:fe00:1") || to != linkLocal(machine) || b[7] != 255 || b[0]>>4 != 6 || int(binary.BigEndian.Uint16(b[4:])) != len(b)-headerLen {
		t.Errorf("from %v to %v, header %x", from, to, b[:headerLen])
	}
	m, err := ndp.ParseMessage(b[headerLen:])
	if err != nil {
		t.Fatal(err)
	}
	again := packetOf(t, m, from, to)
	if !slices.Equal(again, b) {
		t.Errorf("the answer is\n%x, by another code base\n%x", b, again)
	}
	ra, ok := m.(*ndp.RouterAdvertisement)
	if !ok || len(ra.Options) != 1 {
		t.Fatalf("the answer is %+v", m)
	}
	source, ok := ra.Options[0].(*ndp.LinkLayerAddress)
	if !ok || source.Direction != ndp.Source || source.Addr.String() != us.hardware().String() {
		t.Errorf("its option is %+v", ra.Options[0])
	}
	ra.Options = nil
	if ra.CurrentHopLimit != 0 || ra.ManagedConfiguration || ra.OtherConfiguration || ra.RouterLifetime != 0 || ra.ReachableTime != 0 || ra.RetransmitTimer != 0 {
		t.Errorf("it announces %+v", ra)
	}
}

// TestWhoIsAnswered: a machine that boots, for a minute, five times; nobody else, and nobody while a router is there.
func TestWhoIsAnswered(t *testing.T) {
	good := ask(t, machine)
	spoil := func(at int, v byte) []byte {
		b := slices.Clone(good)
		b[at] = v
		return b
	}
	global := packetOf(t, &ndp.RouterSolicitation{}, netip.MustParseAddr("2001:db8::1"), routers)
	unset := packetOf(t, &ndp.RouterSolicitation{}, netip.IPv6Unspecified(), routers)
	neighbor := packetOf(t, &ndp.NeighborSolicitation{TargetAddress: linkLocal(us)}, linkLocal(machine), routers)
	for name, c := range map[string]struct {
		from   mac
		packet []byte
		after  time.Duration
		want   bool
	}{
		"boots":                   {machine, good, 0, true},
		"boots, padded":           {machine, append(slices.Clone(good), 0, 0, 0), 0, true},
		"boots, a minute ago":     {machine, good, bootTime, true},
		"boots, longer ago":       {machine, good, bootTime + 1, false},
		"does not boot":           {another, ask(t, another), 0, false},
		"hop limit":               {machine, spoil(7, 64), 0, false},
		"not IPv6":                {machine, spoil(0, 0x45), 0, false},
		"extension header":        {machine, spoil(6, 0), 0, false},
		"checksum":                {machine, spoil(42, 0), 0, false},
		"code":                    {machine, spoil(41, 1), 0, false},
		"longer than it is":       {machine, spoil(5, 200), 0, false},
		"shorter than a question": {machine, spoil(5, 7), 0, false},
		"cut":                     {machine, good[:47], 0, false},
		"nothing":                 {machine, nil, 0, false},
		"from a global address":   {machine, global, 0, false},
		"from no address":         {machine, unset, 0, false},
		"another question":        {machine, neighbor, 0, false},
		"too long":                {machine, append(slices.Clone(good), make([]byte, longestWord)...), 0, false},
	} {
		table := newTable(us)
		table.boot(epoch, machine)
		if _, _, ok := table.frame(epoch.Add(c.after), c.from, c.packet); ok != c.want {
			t.Errorf("%s: answered %v, want %v", name, ok, c.want)
		}
	}
	table := newTable(us)
	table.boot(epoch, machine)
	n := 0
	for range 20 {
		if _, _, ok := table.frame(epoch, machine, good); ok {
			n++
		}
	}
	if n != answersEach {
		t.Errorf("one boot got %d answers, want %d", n, answersEach)
	}
	table.boot(epoch, machine)
	if _, _, ok := table.frame(epoch, us, packetOf(t, &ndp.RouterAdvertisement{}, linkLocal(us), linkLocal(machine))); ok {
		t.Error("our own answer was answered")
	}
	if _, _, ok := table.frame(epoch, machine, good); !ok {
		t.Error("control: another boot, and our own answer heard, leave it answered")
	}
	table.frame(epoch, another, router(t))
	if _, _, ok := table.frame(epoch, machine, good); ok {
		t.Error("answered though there is a router")
	}
	table.boot(epoch.Add(routerTime), machine)
	if _, _, ok := table.frame(epoch.Add(routerTime), machine, good); !ok {
		t.Error("the router is gone, and nobody answers")
	}
}

// TestAnnouncement: read by another code base's codec, it says that the prefix is on the link, that addresses come from DHCPv6, and that we are no router. Whoever asks
// is told, and so are all; while a router is there, nobody is.
func TestAnnouncement(t *testing.T) {
	table := newTable(us)
	if _, ok := table.toAll(epoch); ok {
		t.Error("announces without having been told what")
	}
	table.announce = &Announcement{Prefix: netip.MustParsePrefix("2001:db8::/64")}
	asked, _, ok1 := table.frame(epoch, another, ask(t, another)) // which does not boot
	all, ok2 := table.toAll(epoch)
	if !ok1 || !ok2 {
		t.Fatalf("answers %v, announces %v", ok1, ok2)
	}
	for to, b := range map[netip.Addr][]byte{linkLocal(another): asked, allHosts: all} {
		m, err := ndp.ParseMessage(b[headerLen:])
		if err != nil {
			t.Fatal(err)
		}
		if again := packetOf(t, m, linkLocal(us), to); !slices.Equal(again, b) {
			t.Errorf("to %v it is\n%x, by another code base\n%x", to, b, again)
		}
		ra, ok := m.(*ndp.RouterAdvertisement)
		if !ok || !ra.ManagedConfiguration || !ra.OtherConfiguration || ra.RouterLifetime != 0 || ra.ReachableTime != 0 || ra.RetransmitTimer != 0 || len(ra.Options) != 2 {
			t.Fatalf("it announces %+v", m)
		}
		p, ok := ra.Options[1].(*ndp.PrefixInformation)
		if !ok || p.Prefix != netip.MustParseAddr("2001:db8::") || p.PrefixLength != 64 || !p.OnLink || p.AutonomousAddressConfiguration || p.ValidLifetime != 2*time.Hour || p.PreferredLifetime != time.Hour {
			t.Errorf("the prefix is %+v", ra.Options[1])
		}
	}
	unset := packetOf(t, &ndp.RouterSolicitation{}, netip.IPv6Unspecified(), routers) // as UEFI asks
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{time.Second, false}, {tellPause, true}, {tellPause + time.Second, false}, {2 * tellPause, true}} {
		b, to, ok := table.frame(epoch.Add(c.after), another, unset)
		if ok != c.want || ok && (to != mac(allNodes) || netip.AddrFrom16([16]byte(b[24:])) != allHosts) {
			t.Errorf("asked from no address %v after all were told: told again %v, to %x", c.after, ok, to)
		}
	}
	n := 0
	for range 3 * askedPerSecond {
		if _, _, ok := table.frame(epoch.Add(time.Second), another, ask(t, another)); ok {
			n++
		}
	}
	if n != askedPerSecond {
		t.Errorf("%d answers in one second, want %d", n, askedPerSecond)
	}
	table.frame(epoch.Add(time.Minute), machine, router(t))
	_, _, ok1 = table.frame(epoch.Add(time.Minute), another, ask(t, another))
	if _, ok2 = table.toAll(epoch.Add(time.Minute)); ok1 || ok2 {
		t.Errorf("beside a router: answers %v, announces %v", ok1, ok2)
	}
	if _, ok := table.toAll(epoch.Add(time.Minute + routerTime)); !ok {
		t.Error("the router is gone, and nobody announces")
	}
}

// TestMemoryIsBounded: made-up machines do not fill it for longer than a minute.
func TestMemoryIsBounded(t *testing.T) {
	table := newTable(us)
	for i := range 2 * maxBoots {
		table.boot(epoch, mac{2, 0, 0, 1, byte(i >> 8), byte(i)})
	}
	if len(table.boots) != maxBoots {
		t.Errorf("%d boots are kept", len(table.boots))
	}
	later := epoch.Add(bootTime + 1)
	table.boot(later, machine)
	if _, _, ok := table.frame(later, machine, ask(t, machine)); !ok || len(table.boots) != 1 {
		t.Errorf("after a minute: answered %v, %d boots", ok, len(table.boots))
	}
}

// TestFilter: the kernel lets questions and advertisements through, and nothing else.
func TestFilter(t *testing.T) {
	vm, err := bpf.NewVM(filter)
	if err != nil {
		t.Fatal(err)
	}
	neighbor := packetOf(t, &ndp.NeighborSolicitation{TargetAddress: linkLocal(us)}, linkLocal(machine), routers)
	udp := slices.Clone(ask(t, machine))
	udp[6] = 17
	for name, c := range map[string]struct {
		packet []byte
		keep   bool
	}{"question": {ask(t, machine), true}, "router": {router(t), true}, "neighbor": {neighbor, false}, "UDP": {udp, false}, "short": {udp[:20], false}} {
		if n, err := vm.Run(c.packet); err != nil || (n > 0) != c.keep {
			t.Errorf("%s: keeps %d, %v", name, n, err)
		}
	}
}

// FuzzFrame: whatever comes, an answer goes to the asker's link-local address alone and is no longer than it must be.
func FuzzFrame(f *testing.F) {
	f.Add(ask(f, machine))
	f.Add(router(f))
	f.Add([]byte{0x60})
	f.Fuzz(func(t *testing.T, b []byte) {
		table := newTable(us)
		table.boot(epoch, machine)
		answer, to, ok := table.frame(epoch, machine, b)
		table.announce = &Announcement{Prefix: netip.MustParsePrefix("2001:db8::/64")}
		if _, _, also := table.frame(epoch, machine, b); ok && !also {
			t.Fatalf("%x is answered: %v; by one that announces: %v", b, ok, also)
		}
		if !ok {
			return
		}
		if dst := netip.AddrFrom16([16]byte(answer[24:])); len(answer) != 64 || to != machine || !dst.IsLinkLocalUnicast() || dst != netip.AddrFrom16([16]byte(b[8:])) {
			t.Fatalf("%x was answered with %x", b, answer)
		}
	})
}

// cable is a wire in memory.
type cable struct {
	in   chan []byte
	out  chan []byte
	end  chan struct{}
	fail error
}

func (c *cable) receive(b []byte) (int, mac, error) {
	select {
	case p := <-c.in:
		return copy(b, p), machine, c.fail
	case <-c.end:
		return 0, mac{}, net.ErrClosed
	}
}

func (c *cable) send(b []byte, to mac) error {
	if to == machine || to == mac(allNodes) {
		c.out <- b
	}
	return errors.New("it left, and an error is only logged")
}

func (c *cable) close() error {
	select {
	case <-c.end:
	default:
		close(c.end)
	}
	return nil
}

func TestServe(t *testing.T) {
	c := &cable{in: make(chan []byte), out: make(chan []byte, 1), end: make(chan struct{})}
	s := newServer(Config{Interface: "eth0"}, c, us)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	c.in <- ask(t, machine) // nobody boots yet
	c.in <- nil             // by now it was looked at
	s.Boots(net.HardwareAddr{1, 2, 3})
	s.Boots(machine.hardware())
	c.in <- ask(t, machine)
	if b := <-c.out; len(b) == 0 || s.Answered() != 1 {
		t.Errorf("answered %d times", s.Answered())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestServeAnnounces: all hosts are told at the start, soon again, and then every few minutes.
func TestServeAnnounces(t *testing.T) {
	c := &cable{in: make(chan []byte), out: make(chan []byte), end: make(chan struct{})}
	pauses, tick := make(chan time.Duration, 8), make(chan time.Time)
	s := newServer(Config{
		Interface: "eth0", Announce: &Announcement{Prefix: netip.MustParsePrefix("2001:db8::/64")},
		After: func(d time.Duration) <-chan time.Time { pauses <- d; return tick },
	}, c, us)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	for _, want := range []time.Duration{announceFirst, announceFirst, announceTime, announceTime} {
		if b := <-c.out; netip.AddrFrom16([16]byte(b[24:])) != allHosts {
			t.Errorf("announced to %x", b[24:40])
		}
		if got := <-pauses; got != want {
			t.Errorf("the next one in %v, want %v", got, want)
		}
		tick <- epoch
	}
	<-c.out
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestServeGivesUp on a wire that only fails.
func TestServeGivesUp(t *testing.T) {
	c := &cable{in: make(chan []byte, 200), out: make(chan []byte, 1), end: make(chan struct{}), fail: errors.New("network is down")}
	for range 200 {
		c.in <- nil
	}
	if err := newServer(Config{}, c, us).Serve(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, err := New(Config{Interface: "none0"}); err == nil {
		t.Error("an interface that is not there")
	}
}
