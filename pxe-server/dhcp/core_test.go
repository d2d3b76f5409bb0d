package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"pgregory.net/rapid"

	"ingot.dev/ingot/pxe-server/leases"
)

var epoch = time.Unix(1_800_000_000, 0)

func testConfig() Config {
	return Config{
		Interface: "br0", ServerIP: ip("10.0.0.1"), LeaseFile: "leases",
		Subnets: []Subnet{
			{
				Prefix: netip.MustParsePrefix("10.0.0.0/24"), Pools: []Range{{ip("10.0.0.1"), ip("10.0.0.3")}, {ip("10.0.0.250"), ip("10.0.0.255")}},
				Router: ip("10.0.0.254"), DNS: []netip.Addr{ip("10.0.0.53")}, NTP: []netip.Addr{ip("10.0.0.123")}, Domain: "lab.example", LeaseTime: time.Hour,
			},
			{Prefix: netip.MustParsePrefix("10.9.0.0/16"), Pools: []Range{{ip("10.9.1.0"), ip("10.9.1.9")}}, Router: ip("10.9.0.1"), LeaseTime: 2 * time.Hour},
		},
		Reservations: []Reservation{{MAC: hostMAC(77), IP: ip("10.0.0.77"), Hostname: "seven"}, {MAC: hostMAC(78), IP: ip("10.0.0.3")}},
		Boot: Boot{
			NBP: func(a Arch) (string, bool) {
				n, ok := map[Arch]string{ArchBIOS: "undionly.kpxe", ArchUEFIx64BC: "snponly.efi", ArchUEFIx64: "snponly.efi", ArchUEFIArm64: "arm64.efi"}[a]
				return n, ok
			},
			HTTPURL:   func(a Arch) (string, bool) { return "http://10.0.0.1/snponly.efi", a == ArchHTTPx64 },
			ScriptURL: "http://10.0.0.1/boot.ipxe?mac=${mac}",
		},
	}
}

// bench drives a core as the shell does, with an answer for every probe.
type bench struct {
	t       testing.TB
	c       *core
	now     time.Time
	holders map[netip.Addr]macAddr
	probed  []netip.Addr
	saved   []leases.Record
	source  netip.Addr
}

func newBench(t testing.TB) *bench { return benchOf(t, testConfig()) }

func benchOf(t testing.TB, cfg Config) *bench {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, c: newCore(cfg.withDefaults()), now: epoch, holders: map[netip.Addr]macAddr{}}
}

func (b *bench) raw(p []byte) step {
	for range maxProbes + 1 {
		s := b.c.handle(b.now, p, b.source)
		if s.save != nil {
			b.saved = append(b.saved, *s.save)
		}
		if !s.probe.IsValid() {
			return s
		}
		b.probed = append(b.probed, s.probe)
		b.c.probed(b.now, p, s.probe, b.holders[s.probe])
	}
	return silent(PoolEmpty)
}

// do returns the decoded reply, nil for silence.
func (b *bench) do(p *dhcpv4.DHCPv4) (*dhcpv4.DHCPv4, step) {
	b.t.Helper()
	s := b.raw(p.ToBytes())
	if s.reply == nil {
		return nil, s
	}
	if slices.Contains(b.probed, ip("10.9.1.0")) {
		b.t.Fatal("probed an address behind a relay")
	}
	m, err := dhcpv4.FromBytes(s.reply.bytes)
	if err != nil {
		b.t.Fatal(err)
	}
	return m, s
}

func msg(typ dhcpv4.MessageType, host int, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	all := append([]dhcpv4.Modifier{dhcpv4.WithMessageType(typ), dhcpv4.WithHwAddr(hostMAC(host)), dhcpv4.WithTransactionID(dhcpv4.TransactionID{1, 2, 3, byte(host)})}, mods...)
	p, err := dhcpv4.New(all...)
	if err != nil {
		panic(err)
	}
	return p
}

func opt(code uint8, v ...byte) dhcpv4.Modifier {
	return dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(code), v)
}

