//go:build e2e

package scenarios

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
)

// TestBootVirtualMedia: Ingot answers no DHCP, another server gives addresses and knows nothing of booting, and the firmware has no HTTP boot that anybody told
// a URI. A machine registers by the image that its BMC inserts, and the image is out of the drive then. The control is the same machine before its BMC was told
// of the image: its firmware asks for a boot file, and gets none.
func TestBootVirtualMedia(t *testing.T) {
	spec := plain("m1", 0x66)
	spec.Drive = true
	s := newSiteWith(t, []string{"--no-dhcp"}, spec)
	s.otherDHCP()
	ear := s.hearDHCP(spec.Name)
	bmc := s.declare(spec.Name)
	s.step("without an image it does not register", func(t *testing.T) {
		s.ingot("power", "on", spec.Name)
		s.await(2*bootLimit, "its firmware finds no boot file", func() bool { return strings.Contains(s.serial(spec.Name), "PXE-E16: No valid offer received") })
		asked := ear.those(func(h heard) bool { return h.firmware() && h.from.Port() == 68 })
		if len(asked) == 0 || len(s.inventories()) != 0 || len(bmcOrders(bmc, "VirtualMedia")) != 0 {
			t.Errorf("the firmware asked %d times, %d machines registered, the BMC was told %v", len(asked), len(s.inventories()), bmcOrders(bmc, "VirtualMedia"))
		}
	})
	s.step("with an image it registers", func(t *testing.T) {
		s.tellOfMedia(spec.Name, "http://"+s.host()+":7480/boot/v1/media/ingot.iso")
		s.ingot("power", "cycle", spec.Name)
		s.await(bootLimit, "QEMU has the image in its drive", func() bool { return s.medium(spec.Name) != "" })
		s.await(2*bootLimit, "it registers", func() bool { return len(s.inventories()) == 1 })
		if name := s.inventories()[0].Name; name != spec.Name {
			t.Errorf("it registered as %s", name)
		}
		s.await(bootLimit, "QEMU's drive is empty", func() bool { return s.medium(spec.Name) == "" })
		if on, err := s.machine(spec.Name).PowerState(t.Context()); err != nil || !on {
			t.Errorf("the machine is on: %v, %v", on, err)
		}
		if got := bmcOrders(bmc, "VirtualMedia"); len(got) != 2 || !strings.HasSuffix(got[0], "InsertMedia") || !strings.HasSuffix(got[1], "EjectMedia") {
			t.Errorf("the BMC was told %v", got)
		}
		ours := ear.those(func(h heard) bool { return h.from.Addr().String() == s.host() })
		theirs := ear.those(func(h heard) bool { return h.from.Addr() == otherServer.Addr() })
		if len(ours) != 0 || len(theirs) == 0 {
			t.Errorf("Ingot answered DHCP: %v; the other server %d times", ours, len(theirs))
		}
	})
	s.step("a BMC without virtual media is told of", func(*testing.T) {
		s.faults[spec.Name].Set(fakebmc.Fault{NoMedia: true})
		s.ingot("accept", spec.Name)
		s.awaitServer(spec.Name, "it is said", bootLimit, func(v *metal.Server) bool {
			c := meta.FindStatusCondition(v.Status.Conditions, reasons.BootExpected)
			return c != nil && strings.Contains(c.Message, "could not be told to boot it from the network") && strings.Contains(c.Message, "no virtual drive")
		})
		if out := s.ingot("why", spec.Name); !strings.Contains(out, "no virtual drive") {
			s.t.Errorf("ingot why says\n%s", out)
		}
	})
}

// tellOfMedia lets the server's BMC boot it from an image.
func (s *site) tellOfMedia(name, uri string) {
	s.t.Helper()
	v := &metal.Server{}
	if err := s.client.Get(s.t.Context(), client.ObjectKey{Name: name}, v); err != nil {
		s.t.Fatal(err)
	}
	before := v.DeepCopy()
	v.Spec.BMC.VirtualMediaURI = uri
	if err := s.client.Patch(s.t.Context(), v, client.MergeFrom(before)); err != nil {
		s.t.Fatal(err)
	}
}

// medium is what QEMU says of the optical drive.
func (s *site) medium(name string) string {
	s.t.Helper()
	file, err := s.machine(name).Medium(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return file
}

// bmcOrders are the addresses to which something was posted below a resource, and done.
func bmcOrders(bmc *fakebmc.BMC, below string) (out []string) {
	for _, r := range bmc.Requests() {
		if r.Method == http.MethodPost && strings.Contains(r.Path, below) && r.Status < 300 {
			out = append(out, r.Path)
		}
	}
	return out
}
