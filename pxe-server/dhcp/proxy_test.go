package dhcp

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// proxyConfig is testConfig without anything to give away.
func proxyConfig() Config {
	c := testConfig()
	c.Mode, c.LeaseFile, c.Reservations = Proxy, "", nil
	for i := range c.Subnets {
		c.Subnets[i].Pools = nil
	}
	return c
}

func proxyCore(t testing.TB, cfg Config) *core {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return newCore(cfg.withDefaults())
}

const (
	pxeClass  = "PXEClient:Arch:00007:UNDI:003001"
	httpClass = "HTTPClient:Arch:00016:UNDI:003001"
	nowhere   = "0.0.0.0:68"
	machine   = "10.0.0.200:68"
)

// TestProxyDecides walks who gets what: by class, kind of machine, message, port and where the packet came from.
func TestProxyDecides(t *testing.T) {
	script := testConfig().Boot.ScriptURL
	ipxeClass := opt(77, []byte("iPXE")...)
	for name, c := range map[string]struct {
		from                  string
		port                  uint16
		packet                *dhcpv4.DHCPv4
		silence               Reason
		to, class, next, file string
		seen                  string // firmware and address
	}{
		"UEFI": {nowhere, 67, msg(discover, 1, pxe(pxeClass, 7)...), "", "255.255.255.255:68", "PXEClient", "10.0.0.1", "snponly.efi", "uefi-pxe invalid IP"},
		"BIOS": {nowhere, 67, msg(discover, 1, pxe(pxeClass, 0)...), "", "255.255.255.255:68", "PXEClient", "10.0.0.1", "undionly.kpxe", "bios-pxe invalid IP"},
		"HTTP": {nowhere, 67, msg(discover, 1, pxe(httpClass, 16)...), "", "255.255.255.255:68", "HTTPClient", "", "http://10.0.0.1/snponly.efi", "uefi-http invalid IP"},
		"iPXE": {nowhere, 67, msg(discover, 1, pxe(pxeClass, 0, ipxeClass)...), "", "255.255.255.255:68", "PXEClient", "10.0.0.1", script, "ipxe invalid IP"},
		"behind a relay": {
			"10.9.0.1:67", 67, msg(discover, 1, pxe(pxeClass, 7, giaddr("10.9.0.1"), opt(82, 1, 1, 1))...),
			"", "10.9.0.1:67", "PXEClient", "10.0.0.1", "snponly.efi", "uefi-pxe invalid IP",
		},
		"asks us alone": {machine, 4011, msg(request_, 1, pxe(pxeClass, 7, ciaddr("10.0.0.200"))...), "", machine, "PXEClient", "10.0.0.1", "snponly.efi", "uefi-pxe 10.0.0.200"},
		"asks us alone, from its own 4011": {
			"10.0.0.200:4011", 4011, msg(inform, 1, pxe(pxeClass, 0, ciaddr("10.0.0.200"))...), "", "10.0.0.200:4011", "PXEClient", "10.0.0.1", "undionly.kpxe", "bios-pxe 10.0.0.200",
		},
		"asks us alone behind a relay": {"10.9.1.7:68", 4011, msg(request_, 1, pxe(pxeClass, 7)...), "", "10.9.1.7:68", "PXEClient", "10.0.0.1", "snponly.efi", "uefi-pxe 10.9.1.7"},
		"iPXE asks us alone":           {machine, 4011, msg(request_, 1, pxe(pxeClass, 7, ipxeClass)...), "", machine, "PXEClient", "10.0.0.1", script, "ipxe 10.0.0.200"},

		"ordinary client":                {nowhere, 67, msg(discover, 1), NotNetboot, "", "", "", "", ""},
		"ordinary client, our port":      {machine, 4011, msg(request_, 1), NotNetboot, "", "", "", "", ""},
		"an operating system":            {nowhere, 67, msg(discover, 1, opt(60, []byte("MSFT 5.0")...), opt(93, 0, 7)), NotNetboot, "", "", "", "", ""},
		"iPXE's user class alone":        {nowhere, 67, msg(discover, 1, ipxeClass), NotNetboot, "", "", "", "", ""},
		"nearly the class":               {nowhere, 67, msg(discover, 1, pxe("PXEClien", 7)...), NotNetboot, "", "", "", "", ""},
		"the class within":               {nowhere, 67, msg(discover, 1, pxe("a PXEClient", 7)...), NotNetboot, "", "", "", "", ""},
		"no file for it":                 {nowhere, 67, msg(discover, 1, pxe(pxeClass, 6)...), NoBootFile, "", "", "", "", ""},
		"class and arch disagree":        {nowhere, 67, msg(discover, 1, pxe(httpClass, 7)...), NoBootFile, "", "", "", "", ""},
		"a relay of others":              {"10.99.0.1:67", 67, msg(discover, 1, pxe(pxeClass, 7, giaddr("10.99.0.1"))...), UnknownNet, "", "", "", "", ""},
		"a reply":                        {"10.0.0.9:67", 67, msg(dhcpv4.MessageTypeOffer, 1, pxe(pxeClass, 7)...), NotARequest, "", "", "", "", ""},
		"takes another's offer":          {nowhere, 67, msg(request_, 1, pxe(pxeClass, 7, optIP(54, "10.0.0.9"), optIP(50, "10.0.0.200"))...), OtherServer, "", "", "", "", "uefi-pxe 10.0.0.200"},
		"takes an address elsewhere":     {nowhere, 67, msg(request_, 1, pxe(pxeClass, 7, optIP(54, "10.0.0.9"), optIP(50, "8.8.8.8"))...), OtherServer, "", "", "", "", ""},
		"takes our own address":          {nowhere, 67, msg(request_, 1, pxe(pxeClass, 7, optIP(50, "10.0.0.1"))...), OtherServer, "", "", "", "", ""},
		"renews":                         {machine, 67, msg(request_, 1, pxe(pxeClass, 7, ciaddr("10.0.0.200"))...), OtherServer, "", "", "", "", ""},
		"releases":                       {machine, 67, msg(release, 1, pxe(pxeClass, 7, ciaddr("10.0.0.200"))...), OtherServer, "", "", "", "", ""},
		"asks for parameters":            {machine, 67, msg(inform, 1, pxe(pxeClass, 7, ciaddr("10.0.0.200"))...), OtherServer, "", "", "", "", ""},
		"discovers on our port":          {machine, 4011, msg(discover, 1, pxe(pxeClass, 7)...), NotARequest, "", "", "", "", ""},
		"our port, another network":      {"8.8.8.8:68", 4011, msg(request_, 1, pxe(pxeClass, 7)...), UnknownNet, "", "", "", "", ""},
		"our port, no address":           {nowhere, 4011, msg(request_, 1, pxe(pxeClass, 7)...), UnknownNet, "", "", "", "", ""},
		"our port, our address":          {"10.0.0.1:68", 4011, msg(request_, 1, pxe(pxeClass, 7)...), UnknownNet, "", "", "", "", ""},
		"our port, the router's":         {"10.0.0.254:68", 4011, msg(request_, 1, pxe(pxeClass, 7)...), UnknownNet, "", "", "", "", ""},
		"our port, the broadcast":        {"10.0.0.255:68", 4011, msg(request_, 1, pxe(pxeClass, 7)...), UnknownNet, "", "", "", "", ""},
		"our port, relayed all the same": {machine, 4011, msg(request_, 1, pxe(pxeClass, 7, giaddr("10.9.0.1"))...), UnknownNet, "", "", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			from := netip.MustParseAddrPort(c.from)
			if from.Addr().IsUnspecified() {
				from = netip.AddrPortFrom(netip.Addr{}, from.Port()) // as the socket says it
			}
			s := proxyCore(t, proxyConfig()).proxy(epoch, c.packet.ToBytes(), from, c.port)
			seen := ""
			if s.event != nil {
				seen = s.event.Firmware + " " + s.event.IP.String()
			}
			if s.silence != c.silence || seen != c.seen || s.save != nil || s.probe.IsValid() || s.mac != macAddr(hostMAC(1)) && c.silence != NotARequest {
				t.Fatalf("got %+v, saw %q; want silence %q, seen %q", s, seen, c.silence, c.seen)
			}
			if c.silence == "" {
				checkNamed(t, s.reply, c.packet, c.to, c.class, c.next, c.file)
			}
		})
	}
}

