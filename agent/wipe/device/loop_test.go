package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/plan"
)

const loopSize = 24 << 20

var mark = []byte("a mark of the tenant before")

// loop is a block device over a file, with a folder that stands for its sysfs, where it has a WWID and a serial.
type loop struct {
	name, image, sys, dev string
}

// root says whether block devices can be made. Only root may; without it these tests prove nothing, and say so.
func root(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	t.Log("loop devices need root: nothing was proven here")
	return false
}

// marks are where a disk is marked: start, middle, end, and the places in between that only a whole erase reaches.
func marks() []int64 {
	return []int64{0, 512, 1 << 20, 5<<20 + 512, loopSize / 2, loopSize - 5<<20, loopSize - 1<<20, loopSize - 512}
}

func newLoop(t *testing.T, name string) loop {
	t.Helper()
	l := loop{image: filepath.Join(t.TempDir(), "disk"), sys: t.TempDir()}
	content := bytes.Repeat([]byte{0x5A}, loopSize)
	for _, at := range marks() {
		copy(content[at:], mark)
	}
	must(t, os.WriteFile(l.image, content, 0o600))
	l.name = attach(t, l.image)
	l.dev = "/dev"
	folder := filepath.Join(l.sys, "dev/block", l.number(t))
	must(t, os.MkdirAll(filepath.Join(folder, "queue"), 0o755))
	for file, text := range map[string]string{
		"wwid": "naa." + name + "\n", "serial": "SER " + name + "\n", "ro": "0\n", "queue/rotational": "0\n", "queue/discard_max_bytes": "4294966784\n",
	} {
		must(t, os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600))
	}
	return l
}

// attach finds a free loop device and gives it the file. It lets go with its last user.
func attach(t *testing.T, image string) string {
	t.Helper()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	must(t, err)
	defer control.Close()
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	for range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		must(t, err)
		name := fmt.Sprintf("loop%d", n)
		device, err := os.OpenFile("/dev/"+name, os.O_RDWR, 0)
		must(t, err)
		err = unix.IoctlLoopConfigure(int(device.Fd()), &unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}})
		if errors.Is(err, unix.EBUSY) {
			// Somebody else was faster.
			must(t, device.Close())
			continue
		}
		must(t, err)
		t.Cleanup(func() { must(t, device.Close()) })
		return name
	}
	t.Fatal("no free loop device")
	return ""
}

func (l loop) number(t *testing.T) string {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat("/dev/"+l.name, &st))
	return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
}

func (l loop) system() System { return System{Dev: l.dev, Sys: l.sys, After: time.After} }

