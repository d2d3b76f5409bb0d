package rack

import (
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/rack/testos"
)

// plain is a configuration that needs no firmware package and no probe.
func plain(t *testing.T, specs ...Spec) Config {
	t.Helper()
	firmware := filepath.Join(t.TempDir(), "firmware.fd")
	if err := os.WriteFile(firmware, []byte("firmware"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Config{Dir: t.TempDir(), Servers: specs, Accel: qemu.TCG, CodeFile: firmware, VarsFile: firmware}
}

func spec(name string, last byte) Spec {
	return Spec{
		Name: name, CPUs: 1, MemoryMiB: 128,
		NICs:  []NIC{{MAC: net.HardwareAddr{0x52, 0x54, 0, 0, 1, last}, Model: qemu.VirtioNet}},
		Disks: []Disk{{Kind: qemu.Virtio, SizeBytes: 12 << 20, Serial: "V" + name}},
	}
}

func newRack(t *testing.T, config Config) *Rack {
	t.Helper()
	r, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestNewRefuses(t *testing.T) {
	seventeen := make([]Spec, MaxServers+1)
	for name, c := range map[string]struct {
		spoil func(*Config)
		want  string
	}{
		"no folder":         {func(c *Config) { c.Dir = "" }, "folder"},
		"no servers":        {func(c *Config) { c.Servers = nil }, "1 to 16"},
		"too many":          {func(c *Config) { c.Servers = seventeen }, "1 to 16"},
		"same name":         {func(c *Config) { c.Servers[1].Name = "a" }, "name a"},
		"same MAC":          {func(c *Config) { c.Servers[1].NICs = c.Servers[0].NICs }, "MAC"},
		"no firmware":       {func(c *Config) { c.CodeFile = "/nowhere/CODE.fd" }, "apt-get install ovmf"},
		"no arm64 firmware": {func(c *Config) { c.Servers[1].Arch, c.Arm64CodeFile = qemu.ARM64, "/nowhere/CODE.fd" }, "apt-get install qemu-system-arm qemu-efi-aarch64"},
		"much memory":       {func(c *Config) { c.Servers[0].MemoryMiB, c.Servers[1].MemoryMiB = 65536, 65536 }, "memory"},
		"bad server":        {func(c *Config) { c.Servers[0].CPUs = 0 }, "CPUs"},
		"missing image":     {func(c *Config) { c.Servers[0].Disks[0].Image = "/nowhere/x.img" }, "disk 0"},
	} {
		config := plain(t, spec("a", 1), spec("b", 2))
		c.spoil(&config)
		if r, err := New(t.Context(), config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
			if r != nil {
				_ = r.Close()
			}
		}
	}
}

func TestFolderOutlivesTheRack(t *testing.T) {
	one := spec("a", 1)
	one.Disks[0].Fill = testos.Write
	config := plain(t, one)
	r := newRack(t, config)
	if _, err := New(t.Context(), config); err == nil || !strings.Contains(err.Error(), "another rack") {
		t.Errorf("two racks in one folder: %v", err)
	}
	s, _ := r.Server("a")
	disk, vars := s.File(qemu.ImageFile(0)), s.File(qemu.VarsFile)
	before := hash(t, disk)
	if err := os.WriteFile(vars, []byte("changed by the firmware"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	newRack(t, config)
	if hash(t, disk) != before {
		t.Error("the disk was written again")
	}
	if text, err := os.ReadFile(vars); err != nil || string(text) != "changed by the firmware" {
		t.Errorf("the variables are %q, %v", text, err)
	}
}

func hash(t *testing.T, path string) [32]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}

func TestHalfWrittenDiskIsNotKept(t *testing.T) {
	failing := spec("a", 1)
	failing.Disks[0].Fill = func(*os.File) error { return errors.New("no ink") }
	config := plain(t, failing)
	if _, err := New(t.Context(), config); err == nil || !strings.Contains(err.Error(), "no ink") {
		t.Fatalf("got %v", err)
	}
	config.Servers[0].Disks[0].Fill = testos.Write
	r := newRack(t, config)
	s, _ := r.Server("a")
	if info, err := os.Stat(s.File(qemu.ImageFile(0))); err != nil || info.Size() != 12<<20 {
		t.Errorf("%v", err)
	}
}

func TestOverrides(t *testing.T) {
	bios := spec("b", 2)
	bios.Firmware = qemu.BIOS
	r := newRack(t, plain(t, spec("a", 1), bios))
	uefi, _ := r.Server("a")
	old, _ := r.Server("b")
	for _, c := range []struct {
		server *Server
		set    machine.BootOverride
		ok     bool
	}{
		{uefi, machine.BootOverride{Target: machine.TargetPxe, Once: true}, true},
		{uefi, machine.BootOverride{Target: machine.TargetUefiHTTP}, true},
		{uefi, machine.BootOverride{Target: machine.TargetCd}, true},
		{old, machine.BootOverride{Target: machine.TargetHdd}, true},
		{old, machine.BootOverride{Target: machine.TargetUefiHTTP}, false},
		{uefi, machine.BootOverride{Target: "Floppy"}, false},
		{uefi, machine.BootOverride{Target: machine.TargetUefiHTTP, URI: "http://192.168.77.1/x.efi"}, true},
		{uefi, machine.BootOverride{Target: machine.TargetPxe, URI: "http://192.168.77.1/x.efi"}, false},
	} {
		before, _ := c.server.BootOverride(t.Context())
		err := c.server.SetBootOverride(t.Context(), c.set)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, machine.ErrInvalid) {
			t.Errorf("%+v: %v", c.set, err)
		}
		want := c.set
		if !c.ok {
			want = before
		}
		if got, _ := c.server.BootOverride(t.Context()); got != want {
			t.Errorf("after %+v: %+v", c.set, got)
		}
	}
	if err := uefi.SetBootOverride(t.Context(), machine.BootOverride{}); err != nil {
		t.Error(err)
	}
	if got, _ := uefi.BootOverride(t.Context()); got.Target != machine.TargetNone || got.Pending() {
		t.Errorf("cleared: %+v", got)
	}
}

func TestConsumeKeepsANewerOverride(t *testing.T) {
	used := machine.BootOverride{Target: machine.TargetPxe, Once: true}
	newer := machine.BootOverride{Target: machine.TargetHdd, Once: true}
	o := override{next: newer}
	o.consume(used)
	if o.get() != newer {
		t.Error("the newer override was lost")
	}
	o.consume(newer)
	if o.get().Pending() {
		t.Error("the used override stays")
	}
	o.set(machine.BootOverride{Target: machine.TargetPxe})
	o.consume(o.get())
	if !o.get().Pending() {
		t.Error("a lasting override was consumed")
	}
}

func TestIdentity(t *testing.T) {
	r := newRack(t, plain(t, spec("a", 1)))
	s, _ := r.Server("a")
	id := s.Identity()
	if id.UUID != "00000000-0000-0000-0000-000000000000" || len(id.MACs) != 1 || id.MACs[0] != "52:54:00:00:01:01" ||
		!id.UEFI || id.MemoryMiB != 128 || len(id.Disks) != 1 || id.Disks[0].Serial != "Va" || id.Disks[0].SizeBytes != 12<<20 {
		t.Errorf("%+v", id)
	}
}

func TestAvailableMemory(t *testing.T) {
	if n, err := availableMiB("MemTotal: 1 kB\nMemAvailable:   2097152 kB\n"); err != nil || n != 2048 {
		t.Errorf("%d, %v", n, err)
	}
	for _, text := range []string{"", "MemAvailable: much kB\n"} {
		if _, err := availableMiB(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestClosedRackStaysOff(t *testing.T) {
	r := newRack(t, plain(t, spec("a", 1)))
	s, _ := r.Server("a")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.PowerOn(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v", err)
	}
}