// checkNamed reads the answer with another decoder's eyes: an OFFER or ACK that names the file and lends nothing.
func checkNamed(t *testing.T, r *reply, asked *dhcpv4.DHCPv4, to, class, next, file string) {
	t.Helper()
	m, err := dhcpv4.FromBytes(r.bytes)
	if err != nil {
		t.Fatal(err)
	}
	want := dhcpv4.MessageTypeAck
	if asked.MessageType() == discover {
		want = dhcpv4.MessageTypeOffer
	}
	if r.to.String() != to || r.hardware != (macAddr{}) || m.MessageType() != want || (r.port == proxyPort) != (want == dhcpv4.MessageTypeAck) {
		t.Errorf("%v to %v from port %d, want %v to %s", m.MessageType(), r.to, r.port, want, to)
	}
	at := ""
	if a := toAddr(m.ServerIPAddr); a.IsValid() {
		at = a.String()
	}
	if m.ClassIdentifier() != class || at != next || m.TFTPServerName() != next || m.BootFileName != file || m.BootFileNameOption() != file {
		t.Errorf("class %q, next %q and %q, file %q and %q; want %q, %q, %q", m.ClassIdentifier(), at, m.TFTPServerName(), m.BootFileName, m.BootFileNameOption(), class, next, file)
	}
	if toAddr(m.YourIPAddr).IsValid() || m.TransactionID != asked.TransactionID || m.ServerIdentifier().String() != "10.0.0.1" || !bytes.Equal(m.Options[97], asked.Options[97]) || !bytes.Equal(m.Options[82], asked.Options[82]) {
		t.Errorf("the answer is %v", m)
	}
	for _, code := range []uint8{1, 3, 6, 15, 51, 58, 59} {
		if _, ok := m.Options[code]; ok {
			t.Errorf("a proxy sends option %d", code)
		}
	}
}

