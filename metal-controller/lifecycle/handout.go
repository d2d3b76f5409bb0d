package lifecycle

import (
	"slices"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Caller is an agent that proved to hold the key of a certificate of ours.
type Caller struct {
	// BootID that its certificate names.
	BootID string
	// Key is the SHA-256 of its public key (SPKI), lower-case hexadecimal.
	Key string
}

// TaskKind is what an agent shall do.
type TaskKind string

// The kinds of tasks.
const (
	// TaskDenied ends the session: this caller is not, or no longer, believed.
	TaskDenied TaskKind = "Denied"
	// TaskWait keeps the session.
	TaskWait TaskKind = "Wait"
	// TaskLeave restarts the machine, which then boots its own disk.
	TaskLeave TaskKind = "Leave"
	// TaskWipe erases the disks of the grant.
	TaskWipe TaskKind = "Wipe"
	// TaskPowerOff switches the machine off.
	TaskPowerOff TaskKind = "PowerOff"
)

// Task is what one caller shall do now.
type Task struct {
	Kind TaskKind
	// Reason is one of the reasons of Ingot; Message is for the console of the machine.
	Reason, Message string
	// Grant is set for TaskWipe only.
	Grant WipeGrant
}

// WipeGrant permits to erase disks. Only this package makes one that is not empty, so whoever holds one was permitted.
type WipeGrant struct {
	id         string
	generation int64
	level      metal.WipeLevel
	disks      []metal.DiskID
}

// ID of the wipe.
func (g WipeGrant) ID() string { return g.id }

// Generation of the hand-out.
func (g WipeGrant) Generation() int64 { return g.generation }

// Level to reach.
func (g WipeGrant) Level() metal.WipeLevel { return g.level }

// Disks to erase, and no others.
func (g WipeGrant) Disks() []metal.DiskID { return slices.Clone(g.disks) }

// HandOut says what a caller shall do. The observation must rest on uncached reads of the Server and its inventory, and needs no reading of the BMC:
// the grant is computed again from them, and a wipe goes out only if it is the very one that the record holds.
func HandOut(o Observation, c Caller) Task {
	if o.Server == nil || !Believed(o.Server, c) {
		return Task{Kind: TaskDenied}
	}
	return Task{Kind: TaskWait}
}
