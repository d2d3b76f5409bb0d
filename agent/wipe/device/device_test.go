package device

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/ata"
	"ingot.dev/ingot/agent/wipe/nvme"
	"ingot.dev/ingot/agent/wipe/plan"
)

// TestStructures: the kernel's ABI has these sizes on 64-bit machines, and the request of NVMe carries its own.
func TestStructures(t *testing.T) {
	if n := unsafe.Sizeof(nvmeCommand{}); n != 72 || nvmeAdmin>>16&0x3fff != 72 {
		t.Errorf("nvme_passthru_cmd has %d bytes", n)
	}
	if n := unsafe.Sizeof(sgHeader{}); n != 88 {
		t.Errorf("sg_io_hdr has %d bytes", n)
	}
	var h sgHeader
	if unsafe.Offsetof(h.usrPtr) != 56 || unsafe.Offsetof(h.hostStatus) != 68 || unsafe.Offsetof(h.data) != 16 {
		t.Error("the fields of sg_io_hdr are not where they belong")
	}
}

func TestCommandBlocks(t *testing.T) {
	tests := []struct {
		name string
		c    ata.Command
		want string
	}{
		{"identify", ata.Command{Code: 0xEC, Count: 1, Direction: ata.In}, "85082e 0000 0001 000000000000 00 ec 00"},
		{"erase unit", ata.Command{Code: 0xF4, Count: 1, Direction: ata.Out}, "850a26 0000 0001 000000000000 00 f4 00"},
		{"erase prepare", ata.Command{Code: 0xF3}, "850620 0000 0000 000000000000 00 f3 00"},
		{"block erase", ata.Command{Code: 0xB4, Features: 0x12, Count: 0x10, LBA: 0x426B4572, Extended: true}, "850720 0012 0010 42720045006b 00 b4 00"},
		{"overwrite", ata.Command{Code: 0xB4, Features: 0x14, Count: 0x11, LBA: 0x4F57_00000000, Extended: true}, "850720 0014 0011 0000 5700 4f00"},
	}
	for _, tc := range tests {
		b := cdb16(tc.c)
		want := strings.ReplaceAll(tc.want, " ", "")
		if got := hex.EncodeToString(b[:]); !strings.HasPrefix(got, want) || b[14] != tc.c.Code {
			t.Errorf("%s: %s, want %s", tc.name, got, want)
		}
	}
}

func TestRegisters(t *testing.T) {
	head := "72010 01d000000 0e"
	sense := func(descriptor string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(head+descriptor, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r, err := registers(sense("09 0c 01 00 40 01 04 01 05 02 06 03 40 50"))
	if want := (ata.Result{Count: 0x4001, LBA: 0x060504030201}); err != nil || r != want {
		t.Errorf("%+v, %v; want %+v", r, err, want)
	}
	r, err = registers(sense("09 0c 01 04 00 00 00 01 00 00 00 00 40 51"))
	if err == nil || r.LBA != 1 || !strings.Contains(err.Error(), "status 0x51, error 0x04") {
		t.Errorf("an aborted command: %+v, %v", r, err)
	}
	if _, err = registers(sense("09 0c 01 00 00 00 00 00 00 00 00 00 40 70")); err == nil {
		t.Error("a device fault is an error")
	}
	for _, bad := range [][]byte{nil, make([]byte, 64), sense("09 0c 01 00")[:12], sense("08 0c 01 00 00 00 00 00 00 00 00 00 40 50")} {
		if _, err := registers(bad); !errors.Is(err, errNoRegisters) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func FuzzRegisters(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{0x72, 1, 0, 0x1d, 0, 0, 0, 14, 9, 12, 1, 0, 0x40}, make([]byte, 9)...))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = registers(b) })
}

func FuzzVPDSerial(f *testing.F) {
	f.Add([]byte("\x00\x80\x00\x04ABCD"))
	f.Add([]byte("\x00\x80\xff\xffA"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := vpdSerial(string(b)); len(s) > len(b) {
			t.Errorf("%q out of %d bytes", s, len(b))
		}
	})
}

// tree is a folder of sysfs.
func tree(t *testing.T, files map[string]string) *device {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return &device{sys: dir}
}

