package lifecycle

import (
	"fmt"
	"slices"
	"strings"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// judgeDisks says for each disk what Ingot may do with it (rule 3 of DESIGN section 3): only what is directly attached, tells a world-wide identifier and is
// seen on no other Server is the server's own. Everything else is never touched.
func judgeDisks(o *Observation, r *metal.ServerRecord) []metal.DiskStatus {
	if o.Inventory == nil {
		return nil
	}
	out := make([]metal.DiskStatus, 0, len(o.Inventory.Disks))
	for _, d := range o.Inventory.Disks {
		verdict, reason := judgeDisk(o, d)
		s := metal.DiskStatus{
			DiskID: diskID(d), Name: d.Name, Description: clip(describe(d), 190), Contents: d.Contents, Verdict: verdict, Reason: clip(reason, 250),
		}
		s.NeedsConfirmation = verdict == metal.DiskOwn && d.Contents != metal.DiskBlank && !covers(confirmed(r), s.DiskID)
		out = append(out, s)
	}
	return out
}

// confirmed are the disks whose data the record allows to be wiped: those that a person named, and after a release those that the workload was given.
func confirmed(r *metal.ServerRecord) []metal.DiskID {
	if r.Acceptance == nil || r.Unverified != nil {
		return nil
	}
	if r.Release == nil || r.Release.OffAt == nil {
		return r.Acceptance.Disks
	}
	return append(slices.Clone(r.Acceptance.Disks), r.Release.Disks...)
}

// own are transports of directly attached disks. All others, also ones of a newer agent, are nobody's own.
var own = []string{"nvme", "sata", "sas", "scsi", "raid", "mmc", "virtio"}

func judgeDisk(o *Observation, d metal.Disk) (metal.DiskVerdict, string) {
	switch {
	case slices.ContainsFunc(o.Server.Spec.IgnoredDisks, func(s metal.DiskSelector) bool { return s.Selects(d) }):
		return metal.DiskIgnored, "named in spec.ignoredDisks"
	case d.Removable:
		return metal.DiskBlocked, "it is removable"
	case d.Transport == "usb":
		return metal.DiskBlocked, "it hangs on USB"
	case d.Transport == "iscsi" || d.Transport == "fc":
		return metal.DiskBlocked, "it hangs on a fabric"
	case !slices.Contains(own, d.Transport):
		return metal.DiskBlocked, "Ingot cannot tell what it hangs on"
	case d.WWID == "":
		return metal.DiskBlocked, "it tells no world-wide identifier"
	case d.ReadOnly:
		return metal.DiskBlocked, "it is read-only"
	case twice(o, d.WWID):
		return metal.DiskBlocked, "it shows more than once, as multipath disks do"
	case o.Elsewhere[d.WWID] != "":
		return metal.DiskBlocked, "the Server " + o.Elsewhere[d.WWID] + " shows it too"
	}
	return metal.DiskOwn, ""
}

// twice says that more than one disk of this server tells the WWID, however it is spelled: two paths may be two drivers.
func twice(o *Observation, wwid string) bool {
	n := 0
	for _, d := range o.Inventory.Disks {
		if strings.EqualFold(d.WWID, wwid) {
			n++
		}
	}
	return n > 1
}

func diskID(d metal.Disk) metal.DiskID { return metal.DiskID{WWID: d.WWID, Serial: d.Serial} }

// covers says that the list names the disk: by its WWID, and by its serial number where the list has one. A disk without a WWID is never named.
func covers(list []metal.DiskID, d metal.DiskID) bool {
	return d.WWID != "" && slices.ContainsFunc(list, func(id metal.DiskID) bool {
		return id.WWID == d.WWID && (id.Serial == "" || id.Serial == d.Serial)
	})
}

// coversAll says that the list names every one of the disks.
func coversAll(list, disks []metal.DiskID) bool {
	return !slices.ContainsFunc(disks, func(d metal.DiskID) bool { return !covers(list, d) })
}

// sameDisks says that both lists name the same disks, in any order.
func sameDisks(a, b []metal.DiskID) bool {
	return len(a) == len(b) && coversAll(a, b) && coversAll(b, a)
}

// pick is the disks that fit, and how people tell them.
func pick(disks []metal.DiskStatus, want func(metal.DiskStatus) bool) (ids []metal.DiskID, names []string) {
	for _, d := range disks {
		if want(d) {
			ids = append(ids, d.DiskID)
			names = append(names, label(d))
		}
	}
	return ids, names
}

// label is how people tell a disk: by its serial number, with the reason why it is in the way.
func label(d metal.DiskStatus) string {
	name := d.Serial
	if name == "" {
		name = d.Name
	}
	if d.Reason != "" {
		return name + " (" + d.Reason + ")"
	}
	return name
}

func isOwn(d metal.DiskStatus) bool     { return d.Verdict == metal.DiskOwn }
func isBlocked(d metal.DiskStatus) bool { return d.Verdict == metal.DiskBlocked }
func isOpen(d metal.DiskStatus) bool    { return d.NeedsConfirmation }

func describe(d metal.Disk) string {
	return fmt.Sprintf("%s %s %s", d.Transport, decimalSize(float64(d.SizeBytes)), d.Model)
}
