package dhcp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func pxe(class string, arch uint16, more ...dhcpv4.Modifier) []dhcpv4.Modifier {
	uuid := append([]byte{0}, bytes.Repeat([]byte{0x11, 0x22, 0x33, 0x44}, 4)...)
	return append([]dhcpv4.Modifier{opt(60, []byte(class)...), opt(93, byte(arch>>8), byte(arch)), opt(97, uuid...), opt(55, 1, 3, 43, 60, 66, 67, 175)}, more...)
}

// Proof T24: every architecture, as firmware and as iPXE.
func TestBootMatrix(t *testing.T) {
	const pxeClass, httpClass = "PXEClient:Arch:00000:UNDI:003001", "HTTPClient:Arch:00016:UNDI:003001"
	plain, listed := opt(77, []byte("iPXE")...), opt(77, append([]byte{3, 'f', 'o', 'o', 4}, "iPXE"...)...)
	script := testConfig().Boot.ScriptURL
	for name, c := range map[string]struct {
		mods                       []dhcpv4.Modifier
		firmware, class, next, key string
	}{
		"BIOS":                    {pxe(pxeClass, 0), "bios-pxe", "PXEClient", "10.0.0.1", "undionly.kpxe"},
		"UEFI 7":                  {pxe(pxeClass, 7), "uefi-pxe", "PXEClient", "10.0.0.1", "snponly.efi"},
		"UEFI 9":                  {pxe(pxeClass, 9), "uefi-pxe", "PXEClient", "10.0.0.1", "snponly.efi"},
		"arm64":                   {pxe(pxeClass, 11), "uefi-pxe", "PXEClient", "10.0.0.1", "arm64.efi"},
		"HTTP x64":                {pxe(httpClass, 16), "uefi-http", "HTTPClient", "", "http://10.0.0.1/snponly.efi"},
		"HTTP arm64, none":        {pxe(httpClass, 19), "uefi-http", "", "", ""},
		"UEFI 32":                 {pxe(pxeClass, 6), "", "", "", ""},
		"arm32":                   {pxe(pxeClass, 10), "", "", "", ""},
		"HTTP x86":                {pxe(httpClass, 15), "", "", "", ""},
		"unknown":                 {pxe(pxeClass, 999), "", "", "", ""},
		"class and arch disagree": {pxe(httpClass, 7), "", "", "", ""},
		"HTTP arch, PXE class":    {pxe(pxeClass, 16), "", "", "", ""},
		"no class":                {pxe("", 7), "", "", "", ""},
		"another class":           {pxe("udhcp 1.36", 7), "", "", "", ""},
		"iPXE BIOS":               {pxe(pxeClass, 0, plain), "ipxe", "", "10.0.0.1", script},
		"iPXE UEFI":               {pxe(pxeClass, 7, plain), "ipxe", "", "10.0.0.1", script},
		"iPXE by RFC 3004":        {pxe(pxeClass, 7, listed), "ipxe", "", "10.0.0.1", script},
		"iPXE unknown arch":       {pxe(pxeClass, 999, plain), "ipxe", "", "10.0.0.1", script},
		"another user class":      {pxe(pxeClass, 7, opt(77, []byte("iPXE2")...)), "uefi-pxe", "PXEClient", "10.0.0.1", "snponly.efi"},
		"several architectures":   {pxe(pxeClass, 7, opt(93, 3, 0xe7, 0, 7)), "uefi-pxe", "PXEClient", "10.0.0.1", "snponly.efi"},
		"odd option 93":           {pxe(pxeClass, 7, opt(93, 7)), "", "", "", ""},
		"an operating system":     {[]dhcpv4.Modifier{opt(55, 1, 3, 6, 67)}, "", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			m, s := b.do(msg(discover, 1, c.mods...))
			if m == nil {
				t.Fatalf("no OFFER: %s", s.silence)
			}
			next := ""
			if a := toAddr(m.ServerIPAddr); a.IsValid() {
				next = a.String()
			}
			if m.ClassIdentifier() != c.class || next != c.next || m.BootFileName != c.key || m.ServerHostName != c.next || m.BootFileNameOption() != c.key || m.TFTPServerName() != c.next {
				t.Errorf("class %q, next %q, file %q, sname %q, 66 %q, 67 %q; want %q, %q, %q", m.ClassIdentifier(), next, m.BootFileName, m.ServerHostName, m.TFTPServerName(), m.BootFileNameOption(), c.class, c.next, c.key)
			}
			if got, want := m.Options[43], []byte{6, 1, 8, 255}; (c.class == "PXEClient") != bytes.Equal(got, want) {
				t.Errorf("option 43 is %x", got)
			}
			if got := len(m.Options[97]) == 17; got != (c.firmware != "") {
				t.Errorf("option 97 echoed: %v", got)
			}
			if got := len(m.Options[175]) > 0; got != (c.firmware == "ipxe") {
				t.Errorf("option 175 sent: %v", got)
			}
			_, s = b.do(msg(request_, 1, append(c.mods, optIP(54, "10.0.0.1"), optIP(50, toAddr(m.YourIPAddr).String()))...))
			if (s.event != nil) != (c.firmware != "") || s.event != nil && (s.event.Firmware != c.firmware || s.event.MAC != "02:00:00:00:00:01" || s.event.Stage != "DHCP") {
				t.Errorf("event %+v, want firmware %q", s.event, c.firmware)
			}
		})
	}
}