func TestIdentity(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  wipe.Identity
	}{
		"nvme":   {map[string]string{"wwid": "eui.1\n", "device/serial": "N1  \n"}, wipe.Identity{WWID: "eui.1", Serial: "N1"}},
		"virtio": {map[string]string{"serial": "V1"}, wipe.Identity{Serial: "V1"}},
		"scsi":   {map[string]string{"device/wwid": "naa.5\n", "device/vpd_pg80": "\x00\x80\x00\x04 S1 tail"}, wipe.Identity{WWID: "naa.5", Serial: " S1 "}},
		"blank":  {map[string]string{"wwid": " \n", "device/wwid": "naa.6"}, wipe.Identity{WWID: "naa.6"}},
	}
	for name, tc := range tests {
		if got, err := tree(t, tc.files).Identity(); err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tc.want)
		}
	}
	v := tree(t, map[string]string{"pci0000:00/virtio1/block/vda/serial": "V1"})
	v.sys = filepath.Join(v.sys, "pci0000:00/virtio1/block/vda")
	if who, err := v.Identity(); err != nil || who != (wipe.Identity{WWID: "virtio.V1", Serial: "V1"}) {
		t.Errorf("a virtio disk has its serial number for an identifier: %+v, %v", who, err)
	}
	if who, err := tree(t, map[string]string{"ro": "0"}).Identity(); err == nil {
		t.Errorf("a disk that says nothing: %+v", who)
	}
}

// port notes which kinds of commands come through.
type port struct{ nvme, ata bytes.Buffer }

var errPort = errors.New("refused by the test")

func (p *port) Admin(c nvme.Command) error { p.nvme.WriteByte(c.Opcode); return errPort }

func (p *port) Do(c ata.Command) (ata.Result, error) {
	p.ata.WriteByte(c.Code)
	return ata.Result{}, errPort
}

// TestEraseDiskAsksTheRightPort: an NVMe step goes to NVMe, an ATA step to ATA, and a range is neither.
func TestEraseDiskAsksTheRightPort(t *testing.T) {
	for _, tc := range []struct {
		step      plan.Step
		nvme, ata bool
	}{
		{plan.Step{Method: plan.NVMeFormat, Kind: plan.UserData}, true, false},
		{plan.Step{Method: plan.NVMeSanitize, Kind: plan.Block}, true, false},
		{plan.Step{Method: plan.ATASanitize, Kind: plan.Block}, false, true},
		{plan.Step{Method: plan.ATASecurityErase, Kind: plan.Enhanced}, false, true},
		{plan.Step{Method: plan.Discard}, false, false},
	} {
		p := &port{}
		d := &device{nvme: p, ata: p, nsid: func() (uint32, error) { return 1, nil }, after: time.After}
		err := d.EraseDisk(context.Background(), tc.step, func(int) {})
		if err == nil || errors.Is(err, errPort) != (tc.nvme || tc.ata) || (p.nvme.Len() > 0) != tc.nvme || (p.ata.Len() > 0) != tc.ata {
			t.Errorf("%v: %v, NVMe %x, ATA %x", tc.step, err, p.nvme.Bytes(), p.ata.Bytes())
		}
	}
	d := &device{nvme: &port{}, nsid: func() (uint32, error) { return 0, errPort }}
	if err := d.EraseDisk(context.Background(), plan.Step{Method: plan.NVMeFormat}, func(int) {}); !errors.Is(err, errPort) {
		t.Errorf("without a namespace: %v", err)
	}
	if err := d.EraseRange(plan.NVMeFormat, plan.Range{}); err == nil {
		t.Error("a format of a part")
	}
}

func TestPathsTellThePort(t *testing.T) {
	for path, want := range map[string][2]bool{
		"/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda":                    {true, false},
		"/sys/devices/pci0000:00/0000:01:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda": {true, false},
		"/sys/devices/pci0000:00/0000:00:05.0/virtio2/host0/target0:0:0/0:0:0:0/block/sda":                 {false, false},
		"/sys/devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1":                                          {false, true},
		"/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1":                                         {false, true},
		"/sys/devices/pci0000:00/0000:00:04.0/virtio1/block/vda":                                           {false, false},
	} {
		if got := [2]bool{partOfATA.MatchString(path), partOfNVMe.MatchString(path)}; got != want {
			t.Errorf("%s: ATA and NVMe %v, want %v", path, got, want)
		}
	}
}

func TestMilliseconds(t *testing.T) {
	if n := milliseconds(time.Minute); n != 60000 {
		t.Error(n)
	}
	if n := milliseconds(90 * 24 * time.Hour); n != 1<<32-1 {
		t.Error(n)
	}
}
