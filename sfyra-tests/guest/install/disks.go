package install

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Disk is one that could be installed to.
type Disk struct {
	Name, Serial string
	Bytes        int64
}

// Disks lists those of a machine whose sysfs is below root: writable ones that stay in. An answer may be short: drivers show disks late.
func Disks(root fs.FS) []Disk {
	entries, err := fs.ReadDir(root, "sys/block")
	if err != nil {
		return nil
	}
	var out []Disk
	for _, e := range entries {
		if d, ok := readDisk(root, path.Join("sys/block", e.Name())); ok {
			out = append(out, d)
		}
	}
	return out
}

func readDisk(root fs.FS, dir string) (Disk, bool) {
	value := func(file string) string {
		b, _ := fs.ReadFile(root, path.Join(dir, file)) // absent is empty
		return strings.TrimSpace(strings.Trim(string(b), "\x00\n"))
	}
	if _, err := fs.Stat(root, path.Join(dir, "device")); err != nil || value("removable") != "0" || value("ro") != "0" {
		return Disk{}, false
	}
	sectors, err := strconv.ParseInt(value("size"), 10, 64) // always of 512 bytes (Linux, Documentation/block/stat.rst)
	if err != nil || sectors <= 0 {
		return Disk{}, false
	}
	d := Disk{Name: path.Base(dir), Bytes: sectors * 512, Serial: value("device/serial")}
	if d.Serial == "" {
		d.Serial = value("serial")
	}
	if page, _ := fs.ReadFile(root, path.Join(dir, "device/vpd_pg80")); d.Serial == "" && len(page) > 4 {
		d.Serial = strings.TrimSpace(string(page[4:])) // SPC-4 section 7.8.16
	}
	return d, true
}

// Choose picks the disk that the config wants: largest, smallest or serial:X.
func Choose(disks []Disk, want string) (Disk, error) {
	sorted := slices.Clone(disks)
	slices.SortStableFunc(sorted, func(a, b Disk) int { return int(min(1, max(-1, a.Bytes-b.Bytes))) })
	serial, bySerial := strings.CutPrefix(want, "serial:")
	switch {
	case bySerial:
		for _, d := range sorted {
			if d.Serial == serial {
				return d, nil
			}
		}
	case len(sorted) == 0:
	case want == "smallest":
		return sorted[0], nil
	case want == "largest":
		return sorted[len(sorted)-1], nil
	}
	return Disk{}, fmt.Errorf("none of the disks %v is %q", disks, want)
}