// TestBootItem: a boot server repeats which of its items was asked for, and takes nothing that is cut short for one.
func TestBootItem(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"\x47\x04\x00\x00\x00\x00\xff": "\x47\x04\x00\x00\x00\x00",
		"\x00\x06\x01\x08\x47\x04\x80\x01\x00\x02": "\x47\x04\x80\x01\x00\x02",
		"\xff\x47\x04\x00\x00\x00\x00":             "",
		"\x47\x04\x00\x00\x00":                     "",
		"\x47\x03\x00\x00\x00":                     "",
		"\x06":                                     "",
	} {
		if got := string(bootItem([]byte(in))); got != want {
			t.Errorf("%x gave %x, want %x", in, got, want)
		}
	}
	p := msg(request_, 1, pxe(pxeClass, 7, opt(43, 71, 4, 0, 0, 0, 0, 255))...)
	s := proxyCore(t, proxyConfig()).proxy(epoch, p.ToBytes(), netip.MustParseAddrPort(machine), proxyPort)
	m, err := dhcpv4.FromBytes(s.reply.bytes)
	if err != nil || !bytes.Equal(m.Options[43], []byte{6, 1, 8, 71, 4, 0, 0, 0, 0, 255}) {
		t.Errorf("option 43 is %x, %v", m.Options[43], err)
	}
}

// TestProxyWithoutFiles: a proxy that has nothing for anybody is silent.
func TestProxyWithoutFiles(t *testing.T) {
	cfg := proxyConfig()
	cfg.Boot = Boot{}
	for _, mods := range [][]dhcpv4.Modifier{pxe(pxeClass, 7), pxe(httpClass, 16), pxe(pxeClass, 0, opt(77, []byte("iPXE")...))} {
		if s := proxyCore(t, cfg).proxy(epoch, msg(discover, 1, mods...).ToBytes(), netip.AddrPort{}, serverPort); s.silence != NoBootFile {
			t.Errorf("got %+v", s)
		}
	}
}

// FuzzProxy is the way from bytes to the reply's bytes, on both ports.
func FuzzProxy(f *testing.F) {
	for _, p := range []*dhcpv4.DHCPv4{
		msg(discover, 1), msg(discover, 1, pxe(pxeClass, 7)...), msg(discover, 1, pxe(httpClass, 16)...), msg(discover, 1, pxe(pxeClass, 0, opt(77, []byte("iPXE")...))...),
		msg(discover, 1, pxe(pxeClass, 7, giaddr("10.9.0.1"), opt(82, 1, 2, 3, 4))...), msg(request_, 1, pxe(pxeClass, 7, opt(43, 71, 4, 0, 0, 0, 0, 255))...),
		msg(request_, 1, pxe(pxeClass, 7, optIP(54, "10.0.0.9"), optIP(50, "10.0.0.200"))...), msg(inform, 1, pxe(pxeClass, 0)...), msg(release, 1),
	} {
		f.Add(p.ToBytes(), true)
		f.Add(p.ToBytes(), false)
	}
	c := proxyCore(f, proxyConfig())
	f.Fuzz(func(t *testing.T, in []byte, own bool) {
		from, port := netip.MustParseAddrPort(machine), uint16(serverPort)
		if own {
			port = proxyPort
		}
		s := c.proxy(epoch, in, from, port)
		if (s.reply == nil) == (s.silence == "") || s.save != nil || s.probe.IsValid() {
			t.Fatalf("neither a reply nor a reason, or more than that: %+v", s)
		}
		if s.reply == nil {
			return
		}
		r, reason := parse(in, from.Addr())
		if r == nil || !strings.HasPrefix(string(r.Options[60]), "PXEClient") && !strings.HasPrefix(string(r.Options[60]), "HTTPClient") {
			t.Fatalf("answered who does not boot from the network: %s", reason)
		}
		m, err := dhcpv4.FromBytes(s.reply.bytes)
		if err != nil || m.OpCode != dhcpv4.OpcodeBootReply || toAddr(m.YourIPAddr).IsValid() || m.Options[51] != nil || m.Options[67] == nil {
			t.Fatalf("the reply is no proxy's: %v, %v", m, err)
		}
		if n := len(s.reply.bytes); n > r.maxReply() {
			t.Fatalf("a reply of %d bytes, the client takes %d", n, r.maxReply())
		}
		to := s.reply.to.Addr()
		if to != broadcast && to != from.Addr() && !c.known(to) {
			t.Fatalf("a reply to %v", to)
		}
	})
}
