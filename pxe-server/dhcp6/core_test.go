package dhcp6

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"ingot.dev/ingot/pxe-server/leases"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Unix(1_800_000_000, 0)

const (
	ours   = "\x00\x03\x00\x01\x02\x00\x00\x00\x00\x01"
	theirs = "\x00\x03\x00\x01\x02\x00\x00\x00\x00\x99"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func testConfig() Config {
	return Config{
		Interface: "eth0", ServerIP: ip("2001:db8::1"), Prefix: netip.MustParsePrefix("2001:db8::/64"), LeaseFile: "leases6",
		Pool: Range{ip("2001:db8::1000"), ip("2001:db8::1fff")}, DNS: []netip.Addr{ip("2001:db8::53")}, Domain: "lab.example",
		Boot: Boot{
			TFTPURL: func(a Arch) (string, bool) { return "tftp://[2001:db8::1]/snponly.efi", a == 7 },
			HTTPURL: func(a Arch) (string, bool) { return "http://[2001:db8::1]:7480/snponly.efi", a == 16 }, ScriptURL: "http://[2001:db8::1]:7480/boot.ipxe",
		},
	}.withDefaults()
}

func TestLifeOfALease(t *testing.T) {
	b := newBench(t)
	one, two := b.acquire(1), b.acquire(2)
	if one == two || !b.c.cfg.Pool.contains(ip(one)) || !b.c.cfg.Pool.contains(ip(two)) {
		t.Fatalf("got %s and %s", one, two)
	}
	same := func(what string, m *dhcpv6.Message, want string) {
		t.Helper()
		if got := outcome(b.do(m)); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	b.now = b.now.Add(30 * time.Minute)
	same("renew", msg(dhcpv6.MessageTypeRenew, clientID(1), server(ours), want(1, one)), "reply "+one)
	if got := b.c.table.byIP[ip(one)].until; !got.Equal(b.now.Add(time.Hour)) {
		t.Errorf("renewed until %v", got)
	}
	same("rebind", msg(dhcpv6.MessageTypeRebind, clientID(1), want(1, one)), "reply "+one)
	same("renew without an address", msg(dhcpv6.MessageTypeRenew, clientID(1), server(ours), want(1)), "reply "+one)
	same("renew with another besides", msg(dhcpv6.MessageTypeRenew, clientID(1), server(ours), want(1, one, two)), "reply "+one+" -"+two)
	same("renew of a stranger", msg(dhcpv6.MessageTypeRenew, clientID(9), server(ours), want(1, one)), "reply NoBinding")
	same("rebind of a stranger", msg(dhcpv6.MessageTypeRebind, clientID(9), want(1, one)), string(UnknownLease))
	same("rebind on another link", msg(dhcpv6.MessageTypeRebind, clientID(9), want(1, "2001:db8:9::1")), "reply -2001:db8:9::1")
	same("renew after a lost lease file", msg(dhcpv6.MessageTypeRenew, clientID(8), server(ours), want(1, "2001:db8::1abc")), "reply 2001:db8::1abc")
	same("confirm", msg(dhcpv6.MessageTypeConfirm, clientID(1), want(1, one)), "reply Success")
	same("confirm on another link", msg(dhcpv6.MessageTypeConfirm, clientID(1), want(1, one, "2001:db8:9::1")), "reply NotOnLink")
	same("confirm of nothing", msg(dhcpv6.MessageTypeConfirm, clientID(1), want(1)), string(UnknownLease))
	same("request on another link", msg(dhcpv6.MessageTypeRequest, clientID(1), server(ours), want(1, "2001:db8:9::1")), "reply NotOnLink")
	same("release of a stranger", msg(dhcpv6.MessageTypeRelease, clientID(9), server(ours), want(1, one)), "reply Success NoBinding")
	if len(b.c.table.leases(b.now)) != 3 {
		t.Errorf("%v", b.c.table.leases(b.now))
	}
	same("release", msg(dhcpv6.MessageTypeRelease, clientID(1), server(ours), want(1, one)), "reply Success")
	if len(b.c.table.leases(b.now)) != 2 {
		t.Errorf("after a release: %v", b.c.table.leases(b.now))
	}
	if again := b.acquire(1); again != one {
		t.Errorf("host 1 came back and got %s, had %s", again, one)
	}
	same("decline", msg(dhcpv6.MessageTypeDecline, clientID(1), server(ours), want(1, one)), "reply Success")
	if again := b.acquire(1); again == one {
		t.Error("host 1 got the address that it declined")
	}
	b.now = b.now.Add(asideTime)
	same("a declined address, later", msg(dhcpv6.MessageTypeRequest, clientID(7), server(ours), want(7, one)), "reply "+one)
}

// TestWhoIsAnswered walks the rules of RFC 8415 section 16.
func TestWhoIsAnswered(t *testing.T) {
	addr := want(1, "2001:db8::1001")
	for name, c := range map[string]struct {
		m       *dhcpv6.Message
		source  string
		unicast bool
		want    string
	}{
		"solicit":                           {msg(dhcpv6.MessageTypeSolicit, clientID(1)), "", false, "advertise"},
		"solicit of nobody":                 {msg(dhcpv6.MessageTypeSolicit), "", false, "malformed"},
		"solicit to a server":               {msg(dhcpv6.MessageTypeSolicit, clientID(1), server(ours)), "", false, "malformed"},
		"solicit to us alone":               {msg(dhcpv6.MessageTypeSolicit, clientID(1)), "", true, "unicast"},
		"solicit from elsewhere":            {msg(dhcpv6.MessageTypeSolicit, clientID(1)), "2001:db8:1::1", false, "unknown-net"},
		"solicit from an address":           {msg(dhcpv6.MessageTypeSolicit, clientID(1)), "2001:db8::7", false, "advertise"},
		"request without a server":          {msg(dhcpv6.MessageTypeRequest, clientID(1), addr), "", false, "malformed"},
		"request to another server":         {msg(dhcpv6.MessageTypeRequest, clientID(1), server(theirs), addr), "", false, "other-server"},
		"request to us":                     {msg(dhcpv6.MessageTypeRequest, clientID(1), server(ours), addr), "", false, "reply 2001:db8::1001"},
		"request to us alone":               {msg(dhcpv6.MessageTypeRequest, clientID(1), server(ours), addr), "", true, "reply UseMulticast"},
		"renew to another server":           {msg(dhcpv6.MessageTypeRenew, clientID(1), server(theirs), addr), "", false, "other-server"},
		"rebind to a server":                {msg(dhcpv6.MessageTypeRebind, clientID(1), server(ours), addr), "", false, "malformed"},
		"release to another server":         {msg(dhcpv6.MessageTypeRelease, clientID(1), server(theirs), addr), "", false, "other-server"},
		"information":                       {msg(dhcpv6.MessageTypeInformationRequest), "", false, "reply"},
		"information from us":               {msg(dhcpv6.MessageTypeInformationRequest, clientID(1), server(ours)), "", false, "reply"},
		"information from another":          {msg(dhcpv6.MessageTypeInformationRequest, server(theirs)), "", false, "other-server"},
		"information and an address":        {msg(dhcpv6.MessageTypeInformationRequest, addr), "", false, "malformed"},
		"an answer":                         {msg(dhcpv6.MessageTypeReply, clientID(1)), "", false, "not-a-request"},
		"two names":                         {msg(dhcpv6.MessageTypeSolicit, clientID(1), clientID(2)), "", false, "malformed"},
		"five associations":                 {msg(dhcpv6.MessageTypeSolicit, clientID(1), want(1), want(2), want(3), want(4), want(5)), "", false, "malformed"},
		"five addresses":                    {msg(dhcpv6.MessageTypeSolicit, clientID(1), want(1, "::1", "::2", "::3", "::4", "::5")), "", false, "malformed"},
		"an address that is not the pool's": {msg(dhcpv6.MessageTypeRenew, clientID(1), server(ours), want(1, "2001:db8::1")), "", false, "reply NoBinding"},
	} {
		b := newBench(t)
		source := b.source
		if c.source != "" {
			source = ip(c.source)
		}
		s := b.c.handle(b.now, c.m.ToBytes(), source, c.unicast)
		var m *dhcpv6.Message
		if s.reply != nil {
			var err error
			if m, err = dhcpv6.MessageFromBytes(s.reply); err != nil {
				t.Fatal(err)
			}
		}
		if got := outcome(m, s); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	b := newBench(t)
	relay := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, LinkAddr: net.ParseIP("2001:db8::1"), PeerAddr: net.ParseIP("fe80::1")}
	if s := b.c.handle(b.now, relay.ToBytes(), b.source, false); s.silence != NotARequest {
		t.Errorf("a relay: %+v", s)
	}
}

// TestBoot: who says that it boots from the network gets its URL, in offers, answers and mere information; nobody else does.
func TestBoot(t *testing.T) {
	const script, tftp, http = "http://[2001:db8::1]:7480/boot.ipxe", "tftp://[2001:db8::1]/snponly.efi", "http://[2001:db8::1]:7480/snponly.efi"
	iPXE := &dhcpv6.OptUserClass{UserClasses: [][]byte{[]byte("iPXE")}}
	for name, c := range map[string]struct {
		options       []dhcpv6.Option
		url, firmware string
		class         bool
	}{
		"UEFI PXE":            {booting("PXEClient:Arch:00007:UNDI:003001", 7), tftp, "uefi-pxe", false},
		"UEFI HTTP boot":      {booting("HTTPClient:Arch:00016:UNDI:003001", 16), http, "uefi-http", true},
		"iPXE":                {booting("PXEClient:Arch:00007:UNDI:003010", 7, iPXE), script, "ipxe", false},
		"PXE of arm64":        {booting("PXEClient:Arch:00011:UNDI:003001", 11), "", "uefi-pxe", false},
		"HTTP boot of PXE":    {booting("HTTPClient:Arch:00007:UNDI:003001", 7), "", "uefi-http", false},
		"no architecture":     {booting("PXEClient", 7)[1:], "", "uefi-pxe", false},
		"an installed system": {[]dhcpv6.Option{dhcpv6.OptRequestedOption(dhcpv6.OptionBootfileURL, dhcpv6.OptionDNSRecursiveNameServer)}, "", "", false},
	} {
		b := newBench(t)
		check := func(m *dhcpv6.Message) {
			t.Helper()
			if m == nil || m.Options.BootFileURL() != c.url || len(m.Options.DNS()) != 1 || m.Options.DomainSearchList() != nil {
				t.Errorf("%s: got %v", name, m)
			} else if class := m.Options.VendorClass(vendorIntel); c.class != (len(class) == 1 && string(class[0]) == "HTTPClient") {
				t.Errorf("%s: class %q", name, class)
			}
		}
		adv, s := b.do(msg(dhcpv6.MessageTypeSolicit, append(c.options, clientID(1), want(1))...))
		if check(adv); s.event != nil {
			t.Errorf("%s: an offer tells of %+v", name, s.event)
		}
		address := adv.Options.OneIANA().Options.OneAddress().IPv6Addr.String()
		rep, s := b.do(msg(dhcpv6.MessageTypeRequest, append(c.options, clientID(1), server(ours), want(1, address))...))
		check(rep)
		if c.firmware == "" && s.event != nil {
			t.Errorf("%s: told of %+v", name, s.event)
		}
		if e := (Event{MAC: "02:00:00:00:00:01", Time: epoch, Stage: "DHCP", Firmware: c.firmware, IP: ip(address)}); c.firmware != "" && (s.event == nil || *s.event != e) {
			t.Errorf("%s: told of %+v, want %+v", name, s.event, e)
		}
		info, s := b.do(msg(dhcpv6.MessageTypeInformationRequest, c.options...))
		if check(info); s.event != nil || len(s.save) != 0 {
			t.Errorf("%s: information tells of %+v", name, s)
		}
	}
}

// TestRapidCommit: who asks for two messages instead of four has a lease after one.
func TestRapidCommit(t *testing.T) {
	b := newBench(t)
	rapid := &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit}
	m, s := b.do(msg(dhcpv6.MessageTypeSolicit, clientID(1), want(1), rapid))
	if m == nil || m.MessageType != dhcpv6.MessageTypeReply || m.GetOneOption(dhcpv6.OptionRapidCommit) == nil || len(s.save) != 1 || len(b.c.table.leases(b.now)) != 1 {
		t.Errorf("got %v, saved %v", m, s.save)
	}
	m, s = b.do(msg(dhcpv6.MessageTypeSolicit, clientID(2), want(1)))
	if m == nil || m.MessageType != dhcpv6.MessageTypeAdvertise || len(s.save) != 0 || len(b.c.table.leases(b.now)) != 1 {
		t.Errorf("control: got %v, saved %v", m, s.save)
	}
}

// TestOthersAreRefused: temporary addresses and prefixes are answered, with nothing; an IA of ours beside them is served.
func TestOthersAreRefused(t *testing.T) {
	b := newBench(t)
	m, s := b.do(msg(dhcpv6.MessageTypeSolicit, clientID(1), want(1), &dhcpv6.OptIATA{IaId: [4]byte{7}}, &dhcpv6.OptIAPD{IaId: [4]byte{8}}))
	if m == nil {
		t.Fatal(s.silence)
	}
	ta, pd := m.Options.OneIATA(), m.Options.OneIAPD()
	if len(m.Options.OneIANA().Options.Addresses()) != 1 || ta == nil || ta.IaId != [4]byte{7} || ta.Options.Status().StatusCode != iana.StatusNoAddrsAvail ||
		pd == nil || pd.IaId != [4]byte{8} || pd.Options.Status().StatusCode != iana.StatusNoPrefixAvail {
		t.Errorf("got %v", m)
	}
}

// TestNoRoom: a pool, or the room for leases, that is used up says so, and has room again when leases end.
func TestNoRoom(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"pool":   func(c *Config) { c.Pool = Range{ip("2001:db8::1000"), ip("2001:db8::1001")} },
		"leases": func(c *Config) { c.Limits.Leases = 2 },
	} {
		b := newBench(t)
		spoil(&b.c.cfg)
		b.c = newCore(b.c.cfg, ours)
		b.acquire(1)
		b.acquire(2)
		m := msg(dhcpv6.MessageTypeRequest, clientID(3), server(ours), want(3))
		if got := outcome(b.do(m)); got != "reply NoAddrsAvail" {
			t.Errorf("%s: %s", name, got)
		}
		b.now = b.now.Add(time.Hour)
		if got := outcome(b.do(m)); !strings.HasPrefix(got, "reply 2001:db8::1") {
			t.Errorf("%s, an hour later: %s", name, got)
		}
		if n := len(b.c.table.byIP); n > 2 || n != len(b.c.table.byKey) {
			t.Errorf("%s: %d addresses of %d clients are remembered", name, n, len(b.c.table.byKey))
		}
	}
}

