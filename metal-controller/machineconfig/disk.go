package machineconfig

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// chooseDisk resolves a choice against the server's own disks. The answer is a diskSelector of Talos that fits no other disk of the server, and still fits
// this one when the kernel calls it otherwise.
func chooseDisk(choice *metal.InstallDisk, server *metal.Server, inventory *metal.ServerInventorySpec) (map[string]any, error) {
	if inventory == nil {
		return nil, errors.New("the server has no inventory yet: boot its agent")
	}
	var fits []metal.Disk
	var near, far []string // those that are what is wanted and cannot be had, and the others
	for _, d := range inventory.Disks {
		wish, refusal := mismatch(choice, d), DiskRefusal(server, d)
		switch {
		case wish != "":
			far = append(far, d.Name+" ("+wish+")")
		case refusal != "":
			near = append(near, d.Name+" ("+refusal+")")
		default:
			fits = append(fits, d)
		}
	}
	if len(fits) == 0 {
		return nil, fmt.Errorf("none of the server's disks can be taken: %s", cmp.Or(some(append(near, far...), ", "), "it has none"))
	}
	slices.SortStableFunc(fits, func(a, b metal.Disk) int {
		bySize := cmp.Compare(a.SizeBytes, b.SizeBytes)
		if choice.Prefer == metal.PreferLargest {
			bySize = -bySize
		}
		return cmp.Or(bySize, cmp.Compare(a.WWID, b.WWID))
	})
	return selectorOf(fits[0], inventory.Disks)
}

// DiskRefusal says why a disk is not given to an installer; empty for the server's own. An ignored disk is refused from the moment on when the spec says so;
// the rest is what lifecycle found of the disk, and a disk that it has not judged is refused too.
func DiskRefusal(server *metal.Server, d metal.Disk) string {
	if slices.ContainsFunc(server.Spec.IgnoredDisks, func(s metal.DiskSelector) bool { return s.Selects(d) }) {
		return "it is named in spec.ignoredDisks"
	}
	i := slices.IndexFunc(server.Status.Disks, func(s metal.DiskStatus) bool { return s.WWID == d.WWID && s.Serial == d.Serial && s.Name == d.Name })
	switch {
	case i < 0:
		return "Ingot has not judged it yet"
	case server.Status.Disks[i].Verdict != metal.DiskOwn:
		return cmp.Or(server.Status.Disks[i].Reason, "it is not the server's own")
	}
	return ""
}

// mismatch is the first thing in which a disk is not what the choice wants.
func mismatch(c *metal.InstallDisk, d metal.Disk) string {
	model, _ := path.Match(slashless(c.Model), slashless(d.Model))
	switch {
	case c.WWID != "" && !strings.EqualFold(c.WWID, d.WWID):
		return "another wwid"
	case c.Serial != "" && c.Serial != d.Serial:
		return "another serial"
	case c.Model != "" && !model:
		return "another model"
	case len(c.Transports) > 0 && !slices.Contains(c.Transports, d.Transport):
		return "another transport"
	case c.Rotational != nil && *c.Rotational != d.Rotational:
		return "rotational or not"
	case !sized(c.Size, d.SizeBytes):
		return "another size"
	}
	return ""
}

// slashless keeps globs from minding slashes, as those of requirements do not.
func slashless(s string) string { return strings.ReplaceAll(s, "/", "\x00") }

func sized(r *metal.QuantityRange, bytes int64) bool {
	return r == nil || (r.Min == nil || r.Min.CmpInt64(bytes) <= 0) && (r.Max == nil || r.Max.CmpInt64(bytes) >= 0)
}

// standIn begins the identifier that the agent makes up for disks of virtio, which have none of their own (agent/inventory).
const standIn = "virtio."

// selectorOf names one disk in the words of Talos: by its WWID, or by its serial number where Talos sees no WWID.
func selectorOf(d metal.Disk, all []metal.Disk) (map[string]any, error) {
	key, of := "wwid", func(d metal.Disk) string { return d.WWID }
	if strings.HasPrefix(d.WWID, standIn) {
		key, of = "serial", func(d metal.Disk) string { return d.Serial }
	}
	// The agent writes white space as one blank, and Talos reads it as it is; its star stands for any text.
	pattern := strings.ReplaceAll(of(d), " ", "*")
	same := 0
	for _, o := range all {
		if starred(pattern, of(o)) {
			same++
		}
	}
	if pattern == "" || same != 1 {
		return nil, fmt.Errorf("the disk %s cannot be told from others by its %s", d.Name, key)
	}
	return map[string]any{key: pattern}, nil
}

// starred matches text with a pattern in which a star stands for any text, as Talos does.
func starred(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if last == 0 {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	for _, p := range parts[1:last] {
		_, after, found := strings.Cut(rest, p)
		rest, ok = after, ok && found
	}
	return ok && strings.HasSuffix(rest, parts[last])
}
