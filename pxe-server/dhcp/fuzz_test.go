package dhcp

import (
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// FuzzPacket is the whole path from bytes to the reply's bytes.
func FuzzPacket(f *testing.F) {
	for _, p := range []*dhcpv4.DHCPv4{
		msg(discover, 1), msg(discover, 1, pxe("PXEClient:Arch:00007:UNDI:003000", 7)...), msg(discover, 1, pxe("HTTPClient", 16)...),
		msg(discover, 1, pxe("PXEClient", 0, opt(77, []byte("iPXE")...), opt(57, 5, 0xc0))...), msg(discover, 1, giaddr("10.9.0.1"), opt(82, 1, 2, 3, 4)),
		msg(request_, 1, optIP(54, "10.0.0.1"), optIP(50, "10.0.0.2")), msg(request_, 1, ciaddr("10.0.0.2")), msg(request_, 77, optIP(50, "10.0.0.77")),
		msg(inform, 1, ciaddr("10.0.0.9")), msg(release, 1, ciaddr("10.0.0.2")), msg(decline, 1, optIP(50, "10.0.0.2")), msg(dhcpv4.MessageTypeOffer, 1),
	} {
		f.Add(p.ToBytes())
	}
	f.Add(msg(discover, 1, ciaddr("48.48.48.48")).ToBytes()) // was answered to that address
	f.Add([]byte{1, 1, 6, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		b := newBench(t)
		b.source = ip("10.0.0.9")
		b.dora(1)
		for range 2 { // the second time the core knows the client
			checkStep(t, b, in)
		}
	})
}

func checkStep(t *testing.T, b *bench, in []byte) {
	s := b.raw(in)
	if (s.reply == nil) == (s.silence == "") {
		t.Fatalf("neither a reply nor a reason, or both: %+v", s)
	}
	if s.reply == nil {
		return
	}
	r, reason := parse(in, b.source)
	if r == nil || r.OpCode != dhcpv4.OpcodeBootRequest {
		t.Fatalf("answered what does not parse: %s", reason)
	}
	if n := len(s.reply.bytes); n > r.maxReply() || n < 300 {
		t.Fatalf("a reply of %d bytes, the client takes %d", n, r.maxReply())
	}
	m, err := dhcpv4.FromBytes(s.reply.bytes)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootReply || m.TransactionID != r.TransactionID {
		t.Fatalf("the reply is no answer: %v, %v", m, err)
	}
	to := s.reply.to.Addr()
	if to != broadcast && !b.c.known(to) {
		t.Fatalf("a reply to %v, outside the configured subnets", to)
	}
	if y := toAddr(m.YourIPAddr); y.IsValid() && b.c.subnetAt(y).byIP[y] == nil {
		t.Fatalf("gave %v, which is in no pool", y)
	}
}

func (c *core) known(a netip.Addr) bool { return c.subnetAt(a) != nil }