func TestWithoutAPool(t *testing.T) {
	b := newBench(t)
	b.c.cfg.Pool = Range{}
	b.c = newCore(b.c.cfg, ours)
	if got := outcome(b.do(msg(dhcpv6.MessageTypeSolicit, clientID(1), want(1)))); got != "advertise NoAddrsAvail" {
		t.Error(got)
	}
	if m, _ := b.do(msg(dhcpv6.MessageTypeInformationRequest, clientID(1))); m == nil || len(m.Options.DNS()) != 1 {
		t.Errorf("information: %v", m)
	}
}

// TestRestore: after a restart clients keep their addresses, and nobody gets another's.
func TestRestore(t *testing.T) {
	b := newBench(t)
	one := b.acquire(1)
	b.acquire(2)
	after := newBench(t)
	for _, r := range b.saved {
		after.c.table.restore(r)
	}
	after.c.table.restore(leases.Record{IP: ip("2001:db8::9"), Client: "12345", Until: epoch.Add(time.Hour)}) // no pool has it
	if n := len(after.c.table.leases(epoch)); n != 2 {
		t.Errorf("%d leases, want 2", n)
	}
	if got := outcome(after.do(msg(dhcpv6.MessageTypeRequest, clientID(3), server(ours), want(3, one)))); got == "reply "+one {
		t.Error("host 3 got host 1's address")
	}
	if got := outcome(after.do(msg(dhcpv6.MessageTypeRenew, clientID(1), server(ours), want(1, one)))); got != "reply "+one {
		t.Errorf("renewing after a restart: %s", got)
	}
}

