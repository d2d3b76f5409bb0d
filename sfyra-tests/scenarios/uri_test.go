//go:build e2e

package scenarios

import (
	"fmt"
	"os"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// TestBootURI: Ingot serves no DHCP, and the server of others gives addresses and knows of no boot files. UEFI boots all the same, by the URI that Ingot sets over
// Redfish, and its machine registers. The control is a machine like it, switched on before it, whose BMC was told of no URI: it gets an address, and nothing to boot.
func TestBootURI(t *testing.T) {
	s := newBareSite(t, plain("u1", 0x71), plain("u2", 0x72))
	s.serves = []string{"--interface", s.rack.Bridge(), "--agent-image", os.Getenv("INGOT_AGENT_IMAGE")}
	s.flags = []string{"--no-dhcp"}
	s.begin()
	s.otherDHCP()
	with, without := s.hearDHCP("u1"), s.hearDHCP("u2")
	for _, name := range []string{"u1", "u2"} {
		s.declare(name)
	}
	uri := fmt.Sprintf("http://%s:7480/boot/v1/ipxe/snponly.efi", s.host())
	if err := s.patch("u1", fmt.Sprintf(`{"spec":{"bmc":{"httpBootURI":%q}}}`, uri)); err != nil {
		t.Fatal(err)
	}
	s.ingot("power", "on", "u2")
	s.await(bootLimit, "the control's firmware asks for a boot", func() bool {
		return len(without.those(func(h heard) bool { return h.OpCode == dhcpv4.OpcodeBootRequest && h.firmware() })) > 0
	})
	s.ingot("power", "on", "u1")
	v := s.awaitServer("u1", "it registers", 2*bootLimit, discovered)
	if len(v.Status.Boots) == 0 || v.Status.Boots[0].Firmware != "uefi-http" && v.Status.Boots[0].Firmware != "uefi-pxe" {
		t.Errorf("its boots are %+v", v.Status.Boots)
	}
	for name, e := range map[string]*ear{"u1": with, "u2": without} {
		for _, h := range e.those(func(h heard) bool { return h.OpCode == dhcpv4.OpcodeBootReply }) {
			if h.from.Addr() != otherServer.Addr() || h.BootFileNameOption() != "" || h.BootFileName != "" {
				t.Errorf("%s heard %v; want addresses of the other server alone", name, h)
			}
		}
		if len(e.those(func(h heard) bool { return h.MessageType() == dhcpv4.MessageTypeOffer })) == 0 {
			t.Errorf("%s was offered no address", name)
		}
	}
	if n := len(s.inventories()); n != 1 {
		t.Errorf("%d machines registered, want the one with a URI", n)
	}
	if got := s.awaitServer("u2", "it is there", bootLimit, func(*metal.Server) bool { return true }); got.Status.State != metal.StateUnverified {
		t.Errorf("the control is %s", got.Status.State)
	}
}
