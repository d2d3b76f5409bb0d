//go:build e2e

package scenarios

import (
	"bytes"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// TestRegisterBIOSIPMI: a machine of the old kind, with a BIOS that boots its disk first and a BMC that speaks IPMI alone, at the default port. Power on through the BMC → PXE of
// the network card's ROM → iPXE → agent → a Server. The boot flags served one boot: after a cycle the BIOS goes by its own order. All of it is on the console, over LAN.
func TestRegisterBIOSIPMI(t *testing.T) {
	spec := plain("b1", 0x91)
	spec.Firmware, spec.DiskFirst = qemu.BIOS, true
	spec.Disks[0].Fill = bootSector
	s := newSite(t, spec)
	m := s.machine("b1")
	disks := func() int { return strings.Count(s.serial("b1"), sectorBanner) }
	s.step("control: without an order its disk boots", func(t *testing.T) {
		if err := m.PowerOn(t.Context()); err != nil { // a person at the rack
			t.Fatal(err)
		}
		s.await(bootLimit, "the disk boots", func() bool { return disks() == 1 })
		if n := len(s.inventories()); n != 0 {
			t.Errorf("%d machines registered", n)
		}
		if err := m.ForceOff(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	bmc := s.declareIPMI("b1", "127.0.91.1:623", metal.BMC{Protocol: metal.BMCAuto})
	s.awaitServer("b1", "the BMC reads Off before anybody switched it on", bootLimit, func(v *metal.Server) bool {
		return v.Status.Power != nil && v.Status.Power.State == metal.PowerOff && v.Status.State == metal.StateUnverified
	})
	look := s.lookOn("b1", bmc)
	s.ingot("power", "on", "b1")
	v := s.awaitServer("b1", "it registers", bootLimit, discovered)
	if len(v.Status.Boots) == 0 || v.Status.Boots[0].Firmware != "bios-pxe" {
		t.Errorf("the boot's timeline is %+v, want one of bios-pxe", v.Status.Boots)
	}
	if got := s.inventory("b1").Spec; got.Firmware.Mode != metal.BootModeBIOS || got.System.UUID != spec.UUID {
		t.Errorf("the inventory says %+v %+v", got.Firmware, got.System)
	}
	checkOrders(t, bmc.Commands())
	if disks() != 1 {
		t.Errorf("the disk booted %d times, want once, in the control", disks())
	}
	s.await(bootLimit, "the console shows the boot", func() bool { return len(look.shown()) > 1000 })
	if shown := look.shown(); !strings.Contains(s.serial("b1"), shown) {
		t.Errorf("the console shows what the machine did not write, or not in order:\n%s", shown)
	}
	before := m.PID()
	s.ingot("power", "cycle", "b1")
	if after := m.PID(); after == 0 || after == before {
		t.Errorf("after a cycle QEMU's pid is %d, before it was %d", after, before)
	}
	s.await(bootLimit, "the BIOS goes by its own order again", func() bool { return disks() == 2 })
	s.await(bootLimit, "the console shows it", func() bool { return strings.Contains(look.shown(), sectorBanner) })
	look.leave(bmc)
	s.ingot("power", "off", "b1")
	if pid := m.PID(); pid != 0 {
		t.Errorf("after `power off` QEMU still runs as pid %d", pid)
	}
	if tally := bmc.Tally(); tally.Most != 2 || tally.Refused != 0 {
		t.Errorf("sessions: %+v; want the controller's, and the console's beside it", tally)
	}
}

// look is an `ingot console` that somebody left running.
type look struct {
	t   *testing.T
	cmd *exec.Cmd

	mu   sync.Mutex
	seen bytes.Buffer
}

// Write takes what the console shows.
func (l *look) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.Write(p)
}

// shown are the whole lines so far, as site.serial has them.
func (l *look) shown() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.seen.String()
	return escape.ReplaceAllString(text[:strings.LastIndexByte(text, '\n')+1], "")
}

// lookOn attaches to a console, and waits until the BMC gave it.
func (s *site) lookOn(name string, bmc *rmcp.BMC) *look {
	s.t.Helper()
	l := &look{t: s.t, cmd: exec.Command(program(s.t), "console", name, "--kubeconfig", filepath.Join(s.stateDir(), "admin.kubeconfig"))}
	l.cmd.Stdout, l.cmd.Stderr = l, os.Stderr
	if err := l.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = l.cmd.Process.Kill() })
	s.await(bootLimit, "the BMC gives its console", bmc.SOLActive)
	return l
}

