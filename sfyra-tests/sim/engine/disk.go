package engine

import (
	"slices"
	"strconv"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// content is what is on a disk: an abstract identity of its bytes. Zero is all zeros.
type content struct {
	id int
	// boots says that firmware would start it.
	boots bool
	// system is the workload whose bytes they are; nil for anything else.
	system *system
}

// disk is one disk, which may hang on several machines.
type disk struct {
	name, wwid, serial, transport string
	removable, readOnly           bool
	content                       content
	// writer of the content, for people.
	writer string
	// writtenAt is when the content came; attachedAt is when the disk came.
	writtenAt, attachedAt time.Duration
	// lies and fails say what becomes of an order to erase it.
	lies, fails bool
	machines    []*machine
	// seconds that erasing it takes.
	seconds time.Duration
}

// newDisk makes a disk on a bus with a content that was there before Ingot.
func (w *World) newDisk(m *machine, transport string) *disk {
	w.disks++
	n := strconv.Itoa(w.disks)
	d := &disk{
		name: "d" + n, wwid: "wwn-" + n, serial: "S" + n, transport: transport, attachedAt: w.now,
		seconds: w.hardware.between(5*time.Second, 8*time.Minute), machines: []*machine{m},
	}
	m.disks = append(m.disks, d)
	return d
}

// write puts a new content on the disk.
func (w *World) write(d *disk, boots bool, writer string) {
	w.contents++
	d.content, d.writer, d.writtenAt = content{id: w.contents, boots: boots}, writer, w.now
}

// untouchable says why nobody may ever erase the disk, as the models know it; empty for the machine's own.
func (d *disk) untouchable() string {
	switch {
	case d.removable:
		return "removable"
	case d.transport == "usb" || d.transport == "iscsi" || d.transport == "fc" || d.transport == "unknown":
		return "on " + d.transport
	case d.wwid == "":
		return "without an identifier"
	case d.readOnly:
		return "read-only"
	}
	return ""
}

// own says that the disk is the machine's own.
func (d *disk) own() bool { return d.untouchable() == "" && len(d.machines) == 1 }

// shows is what the agent sees of the disk.
func (d *disk) shows() metal.Disk {
	contents := metal.DiskBlank
	switch {
	case d.content.boots:
		contents = metal.DiskBootable
	case d.content.id != 0:
		contents = metal.DiskData
	}
	return metal.Disk{
		Name: d.name, SizeBytes: 1 << 40, Model: "Model", Serial: d.serial, WWID: d.wwid, Transport: d.transport,
		Removable: d.removable, ReadOnly: d.readOnly, SectorBytes: 512, Contents: contents,
	}
}

// id is how grants name the disk.
func (d *disk) id() metal.DiskID { return metal.DiskID{WWID: d.wwid, Serial: d.serial} }

// find is the machine's disk of that identity.
func (m *machine) find(id metal.DiskID) *disk {
	i := slices.IndexFunc(m.disks, func(d *disk) bool { return d.id() == id })
	if i < 0 {
		return nil
	}
	return m.disks[i]
}