// open keeps the device open for the test.
func (l loop) open(t *testing.T) wipe.Device {
	t.Helper()
	d, err := l.system().Open(t.Context(), l.name)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// content is what the file behind the device holds: the host's view.
func (l loop) content(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(l.image)
	must(t, err)
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRangesOnALoopDevice: each method erases its part, and nothing beside it.
func TestRangesOnALoopDevice(t *testing.T) {
	if !root(t) {
		return
	}
	part := plan.Range{Offset: 1 << 20, Length: 18 << 20}
	for _, m := range []plan.Method{plan.Discard, plan.ZeroOut, plan.Overwrite} {
		t.Run(string(m), func(t *testing.T) {
			l := newLoop(t, "1")
			d := l.open(t)
			before := l.content(t)
			must(t, d.EraseRange(m, part))
			must(t, d.Flush())
			after := l.content(t)
			end := part.Offset + part.Length
			if !plan.Blank(after[part.Offset:end]) {
				t.Error("something is left")
			}
			if !bytes.Equal(after[:part.Offset], before[:part.Offset]) || !bytes.Equal(after[end:], before[end:]) {
				t.Error("more than the part was erased")
			}
			must(t, d.Rescan())
		})
	}
}

// TestReadsPastTheCache: what is changed behind the back of the kernel's page cache is seen.
func TestReadsPastTheCache(t *testing.T) {
	if !root(t) {
		return
	}
	l := newLoop(t, "1")
	d := l.open(t)
	b := memory(t, 4096)
	for _, want := range []byte{1, 2} {
		f, err := os.OpenFile(l.image, os.O_RDWR, 0)
		must(t, err)
		_, err = f.WriteAt(bytes.Repeat([]byte{want}, 4096), 8<<20)
		must(t, errors.Join(err, f.Close()))
		if n, err := d.ReadAt(b, 8<<20); err != nil || n != 4096 || b[0] != want || b[4095] != want {
			t.Errorf("read %d bytes of %d, %v; want %d", n, b[0], err, want)
		}
	}
	if _, err := d.ReadAt(b, loopSize); err == nil {
		t.Error("it read past the end")
	}
}

// memory is aligned as the kernel wants it.
func memory(t *testing.T, n int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	must(t, err)
	t.Cleanup(func() { must(t, unix.Munmap(b)) })
	return b
}

func TestOpenIsExclusive(t *testing.T) {
	if !root(t) {
		return
	}
	l := newLoop(t, "1")
	l.open(t)
	if d, err := l.system().Open(t.Context(), l.name); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a second open: %v, %v", d, err)
	}
	file := filepath.Join(l.sys, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if d, err := (System{Dev: l.sys, Sys: l.sys}).Open(t.Context(), "file"); err == nil {
		t.Errorf("a file was opened as a disk: %v", d)
	}
	if d, err := (System{Dev: l.dev, Sys: t.TempDir()}).Open(t.Context(), l.name); err == nil {
		t.Errorf("a disk that sysfs does not know was opened: %v", d)
	}
}

func TestFactsOfALoopDevice(t *testing.T) {
	if !root(t) {
		return
	}
	l := newLoop(t, "1")
	d := l.open(t)
	facts, err := d.Facts(t.Context())
	if want := (plan.Disk{Size: loopSize, Sector: 512, DiscardMax: 4294966784}); err != nil || facts != want {
		t.Errorf("%+v, %v; want %+v", facts, err, want)
	}
	who, err := d.Identity()
	if want := (wipe.Identity{WWID: "naa.1", Serial: "SER 1"}); err != nil || who != want {
		t.Errorf("%+v, %v; want %+v", who, err, want)
	}
	for _, m := range []plan.Method{plan.NVMeFormat, plan.NVMeSanitize, plan.ATASanitize, plan.ATASecurityErase} {
		if err := d.EraseDisk(t.Context(), plan.Step{Method: m}, func(int) {}); err == nil || !strings.Contains(err.Error(), "the disk has no") {
			t.Errorf("%s on a loop device: %v", m, err)
		}
	}
}

func config(systems map[string]loop) wipe.Config {
	return wipe.Config{
		List: func(context.Context) ([]wipe.Disk, error) {
			var out []wipe.Disk
			for id, l := range systems {
				out = append(out, wipe.Disk{Name: l.name, WWID: "naa." + id, Serial: "SER " + id, Model: "loop", Transport: "scsi"})
			}
			return out, nil
		},
		Open: func(ctx context.Context, name string) (wipe.Device, error) {
			for _, l := range systems {
				if l.name == name {
					return l.system().Open(ctx, name)
				}
			}
			return nil, os.ErrNotExist
		},
		Random: rand.NewChaCha8([32]byte{7}), Now: time.Now, After: time.After, Log: slog.New(slog.DiscardHandler),
	}
}

// TestWipeLoopDevices is the whole path on real block devices: two are granted, one is not, and the host's files tell.
func TestWipeLoopDevices(t *testing.T) {
	if !root(t) {
		return
	}
	disks := map[string]loop{"1": newLoop(t, "1"), "2": newLoop(t, "2"), "3": newLoop(t, "3")}
	untouched := disks["3"].content(t)
	rotate(t, disks["2"])
	receipt := wipe.New(config(disks), wipe.Grant{Level: plan.Clear, Disks: []wipe.DiskID{{WWID: "naa.1", Serial: "SER 1"}, {WWID: "naa.2", Serial: "SER 2"}}}).Run(t.Context())
	for i, want := range []plan.Method{plan.Discard, plan.ZeroOut} {
		row := receipt.Disks[i]
		if row.Error != "" || row.Reached != plan.Clear || len(row.Methods) != 1 || row.Methods[0] != string(want) || row.BlocksRead < 1000 {
			t.Errorf("%+v", row)
		}
	}
	for _, id := range []string{"1", "2"} {
		if !plan.Blank(disks[id].content(t)) {
			t.Errorf("disk %s is not blank", id)
		}
	}
	if !bytes.Equal(disks["3"].content(t), untouched) || !bytes.Contains(untouched, mark) {
		t.Error("the disk that was not granted changed, or had no mark")
	}
}

// rotate makes a disk a hard disk.
func rotate(t *testing.T, l loop) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(l.sys, "dev/block", l.number(t), "queue/rotational"), []byte("1\n"), 0o600))
}

func TestQuickOnALoopDevice(t *testing.T) {
	if !root(t) {
		return
	}
	l := newLoop(t, "1")
	must(t, os.WriteFile(filepath.Join(l.sys, "dev/block", l.number(t), "queue/discard_max_bytes"), []byte("0\n"), 0o600))
	before := l.content(t)
	row := wipe.New(config(map[string]loop{"1": l}), wipe.Grant{Level: plan.Quick, Disks: []wipe.DiskID{{WWID: "naa.1", Serial: "SER 1"}}}).Run(t.Context()).Disks[0]
	after := l.content(t)
	if row.Error != "" || row.Reached != plan.Quick || row.BlocksRead < 1000 {
		t.Errorf("%+v", row)
	}
	if !plan.Blank(after[:plan.Edge]) || !plan.Blank(after[loopSize-plan.Edge:]) {
		t.Error("the ends are not blank")
	}
	if !bytes.Equal(after[plan.Edge:loopSize-plan.Edge], before[plan.Edge:loopSize-plan.Edge]) {
		t.Error("quick is the ends alone, on a disk without discard")
	}
}

// TestTheDiskBehindTheNameChanged: the list says one thing, the open device another.
func TestTheDiskBehindTheNameChanged(t *testing.T) {
	if !root(t) {
		return
	}
	l := newLoop(t, "1")
	must(t, os.WriteFile(filepath.Join(l.sys, "dev/block", l.number(t), "serial"), []byte("SER 9\n"), 0o600))
	before := l.content(t)
	row := wipe.New(config(map[string]loop{"1": l}), wipe.Grant{Level: plan.Clear, Disks: []wipe.DiskID{{WWID: "naa.1", Serial: "SER 1"}}}).Run(t.Context()).Disks[0]
	if !strings.Contains(row.Error, `serial "SER 9"; it is not touched`) || !bytes.Equal(l.content(t), before) {
		t.Errorf("%+v", row)
	}
}