func TestHardware(t *testing.T) {
	llt := dhcpv6.OptClientID(&dhcpv6.DUIDLLT{HWType: iana.HWTypeEthernet, LinkLayerAddr: hostMAC(5)})
	uuid := dhcpv6.OptClientID(&dhcpv6.DUIDUUID{UUID: [16]byte{1}})
	for name, c := range map[string]struct {
		id     dhcpv6.Option
		source string
		want   string
	}{
		"of the address":          {uuid, "fe80::5054:ff:fe12:3456", "52:54:00:12:34:56"},
		"the address comes first": {llt, "fe80::5054:ff:fe12:3456", "52:54:00:12:34:56"},
		"of the DUID-LLT":         {llt, "fe80::1", "02:00:00:00:00:05"},
		"of the DUID-LL":          {clientID(6), "fe80::1", "02:00:00:00:00:06"},
		"of nothing":              {uuid, "fe80::1", "00:00:00:00:00:00"},
	} {
		r, why := parse(msg(dhcpv6.MessageTypeSolicit, c.id).ToBytes(), ip(c.source), false)
		if r == nil || r.mac.String() != c.want {
			t.Errorf("%s: %v, %s, want %s", name, r, why, c.want)
		}
	}
}

// TestNoAddressTwice: whatever clients do, in whatever order, no address has two of them, none is outside the pool, and a lease that was acknowledged and
// has not ended is known.
func TestNoAddressTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		b.c.cfg.Pool = Range{ip("2001:db8::0"), ip("2001:db8::3")} // of which two can be given
		b.c = newCore(b.c.cfg, ours)
		held := map[string]time.Time{} // client and address
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			b.now = b.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "minutes")) * time.Minute)
			n := byte(rapid.IntRange(1, 4).Draw(rt, "client"))
			typ := rapid.SampledFrom([]dhcpv6.MessageType{
				dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind, dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline,
			}).Draw(rt, "message")
			address := fmt.Sprintf("2001:db8::%d", rapid.IntRange(0, 3).Draw(rt, "address"))
			m := msg(typ, clientID(n), want(1, address))
			if typ != dhcpv6.MessageTypeRebind {
				m.AddOption(server(ours))
			}
			answer, _ := b.do(m)
			who := fmt.Sprintf("%d ", n)
			if typ == dhcpv6.MessageTypeRelease || typ == dhcpv6.MessageTypeDecline {
				delete(held, who+address)
				continue
			}
			if answer == nil || answer.Options.OneIANA() == nil {
				continue
			}
			for _, a := range answer.Options.OneIANA().Options.Addresses() {
				if delete(held, who+a.IPv6Addr.String()); a.ValidLifetime > 0 {
					held[who+a.IPv6Addr.String()] = b.now.Add(a.ValidLifetime)
				}
			}
			users := map[string]string{}
			for h, until := range held {
				name, addr, _ := strings.Cut(h, " ")
				if !b.now.Before(until) {
					continue
				}
				if other, twice := users[addr]; twice {
					rt.Fatalf("%s belongs to %s and %s", addr, other, name)
				}
				if users[addr] = name; addr == "2001:db8::" || addr == "2001:db8::1" {
					rt.Fatalf("%s was given, which is nobody's", addr)
				}
			}
		}
	})
}

