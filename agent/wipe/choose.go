package wipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// own are the transports of directly attached disks, as in rule 3 of the design: everything else is nobody's own.
var own = []string{"nvme", "sata", "sas", "scsi", "raid", "mmc", "virtio"}

var errPresent = errors.New("it is not present: put it back, or accept the server again without it")

// choose finds the one disk that row i of the grant names, or says why it must not be touched.
func choose(present []Disk, grant []DiskID, i int) (Disk, error) {
	id := grant[i]
	if id == (DiskID{}) {
		return Disk{}, errors.New("the grant names a disk without saying which")
	}
	found := matching(present, id)
	switch {
	case len(found) == 0:
		return Disk{}, errPresent
	case len(found) > 1:
		return Disk{}, fmt.Errorf("it shows %d times, as multipath disks do; it is not touched", len(found))
	}
	disk := found[0]
	if slices.ContainsFunc(present, func(d Disk) bool { return d.Name != disk.Name && sameWWID(d.WWID, disk.WWID) }) {
		return Disk{}, fmt.Errorf("another disk shows the WWID of %s, as multipath disks do; it is not touched", disk.Name)
	}
	for k, other := range grant {
		if k != i && other != (DiskID{}) && fits(other, disk.WWID, disk.Serial) {
			return Disk{}, fmt.Errorf("the grant names %s twice", disk.Name)
		}
	}
	return disk, eligible(disk)
}

// eligible is defence in depth: lifecycle never grants such disks.
func eligible(d Disk) error {
	switch {
	case d.Removable:
		return fmt.Errorf("%s is removable; it is not touched", d.Name)
	case d.ReadOnly:
		return fmt.Errorf("%s is read-only", d.Name)
	case !slices.Contains(own, d.Transport):
		return fmt.Errorf("%s hangs on %q, which is no direct attachment; it is not touched", d.Name, d.Transport)
	}
	return nil
}

func matching(present []Disk, id DiskID) []Disk {
	var out []Disk
	for _, d := range present {
		if fits(id, d.WWID, d.Serial) {
			out = append(out, d)
		}
	}
	return out
}

// fits compares all that the grant sets.
func fits(id DiskID, wwid, serial string) bool {
	return id != (DiskID{}) && (id.WWID == "" || same(id.WWID, cut(wwid, 256))) && (id.Serial == "" || same(id.Serial, cut(serial, 128)))
}

// cut shortens as the inventory does on the way to the API.
func cut(s string, most int) string {
	if r := []rune(plain(s)); len(r) > most {
		return string(r[:most])
	}
	return s
}

// same compares what a person would read: white space and invisible characters do not count, since they are cleaned away on the
// way to the API.
func same(a, b string) bool { return plain(a) == plain(b) && plain(a) != "" }

// sameWWID is same for disks that are compared with each other: two paths may have two drivers, of which one writes capitals.
func sameWWID(a, b string) bool { return strings.EqualFold(plain(a), plain(b)) && plain(a) != "" }

func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar, unicode.Is(unicode.C, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

func listError(err error) error { return fmt.Errorf("listing the disks: %w", err) }