func optIP(code uint8, a string) dhcpv4.Modifier { return opt(code, ip(a).AsSlice()...) }

func ciaddr(a string) dhcpv4.Modifier { return dhcpv4.WithClientIP(net.IP(ip(a).AsSlice())) }
func giaddr(a string) dhcpv4.Modifier { return dhcpv4.WithGatewayIP(net.IP(ip(a).AsSlice())) }

const (
	discover = dhcpv4.MessageTypeDiscover
	request_ = dhcpv4.MessageTypeRequest
	inform   = dhcpv4.MessageTypeInform
	release  = dhcpv4.MessageTypeRelease
	decline  = dhcpv4.MessageTypeDecline
)

// dora gets a lease and returns its address.
func (b *bench) dora(host int, mods ...dhcpv4.Modifier) netip.Addr {
	b.t.Helper()
	o, s := b.do(msg(discover, host, mods...))
	if o == nil || o.MessageType() != dhcpv4.MessageTypeOffer {
		b.t.Fatalf("host %d: DISCOVER got %v, %s", host, o, s.silence)
	}
	a := toAddr(o.YourIPAddr)
	ack, s := b.do(msg(request_, host, append(mods, optIP(54, "10.0.0.1"), optIP(50, a.String()))...))
	if ack == nil || ack.MessageType() != dhcpv4.MessageTypeAck || toAddr(ack.YourIPAddr) != a {
		b.t.Fatalf("host %d: REQUEST of %v got %v, %s", host, a, ack, s.silence)
	}
	return a
}

func TestPoolLeavesOutWhatIsTaken(t *testing.T) {
	b := newBench(t)
	var got []string
	for h := range 10 {
		if o, _ := b.do(msg(discover, h)); o != nil {
			got = append(got, b.dora(h).String())
		}
	}
	// Not .1 (server), .3 (reserved), .254 (router), .255 (broadcast).
	want := []string{"10.0.0.2", "10.0.0.250", "10.0.0.251", "10.0.0.252", "10.0.0.253"}
	if !slices.Equal(got, want) {
		t.Errorf("gave %v, want %v", got, want)
	}
	if _, s := b.do(msg(discover, 50)); s.silence != PoolEmpty {
		t.Errorf("an empty pool: %q", s.silence)
	}
	b.now = b.now.Add(time.Hour) // all leases end
	if a := b.dora(51); !slices.Contains(want, a.String()) {
		t.Errorf("after all leases ended: %v", a)
	}
	if a := b.dora(9); a == b.dora(4) {
		t.Errorf("two clients hold %v", a)
	}
}

func TestStickyAddress(t *testing.T) {
	b := newBench(t)
	first := b.dora(1)
	b.dora(2)
	if again := b.dora(1, opt(61, append([]byte{1}, hostMAC(1)...)...)); again != first {
		t.Errorf("with an identifier that repeats the MAC: %v, had %v", again, first)
	}
	b.now = b.now.Add(2 * time.Hour)
	if again := b.dora(1); again != first {
		t.Errorf("after its lease ended: %v, had %v", again, first)
	}
	if other := b.dora(1, opt(61, 0xff, 1, 2, 3)); other == first {
		t.Errorf("another identifier got the address %v of the MAC alone", other)
	}
	uuid := make([]byte, 17) // two machines with an all-zero UUID as identifier
	if a, c := b.dora(5, opt(61, uuid...)), b.dora(6, opt(61, uuid...)); a == c {
		t.Errorf("two machines with one UUID share %v", a)
	}
}

func TestReservation(t *testing.T) {
	b := newBench(t)
	if a := b.dora(77, optIP(50, "10.0.0.2")); a != ip("10.0.0.77") {
		t.Errorf("got %v, want the reserved address", a)
	}
	if a := b.dora(77, opt(61, 0xff, 9, 9)); a != ip("10.0.0.77") {
		t.Errorf("with another identifier: %v, want the reserved address", a)
	}
	o, _ := b.do(msg(discover, 77, opt(55, 12)))
	if o.HostName() != "seven" {
		t.Errorf("host name %q", o.HostName())
	}
	if n, _ := b.do(msg(request_, 1, optIP(54, "10.0.0.1"), optIP(50, "10.0.0.77"))); n == nil || n.MessageType() != dhcpv4.MessageTypeNak {
		t.Errorf("another's reserved address: %v, want NAK", n)
	}
}