func TestValidate(t *testing.T) {
	if err := testConfig().Validate(); err != nil {
		t.Fatalf("control: %v", err)
	}
	for want, spoil := range map[string]func(*Config){
		"interface:":                func(c *Config) { c.Interface = "" },
		"prefix: 2001:db8::1/64":    func(c *Config) { c.Prefix = netip.MustParsePrefix("2001:db8::1/64") },
		"prefix: 192.0.2.0/24":      func(c *Config) { c.Prefix = netip.MustParsePrefix("192.0.2.0/24") },
		"serverIP: 2001:db8:1::1":   func(c *Config) { c.ServerIP = ip("2001:db8:1::1") },
		"outside 2001:db8::/64":     func(c *Config) { c.Pool.To = ip("2001:db8:1::1") },
		"from a lower to a higher":  func(c *Config) { c.Pool.To = ip("2001:db8::2") },
		"pool: 192.0.2.1-192.0.2.9": func(c *Config) { c.Pool = Range{ip("192.0.2.1"), ip("192.0.2.9")} },
		"spans several networks":    func(c *Config) { c.Prefix, c.Pool.To = netip.MustParsePrefix("2001:db8::/32"), ip("2001:db8:1::1") },
		"leaseFile:":                func(c *Config) { c.LeaseFile = "" },
		"dns[0]: 192.0.2.53":        func(c *Config) { c.DNS = []netip.Addr{ip("192.0.2.53")} },
		"dns: 9 addresses":          func(c *Config) { c.DNS = make([]netip.Addr, 9) },
		"domain: \"a b\"":           func(c *Config) { c.Domain = "a b" },
		"leaseTime: 1s":             func(c *Config) { c.LeaseTime = time.Second },
	} {
		c := testConfig()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// FuzzPacket is the whole path from bytes to the answer's bytes.
func FuzzPacket(f *testing.F) {
	one := want(1, "2001:db8::1001")
	for _, m := range []*dhcpv6.Message{
		msg(dhcpv6.MessageTypeSolicit, append(booting("HTTPClient:Arch:00016", 16), clientID(1), want(1))...),
		msg(dhcpv6.MessageTypeSolicit, clientID(1), one, &dhcpv6.OptIATA{IaId: [4]byte{7}}, &dhcpv6.OptIAPD{IaId: [4]byte{8}}, &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit}),
		msg(dhcpv6.MessageTypeRequest, clientID(1), server(ours), one), msg(dhcpv6.MessageTypeConfirm, clientID(1), one), msg(dhcpv6.MessageTypeRenew, clientID(2), server(ours), one),
		msg(dhcpv6.MessageTypeRebind, clientID(2), one), msg(dhcpv6.MessageTypeRelease, clientID(1), server(ours), one), msg(dhcpv6.MessageTypeDecline, clientID(1), server(ours), one),
		msg(dhcpv6.MessageTypeInformationRequest, &dhcpv6.OptUserClass{UserClasses: [][]byte{[]byte("iPXE")}}), msg(dhcpv6.MessageTypeReply, clientID(1)),
	} {
		f.Add(m.ToBytes())
	}
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, in []byte) {
		b := newBench(t)
		b.acquire(1)
		for range 2 { // the second time the core knows the client
			s := b.c.handle(b.now, in, b.source, false)
			if (s.reply == nil) == (s.silence == "") {
				t.Fatalf("neither an answer nor a reason, or both: %+v", s)
			}
			if s.reply == nil {
				continue
			}
			m, err := dhcpv6.MessageFromBytes(s.reply)
			if err != nil || len(s.reply) > maxAnswer || string(m.TransactionID[:]) != string(in[1:4]) {
				t.Fatalf("the answer to %x is none: %v, %v", in, m, err)
			}
			for _, r := range s.save {
				if !kind.Fits(r) || !b.c.cfg.Pool.contains(r.IP) || len(r.Client) > leases.MaxClient {
					t.Fatalf("saves %+v", r)
				}
			}
		}
	})
}
