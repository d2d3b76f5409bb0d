//go:build e2e

package scenarios

import (
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// TestBootFullSeaBIOS: a BIOS machine, switched on over Redfish, boots by the iPXE of 2019 in its network card, and does not wait for an IPv6 router: its
// solicitations are answered. The control is another such machine that is not answered, and that a person switches on.
func TestBootFullSeaBIOS(t *testing.T) {
	answered, not := plain("b1", 0x64), plain("b2", 0x65)
	answered.Firmware, not.Firmware = qemu.BIOS, qemu.BIOS
	s := newSite(t, answered, not)
	boot := func(name string, want int) time.Duration {
		ear := s.hearDHCP(name)
		if name == "b1" {
			s.declare(name)
			s.ingot("power", "on", name)
		} else if err := s.machine(name).PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.await(bootLimit, name+" registers", func() bool { return len(s.inventories()) == want })
		if err := s.machine(name).ForceOff(t.Context()); err != nil {
			t.Fatal(err)
		}
		return ear.toScript()
	}
	with := boot("b1", 1)
	if v := s.inventories()[0]; v.Spec.Firmware.Mode != metal.BootModeBIOS {
		t.Errorf("its firmware is %+v", v.Spec.Firmware)
	}
	s.stopUp(syscall.SIGTERM)
	s.flags = append(s.flags, "--no-router-answers")
	s.startUp()
	without := boot("b2", 2)
	t.Logf("from the first DHCP message to the boot server: %v answered, %v not answered, ratio %.2f", with, without, float64(without)/float64(with))
	if without < 2*with {
		t.Errorf("%v with answered router solicitations, %v without: want half of it at most", with, without)
	}
}

// TestBootProxySeaBIOS: beside a foreign DHCP server a BIOS machine, switched on over IPMI, boots by the iPXE of 2019 in its network card.
func TestBootProxySeaBIOS(t *testing.T) {
	spec := plain("b1", 0x61)
	spec.Firmware = qemu.BIOS
	bootBeside(t, spec, "bios-pxe", func(s *site) { s.declareIPMI("b1", "127.0.96.1:623", metal.BMC{Protocol: metal.BMCIPMI}) })
}

// TestBootProxyOVMFPXE: beside a foreign DHCP server UEFI, switched on through its BMC, loads iPXE over TFTP.
func TestBootProxyOVMFPXE(t *testing.T) {
	bootBeside(t, plain("b1", 0x62), "uefi-pxe", func(s *site) { s.declare("b1") })
}

// TestBootProxyOVMFHTTP: beside a foreign DHCP server UEFI loads iPXE over HTTP.
func TestBootProxyOVMFHTTP(t *testing.T) {
	spec := plain("b1", 0x63)
	spec.HTTPBoot = true
	bootBeside(t, spec, "uefi-http", nil)
}

// bootBeside switches a machine on, through the BMC that declare puts in front of it or as a person would, while dnsmasq on another host of the switch gives the addresses, and wants it to
// register. What is believed of DHCP is what went over the switch.
func bootBeside(t *testing.T, spec rack.Spec, firmware string, declare func(*site)) {
	s := newSiteWith(t, []string{"--proxy-dhcp"}, spec)
	s.otherDHCP()
	ear := s.hearDHCP(spec.Name)
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range ear.those(func(heard) bool { return true }) {
				t.Log(h)
			}
		}
	})
	if declare != nil {
		declare(s)
		s.ingot("power", "on", spec.Name)
	} else if err := s.machine(spec.Name).PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.await(bootLimit, "it registers", func() bool { return len(s.inventories()) == 1 })
	v := s.awaitServer(s.inventories()[0].Name, "its boot is known", bootLimit, func(v *metal.Server) bool { return len(v.Status.Boots) > 0 })
	if b := v.Status.Boots[0]; b.Firmware != firmware || len(b.Stages) == 0 || b.Stages[0].Stage != metal.StageDHCP {
		t.Errorf("the boot's timeline is %+v, want one of %s that begins with DHCP", b, firmware)
	}
	if declare != nil && v.Name != spec.Name {
		t.Errorf("it registered as %s, and was declared as %s", v.Name, spec.Name)
	}
	checkShared(t, s, ear)
}

// checkShared wants that the other server gave every address, and that ours answered the firmware and nobody else.
func checkShared(t *testing.T, s *site, ear *ear) {
	t.Helper()
	asked := map[dhcpv4.TransactionID]bool{} // by a machine that says it boots from the network
	for _, h := range ear.those(func(h heard) bool { return h.OpCode == dhcpv4.OpcodeBootRequest }) {
		asked[h.TransactionID] = asked[h.TransactionID] || h.firmware()
	}
	ours := ear.those(func(h heard) bool { return h.from.Addr().String() == s.host() })
	for _, h := range ours {
		if !h.YourIPAddr.IsUnspecified() || !asked[h.TransactionID] || h.BootFileNameOption() == "" {
			t.Errorf("beside another server, ours sent %v", h)
		}
	}
	theirs := ear.those(func(h heard) bool {
		return h.from.Addr() == otherServer.Addr() && h.MessageType() == dhcpv4.MessageTypeAck
	})
	plain := 0 // addresses for the agent, which does not boot from the network any more
	for _, h := range theirs {
		if !asked[h.TransactionID] {
			plain++
		}
	}
	if len(ours) == 0 || plain == 0 {
		t.Errorf("ours answered %d times, the other server gave the agent %d addresses; want some of both", len(ours), plain)
	}
}