func TestRequestStates(t *testing.T) {
	for name, c := range map[string]struct {
		host int
		mods []dhcpv4.Modifier
		want string
	}{
		"selecting the offer":               {2, []dhcpv4.Modifier{optIP(54, "10.0.0.1"), optIP(50, "10.0.0.250")}, "ACK 10.0.0.250"},
		"selecting what another has":        {2, []dhcpv4.Modifier{optIP(54, "10.0.0.1"), optIP(50, "10.0.0.2")}, "NAK"},
		"selecting outside the pools":       {2, []dhcpv4.Modifier{optIP(54, "10.0.0.1"), optIP(50, "10.0.0.99")}, "NAK"},
		"selecting the server":              {2, []dhcpv4.Modifier{optIP(54, "10.0.0.1"), optIP(50, "10.0.0.1")}, "NAK"},
		"selecting another server":          {2, []dhcpv4.Modifier{optIP(54, "10.0.0.9"), optIP(50, "10.0.0.250")}, "other-server"},
		"selecting nothing":                 {2, []dhcpv4.Modifier{optIP(54, "10.0.0.1")}, "malformed"},
		"rebooting with its address":        {1, []dhcpv4.Modifier{optIP(50, "10.0.0.2")}, "ACK 10.0.0.2"},
		"rebooting with a wrong address":    {1, []dhcpv4.Modifier{optIP(50, "10.0.0.250")}, "NAK"},
		"rebooting on a wrong network":      {1, []dhcpv4.Modifier{optIP(50, "192.168.1.2")}, "NAK"},
		"rebooting, unknown":                {3, []dhcpv4.Modifier{optIP(50, "10.0.0.250")}, "unknown-lease"},
		"rebooting, unknown, wrong network": {3, []dhcpv4.Modifier{optIP(50, "192.168.1.2")}, "NAK"},
		"rebooting, reserved":               {77, []dhcpv4.Modifier{optIP(50, "10.0.0.77")}, "ACK 10.0.0.77"},
		"renewing":                          {1, []dhcpv4.Modifier{ciaddr("10.0.0.2")}, "ACK 10.0.0.2"},
		"renewing with our id":              {1, []dhcpv4.Modifier{ciaddr("10.0.0.2"), optIP(54, "10.0.0.1")}, "ACK 10.0.0.2"},
		"renewing another's":                {2, []dhcpv4.Modifier{ciaddr("10.0.0.2")}, "NAK"},
		"renewing, unknown":                 {3, []dhcpv4.Modifier{ciaddr("10.0.0.251")}, "unknown-lease"},
		"rebinding from a wrong network":    {1, []dhcpv4.Modifier{ciaddr("192.168.1.2")}, "NAK"},
		"rebinding by relay":                {1, []dhcpv4.Modifier{ciaddr("10.0.0.2"), giaddr("10.9.0.1")}, "NAK"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.dora(1) // holds 10.0.0.2
			b.do(msg(discover, 2))
			m, s := b.do(msg(request_, c.host, c.mods...))
			if got := outcome(m, s); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func outcome(m *dhcpv4.DHCPv4, s step) string {
	switch {
	case m == nil:
		return string(s.silence)
	case m.MessageType() == dhcpv4.MessageTypeNak:
		return "NAK"
	}
	return fmt.Sprintf("%s %s", m.MessageType(), toAddr(m.YourIPAddr))
}

func TestDestination(t *testing.T) {
	for name, c := range map[string]struct {
		mods   []dhcpv4.Modifier
		to     string
		framed bool
	}{
		"no address yet":  {nil, "10.0.0.2:68", true},
		"broadcast flag":  {[]dhcpv4.Modifier{dhcpv4.WithBroadcast(true)}, "255.255.255.255:68", false},
		"relay":           {[]dhcpv4.Modifier{giaddr("10.9.0.1")}, "10.9.0.1:67", false},
		"relay+broadcast": {[]dhcpv4.Modifier{giaddr("10.9.200.3"), dhcpv4.WithBroadcast(true)}, "10.9.200.3:67", false},
	} {
		b := newBench(t)
		_, s := b.do(msg(discover, 1, c.mods...))
		if s.reply.to.String() != c.to || (s.reply.hardware != macAddr{}) != c.framed {
			t.Errorf("%s: to %v, frame %v; want %s, %v", name, s.reply.to, s.reply.hardware, c.to, c.framed)
		}
	}
	b := newBench(t)
	b.dora(1)
	if _, s := b.do(msg(request_, 1, ciaddr("10.0.0.2"), dhcpv4.WithBroadcast(true))); s.reply.to.String() != "10.0.0.2:68" {
		t.Errorf("renewing: to %v", s.reply.to)
	}
	if _, s := b.do(msg(request_, 9, ciaddr("10.0.0.2"))); s.reply.to.String() != "255.255.255.255:68" {
		t.Errorf("NAK: to %v", s.reply.to)
	}
	if m, s := b.do(msg(request_, 9, optIP(50, "10.0.0.2"), giaddr("10.9.0.1"))); s.reply.to.String() != "10.9.0.1:67" || !m.IsBroadcast() {
		t.Errorf("relayed NAK: to %v, broadcast flag %v", s.reply.to, m.IsBroadcast())
	}
}

// Proof T23: nothing goes to a relay outside the configured subnets.
func TestRelay(t *testing.T) {
	b := newBench(t)
	info := []byte{1, 4, 'e', 't', 'h', '0', 2, 2, 9, 9}
	m, _ := b.do(msg(discover, 1, giaddr("10.9.0.1"), opt(82, info...)))
	if a := toAddr(m.YourIPAddr); a != ip("10.9.1.0") || len(b.probed) != 0 {
		t.Errorf("gave %v, probed %v; want the relay's subnet, unprobed", a, b.probed)
	}
	if !slices.Equal(m.Options[82], info) || toAddr(m.GatewayIPAddr) != ip("10.9.0.1") || m.Options.Has(dhcpv4.GenericOptionCode(6)) {
		t.Errorf("reply %v", m)
	}
	if m, _ := b.do(msg(discover, 2, opt(82, info...))); m.Options[82] != nil {
		t.Error("option 82 echoed to a client that is not relayed")
	}
	for _, gi := range []string{"10.8.0.1", "8.8.8.8", "127.0.0.1", "255.255.255.255", "224.0.0.1"} {
		for _, typ := range []dhcpv4.MessageType{discover, request_, inform} {
			if _, s := b.do(msg(typ, 1, giaddr(gi), ciaddr("10.9.1.0"))); s.silence != UnknownNet {
				t.Errorf("%v through %s: %+v", typ, gi, s)
			}
		}
	}
}

func TestInform(t *testing.T) {
	b := newBench(t)
	b.source = ip("10.0.0.200")
	m, s := b.do(msg(inform, 1, ciaddr("10.0.0.200"), opt(55, 6, 15)))
	if m == nil || m.MessageType() != dhcpv4.MessageTypeAck || toAddr(m.YourIPAddr).IsValid() || m.Options[51] != nil || m.DomainName() != "lab.example" ||
		s.reply.to.String() != "10.0.0.200:68" || s.save != nil {
		t.Errorf("INFORM got %v, %+v", m, s)
	}
	b.source = ip("10.9.3.3")
	if m, s := b.do(msg(inform, 1, ciaddr("10.9.3.3"))); m == nil || s.reply.to.String() != "10.9.3.3:68" {
		t.Errorf("routed INFORM got %v, %+v", m, s)
	}
	for _, a := range []string{"10.0.0.1", "10.0.0.255", "10.0.0.0", "8.8.8.8", "255.255.255.255"} {
		b.source = ip("10.0.0.200")
		if _, s := b.do(msg(inform, 1, ciaddr(a))); s.silence != UnknownNet {
			t.Errorf("INFORM for %s: %+v", a, s)
		}
	}
}

func TestRelease(t *testing.T) {
	b := newBench(t)
	a := b.dora(1)
	for _, p := range []*dhcpv4.DHCPv4{msg(release, 2, ciaddr(a.String())), msg(release, 1, ciaddr("10.0.0.250")), msg(release, 1, ciaddr(a.String()), optIP(54, "10.0.0.9"))} {
		if _, s := b.do(p); s.silence == Done {
			t.Error("a release that does not fit was taken")
		}
	}
	if _, s := b.do(msg(release, 1, ciaddr(a.String()), optIP(54, "10.0.0.1"))); s.silence != Done || s.save == nil || s.save.Until.After(b.now) {
		t.Errorf("RELEASE: %+v", s)
	}
	if n := len(b.c.leases(b.now)); n != 0 {
		t.Errorf("%d leases after the release", n)
	}
	if again := b.dora(1); again != a {
		t.Errorf("after its release the client got %v, had %v", again, a)
	}
}

func TestDecline(t *testing.T) {
	b := newBench(t)
	a := b.dora(1)
	if _, s := b.do(msg(decline, 2, optIP(50, a.String()))); s.silence != UnknownLease {
		t.Errorf("declining another's address: %+v", s)
	}
	if _, s := b.do(msg(decline, 1, optIP(50, a.String()), optIP(54, "10.0.0.1"))); s.silence != Done {
		t.Errorf("DECLINE: %+v", s)
	}
	if again := b.dora(1); again == a {
		t.Errorf("the declined %v was given again", a)
	}
	b.now = b.now.Add(asideTime)
	if m, _ := b.do(msg(discover, 3, optIP(50, a.String()))); toAddr(m.YourIPAddr) != a {
		t.Errorf("after its time aside: %v, want %v", toAddr(m.YourIPAddr), a)
	}
}

func TestProbe(t *testing.T) {
	b := newBench(t)
	b.holders[ip("10.0.0.2")] = macAddr{2, 9}
	if a := b.dora(1); a != ip("10.0.0.250") {
		t.Errorf("got %v; 10.0.0.2 is held by somebody", a)
	}
	if !slices.Equal(b.probed, []netip.Addr{ip("10.0.0.2"), ip("10.0.0.250")}) {
		t.Errorf("probed %v", b.probed)
	}
	b.probed = nil
	b.dora(1)
	if len(b.probed) != 0 {
		t.Errorf("probed the client's own lease: %v", b.probed)
	}
	b.now = b.now.Add(2 * time.Hour)
	b.holders[ip("10.0.0.250")] = macAddr(hostMAC(1)) // the client still answers for its old address
	if a := b.dora(1); a != ip("10.0.0.250") || !slices.Equal(b.probed, []netip.Addr{a}) {
		t.Errorf("got %v, probed %v; want its old address, probed", a, b.probed)
	}
	b.holders[ip("10.0.0.77")] = macAddr{2, 9}
	if _, s := b.do(msg(discover, 77)); s.silence != PoolEmpty {
		t.Errorf("a reserved address in use by somebody else: %+v", s)
	}
}

// Proof T20, without the clock of a real link: a flood of DISCOVERs with made-up MACs cannot keep a machine from booting.
func TestFloodLeavesRoom(t *testing.T) {
	b := newBench(t)
	for i := range 5000 {
		p := msg(discover, 0)
		p.ClientHWAddr = net.HardwareAddr{2, 1, 2, 3, byte(i >> 8), byte(i)}
		b.raw(p.ToBytes())
		b.now = b.now.Add(200 * time.Microsecond)
	}
	if n := len(b.c.subnets[0].byClient); n > 5 {
		t.Errorf("remembers %d clients for 5 addresses", n)
	}
	a, _ := b.do(msg(discover, 200))
	for i := range 50 { // the flood goes on between OFFER and REQUEST
		p := msg(discover, 0)
		p.ClientHWAddr = net.HardwareAddr{2, 7, 2, 3, byte(i >> 8), byte(i)}
		b.raw(p.ToBytes())
	}
	ack, _ := b.do(msg(request_, 200, optIP(54, "10.0.0.1"), optIP(50, toAddr(a.YourIPAddr).String())))
	if ack == nil || ack.MessageType() != dhcpv4.MessageTypeAck {
		t.Errorf("the machine got %v", ack)
	}
	if len(b.probed) > 20 {
		t.Errorf("the flood caused %d probes for 5 addresses", len(b.probed))
	}
}

func TestLeaseTime(t *testing.T) {
	for asked, want := range map[uint32]time.Duration{0: minLease, 600: 10 * time.Minute, 1 << 31: time.Hour} {
		b := newBench(t)
		m, _ := b.do(msg(discover, 1, opt(51, byte(asked>>24), byte(asked>>16), byte(asked>>8), byte(asked)), opt(55, 58, 59)))
		if got := m.IPAddressLeaseTime(0); got != want || m.IPAddressRenewalTime(0) != want/2 {
			t.Errorf("asked for %d s: %v, renewal %v; want %v", asked, got, m.IPAddressRenewalTime(0), want)
		}
	}
}

// Whatever clients do, no address has two holders, and every lease was saved before its ACK.
func TestNoAddressTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &bench{t: nil, c: newCore(testConfig().withDefaults()), now: epoch, holders: map[netip.Addr]macAddr{}}
		type hold struct {
			host  int
			until time.Time
		}
		held := map[netip.Addr]hold{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			b.now = b.now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 20, 1800, 4000}).Draw(t, "seconds")) * time.Second)
			host := rapid.SampledFrom([]int{1, 2, 3, 4, 5, 6, 7, 77, 78}).Draw(t, "host")
			a := rapid.SampledFrom([]string{"10.0.0.2", "10.0.0.3", "10.0.0.250", "10.0.0.251", "10.0.0.77", "10.9.1.1"}).Draw(t, "address")
			p := rapid.SampledFrom([]*dhcpv4.DHCPv4{
				msg(discover, host, optIP(50, a)), msg(discover, host), msg(request_, host, optIP(54, "10.0.0.1"), optIP(50, a)), msg(request_, host, optIP(50, a)),
				msg(request_, host, ciaddr(a)), msg(release, host, ciaddr(a)), msg(decline, host, optIP(50, a)), msg(discover, host, giaddr("10.9.0.1")),
			}).Draw(t, "packet")
			b.saved = nil
			s := b.raw(p.ToBytes())
			if p.MessageType() == release || p.MessageType() == decline {
				if s.silence == Done {
					delete(held, b.saved[0].IP)
				}
				continue
			}
			if s.reply == nil || s.reply.typ == dhcpv4.MessageTypeNak {
				continue
			}
			m, _ := dhcpv4.FromBytes(s.reply.bytes)
			y := toAddr(m.YourIPAddr)
			if h, ok := held[y]; ok && h.host != host && b.now.Before(h.until) {
				t.Fatalf("%v goes to host %d while host %d has it until %v", y, host, h.host, h.until)
			}
			if s.reply.typ == dhcpv4.MessageTypeAck {
				if len(b.saved) != 1 || b.saved[0].IP != y {
					t.Fatalf("ACK of %v with saved %v", y, b.saved)
				}
				held[y] = hold{host, b.saved[0].Until}
			}
		}
	})
}

func BenchmarkOffer(b *testing.B) {
	bn := newBench(b)
	p := msg(discover, 1, opt(55, 1, 3, 6, 15, 42, 66, 67, 43, 60), opt(60, []byte("PXEClient:Arch:00007:UNDI:003000")...), opt(93, 0, 7), opt(97, make([]byte, 17)...)).ToBytes()
	for b.Loop() {
		if s := bn.raw(p); s.reply == nil {
			b.Fatal(s.silence)
		}
	}
}
