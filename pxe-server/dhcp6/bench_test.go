package dhcp6

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"ingot.dev/ingot/pxe-server/leases"
)

// bench plays clients against a core.
type bench struct {
	t      testing.TB
	c      *core
	now    time.Time
	source netip.Addr
	saved  []leases.Record
}

func newBench(t testing.TB) *bench {
	return &bench{t: t, c: newCore(testConfig(), ours), now: epoch, source: linkLocal(1)}
}

// linkLocal is the address that host n makes of its MAC.
func linkLocal(n byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, n})
}

func hostMAC(n byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, n} }

func clientID(n byte) dhcpv6.Option {
	return dhcpv6.OptClientID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: hostMAC(n)})
}

func server(id string) dhcpv6.Option {
	return &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: []byte(id)}
}

// want is an IA_NA with addresses.
func want(iaid byte, addrs ...string) dhcpv6.Option {
	n := &dhcpv6.OptIANA{IaId: [4]byte{iaid}}
	for _, a := range addrs {
		n.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(a)})
	}
	return n
}

func msg(typ dhcpv6.MessageType, options ...dhcpv6.Option) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: typ, TransactionID: dhcpv6.TransactionID{1, 2, 3}}
	for _, o := range options {
		m.AddOption(o)
	}
	return m
}

// booting are the options of a machine that boots from the network.
func booting(class string, arch iana.Arch, more ...dhcpv6.Option) []dhcpv6.Option {
	return append([]dhcpv6.Option{
		dhcpv6.OptClientArchType(arch), &dhcpv6.OptVendorClass{EnterpriseNumber: vendorIntel, Data: [][]byte{[]byte(class)}},
		dhcpv6.OptRequestedOption(dhcpv6.OptionBootfileURL, dhcpv6.OptionDNSRecursiveNameServer),
	}, more...)
}

func (b *bench) do(m *dhcpv6.Message) (*dhcpv6.Message, step) {
	b.t.Helper()
	s := b.c.handle(b.now, m.ToBytes(), b.source, false)
	b.saved = append(b.saved, s.save...)
	if s.reply == nil {
		return nil, s
	}
	r, err := dhcpv6.MessageFromBytes(s.reply)
	if err != nil {
		b.t.Fatalf("the answer does not read: %v", err)
	}
	if r.TransactionID != m.TransactionID || string(r.Options.ServerID().ToBytes()) != ours {
		b.t.Errorf("the answer is %v", r)
	}
	return r, s
}

// outcome is an answer in one line: its type, then its status, then each IA with its status or addresses; those that end have a minus.
func outcome(m *dhcpv6.Message, s step) string {
	if m == nil {
		return string(s.silence)
	}
	out := []string{strings.ToLower(m.MessageType.String())}
	if st := m.Options.Status(); st != nil {
		out = append(out, st.StatusCode.String())
	}
	for _, n := range m.Options.IANA() {
		if st := n.Options.Status(); st != nil {
			out = append(out, st.StatusCode.String())
		}
		for _, a := range n.Options.Addresses() {
			sign := ""
			if a.ValidLifetime == 0 {
				sign = "-"
			}
			out = append(out, sign+a.IPv6Addr.String())
		}
	}
	return strings.Join(out, " ")
}

// acquire takes host n through Solicit and Request, and returns its address.
func (b *bench) acquire(n byte) string {
	b.t.Helper()
	adv, s := b.do(msg(dhcpv6.MessageTypeSolicit, clientID(n), want(n)))
	if adv == nil || adv.MessageType != dhcpv6.MessageTypeAdvertise || len(s.save) != 0 {
		b.t.Fatalf("host %d: %s, saving %v", n, outcome(adv, s), s.save)
	}
	offered := adv.Options.OneIANA().Options.OneAddress().IPv6Addr.String()
	rep, s := b.do(msg(dhcpv6.MessageTypeRequest, clientID(n), server(ours), want(n, offered)))
	if got := outcome(rep, s); got != "reply "+offered || len(s.save) != 1 || s.save[0].IP.String() != offered {
		b.t.Fatalf("host %d was offered %s and got %s, saved %v", n, offered, got, s.save)
	}
	return offered
}