// leave interrupts it, and wants nothing of it left at the BMC.
func (l *look) leave(bmc *rmcp.BMC) {
	l.t.Helper()
	_ = l.cmd.Process.Signal(os.Interrupt)
	_ = l.cmd.Wait()
	if bmc.SOLActive() || bmc.Sessions() != 1 {
		l.t.Errorf("after leaving the payload is active: %v, %d sessions are open, want the controller's", bmc.SOLActive(), bmc.Sessions())
	}
}

// checkOrders wants what changed something to be: flags that do not expire, for a BIOS, the network, once; then on.
func checkOrders(t *testing.T, log []rmcp.Command) {
	t.Helper()
	var got []rmcp.Command
	for _, c := range log {
		if c.NetFn == rmcp.Chassis && (c.Cmd == rmcp.ChassisControl || c.Cmd == rmcp.SetBootOptions && c.Data[0] != rmcp.ParamAcknowledge) {
			got = append(got, c)
		}
	}
	want := [][]byte{{rmcp.ParamKeep, 0x1f}, {rmcp.ParamFlags, 0x80, 0x04, 0, 0, 0}, {rmcp.Up}}
	if !slices.EqualFunc(got, want, func(c rmcp.Command, w []byte) bool { return slices.Equal(c.Data, w) && c.Code == 0 }) {
		t.Errorf("the BMC was ordered %v; want the data %v, each done", got, want)
	}
}

// declareIPMI puts an IPMI BMC in front of the server and writes both down. An operator who knows that it has a BIOS says so.
func (s *site) declareIPMI(name, addr string, declared metal.BMC) *rmcp.BMC {
	s.t.Helper()
	m := s.machine(name)
	password := rand.Text()[:20]
	s.faults[name] = &fakebmc.Faults{}
	bmc, err := rmcp.Start(s.t.Context(), rmcp.Config{Addr: addr, Machine: m, Username: "admin", Password: password, Faults: s.faults[name]})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = bmc.Close() })
	declared.Endpoint, _, _ = net.SplitHostPort(bmc.Addr())
	declared.CredentialsSecret = "bmc-" + name
	s.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: declared.CredentialsSecret},
		StringData: map[string]string{"username": "admin", "password": password},
	})
	s.create(&metal.Server{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       metal.ServerSpec{BMC: &declared, BootMode: metal.BootModeBIOS, Identity: &metal.Identity{MACs: m.Identity().MACs}},
	})
	return bmc
}

// sectorBanner is what the boot sector says on the serial line.
const sectorBanner = "a disk boots by BIOS"

// bootSector writes a disk that a BIOS boots: it says so on the serial line, and halts.
func bootSector(image *os.File) error {
	const size, origin = 512, 0x7c00
	code := []byte{
		0x31, 0xc0, 0x8e, 0xd8, 0xfc, // xor ax, ax; mov ds, ax; cld
		0xbe, 0, 0, // mov si, text
		0xac, 0x84, 0xc0, 0x74, 0x12, // next: lodsb; test al, al; jz halt
		0x88, 0xc1, 0xba, 0xfd, 0x03, // mov cl, al; mov dx, 0x3fd
		0xec, 0xa8, 0x20, 0x74, 0xfb, // busy: in al, dx; test al, 0x20; jz busy
		0x88, 0xc8, 0xba, 0xf8, 0x03, 0xee, // mov al, cl; mov dx, 0x3f8; out dx, al
		0xeb, 0xe9, // jmp next
		0xf4, 0xeb, 0xfd, // halt: hlt; jmp halt
	}
	at := origin + len(code)
	code[6], code[7] = byte(at), byte(at>>8)
	sector := make([]byte, size)
	copy(sector, append(code, "\r\n"+sectorBanner+"\r\n\x00"...))
	sector[size-2], sector[size-1] = 0x55, 0xaa
	_, err := image.WriteAt(sector, 0)
	return err
}
