package lifecycle

import (
	"slices"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
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
	// TaskRestart acknowledges that the agent restarts its machine from the network, and restarts it.
	TaskRestart TaskKind = "Restart"
	// TaskPowerOff switches the machine off.
	TaskPowerOff TaskKind = "PowerOff"
)

// Task is what one caller shall do now.
type Task struct {
	Kind TaskKind
	// Reason is one of the reasons of Ingot; Message is for the console of the machine.
	Reason, Message string
	// After is when to ask again even if nothing changes; 0 waits for a change.
	After time.Duration
	// BootID is the boot that a restart begins; set for TaskRestart only.
	BootID string
	// Grant is set for TaskWipe only, Account for TaskAccount only.
	Grant   WipeGrant
	Account AccountGrant
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
	if o.Server == nil || foreign(&o) {
		return deniedTask()
	}
	t := handOut(&o, c)
	if t.After == 0 && Waits(o.Server, c) { // so that it is heard
		t.After = agentHears
	}
	if t.Kind == TaskWait && accountExpects(o.Server.Spec.Record) { // it may be told in a moment, though nothing changes until then
		t.After = settle
	}
	return t
}

func handOut(o *Observation, c Caller) Task {
	t, restart := restartTask(o, c)
	switch {
	case restart:
		return t
	case proven(o.Server.Spec.Record, c):
		return provenTask(o, o.Server.Spec.Record)
	case Believed(o.Server, c):
		return unprovenTask(o)
	case Waits(o.Server, c):
		return waitingTask(o)
	case Retires(o.Server, c):
		return retiringTask(o)
	}
	return deniedTask()
}

func deniedTask() Task {
	return Task{Kind: TaskDenied, Reason: reasons.Accepted, Message: "This boot is not, or no longer, one that Ingot expects of the server."}
}

// unprovenTask never touches the machine: at trust level 0 it waits, or goes back to its own disk.
func unprovenTask(o *Observation) Task {
	name := o.Server.Name
	switch {
	case o.Inventory == nil:
		return Task{Kind: TaskWait, Reason: reasons.NotRegistered, Message: "Waiting for the inventory of " + name + "."}
	case slices.ContainsFunc(o.Inventory.Disks, bootable):
		return Task{Kind: TaskLeave, Reason: reasons.LocalDiskPreferred, Message: "A disk of this machine holds an operating system. " + name + " is registered; the machine restarts from its disk."}
	case o.Server.Spec.Accepted:
		return Task{Kind: TaskWait, Reason: reasons.EvidenceNeeded, Message: name + " is accepted by its spec alone: `ingot accept " + name + "`, or `ingot power cycle " + name + "`."}
	}
	return Task{Kind: TaskWait, Reason: reasons.NotAccepted, Message: name + " is registered; waiting for an operator: `ingot accept " + name + "`."}
}

// provenTask is for the claimant of the expected boot.
func provenTask(o *Observation, r *metal.ServerRecord) Task {
	if t, wanted := accountTask(o, r); wanted {
		return t
	}
	if accountOver(r) {
		return Task{Kind: TaskPowerOff, Reason: reasons.AccountInUse, Message: "The machine was started for its BMC's account, and nothing else is wanted of it."}
	}
	if r.Wipe != nil && r.Wipe.BootID == r.Boot.ID && proved(r) && !byAgent(r.Boot) {
		return Task{Kind: TaskPowerOff, Reason: reasons.ReceiptJudged, Message: "The disks are clean; the machine switches itself off, which proves that it was this one."}
	}
	if r.Wipe != nil && r.Wipe.BootID == r.Boot.ID && proved(r) {
		return Task{Kind: TaskWait, Reason: reasons.ReceiptJudged, Message: "The disks are clean; the machine waits in the agent until it is needed."}
	}
	disks, f := permit(o, r)
	if !f.ok() {
		return Task{Kind: TaskWait, Reason: f.reason, Message: f.message, After: f.after}
	}
	w := r.Wipe
	switch {
	case w == nil || w.BootID != r.Boot.ID:
		return Task{Kind: TaskWait, Reason: reasons.DestructiveLimit, Message: "Waiting for the grant to wipe " + o.Server.Name + "."}
	case answered(r) || !sameDisks(w.Disks, disks):
		return Task{Kind: TaskWait, Reason: reasons.DisksChanged, Message: "The disks of " + o.Server.Name + " are not the ones that the grant names."}
	}
	return Task{Kind: TaskWipe, Reason: reasons.WipeGranted, Message: "Wiping " + count(len(disks), "disk") + ".", Grant: WipeGrant{id: w.ID, generation: w.Generation, level: w.Level, disks: slices.Clone(w.Disks)}}
}