func TestMachineID(t *testing.T) {
	in := []byte{0, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if got := machineID(in); got != "00112233-4455-6677-8899-aabbccddeeff" {
		t.Errorf("got %s", got)
	}
	for _, bad := range [][]byte{nil, in[:16], append([]byte{1}, in[1:]...)} {
		if got := machineID(bad); got != "" {
			t.Errorf("%x gave %s", bad, got)
		}
	}
}

// optionCodes lists the codes in wire order.
func optionCodes(t *testing.T, b []byte) (codes []byte) {
	t.Helper()
	for o := b[minPacket:]; len(o) > 0 && o[0] != 255; o = o[2+o[1]:] {
		codes = append(codes, o[0])
	}
	return codes
}

func TestOptionOrder(t *testing.T) {
	b := newBench(t)
	p := msg(discover, 1, giaddr("10.9.0.1"), opt(55, 67, 3, 66, 1, 3), opt(82, 1, 1, 1), opt(61, 7, 7))
	p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(60), []byte("PXEClient")))
	p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(93), []byte{0, 7}))
	s := b.raw(p.ToBytes())
	if got, want := optionCodes(t, s.reply.bytes), []byte{53, 54, 67, 3, 66, 1, 43, 51, 60, 61, 82}; !slices.Equal(got, want) {
		t.Errorf("options in order %v, want %v", got, want)
	}
	if n := len(s.reply.bytes); n < 300 {
		t.Errorf("%d bytes; old relays drop less than 300", n)
	}
}

func TestReplySize(t *testing.T) {
	cfg := testConfig()
	cfg.Boot.ScriptURL = "http://10.0.0.1/" + strings.Repeat("x", 200)
	for asked, most := range map[int]int{0: 548, 100: 548, 576: 548, 700: 672, 1500: 1472, 9000: 1472, 65535: 1472} {
		b := benchOf(t, cfg)
		mods := pxe("PXEClient", 7, opt(77, []byte("iPXE")...), giaddr("10.9.0.1"), opt(82, append([]byte{1, 120}, make([]byte, 120)...)...), opt(61, make([]byte, 60)...))
		if asked > 0 {
			mods = append(mods, opt(57, byte(asked>>8), byte(asked)))
		}
		s := b.raw(msg(discover, 1, mods...).ToBytes())
		if s.reply == nil || len(s.reply.bytes) > most {
			t.Fatalf("asked for %d: %+v", asked, s)
		}
		codes := optionCodes(t, s.reply.bytes)
		if fits := slices.Contains(codes, 67); fits != (most > 600) {
			t.Errorf("asked for %d: %d bytes, options %v", asked, len(s.reply.bytes), codes)
		}
		for _, must := range []byte{53, 54, 51, 1, 82} {
			if !slices.Contains(codes, must) {
				t.Errorf("asked for %d: option %d is missing from %v", asked, must, codes)
			}
		}
	}
	b := newBench(t)
	if s := b.raw(msg(discover, 1, giaddr("10.9.0.1"), opt(82, make([]byte, 255)...), opt(61, make([]byte, 40)...)).ToBytes()); s.reply == nil || len(s.reply.bytes) > 548 {
		t.Errorf("the longest option 82: %+v", s)
	}
}

func TestHeaderOfReply(t *testing.T) {
	b := newBench(t)
	p := msg(discover, 1, dhcpv4.WithBroadcast(true), opt(61, 1, 2, 3))
	p.HopCount, p.Flags, p.NumSeconds = 3, 0xffff, 77
	m, _ := b.do(p)
	got := fmt.Sprintln(m.OpCode, m.TransactionID, m.HopCount, m.NumSeconds, m.Flags, m.ClientHWAddr, toAddr(m.ClientIPAddr), m.Options[61])
	if want := fmt.Sprintln(dhcpv4.OpcodeBootReply, p.TransactionID, 0, 0, 0x8000, p.ClientHWAddr, toAddr(nil), []byte{1, 2, 3}); got != want {
		t.Errorf("header %s, want %s", got, want)
	}
}
