package engine

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// wrote looks at every write of a Server: what did the record become, and is it true?
func (c *oracle) wrote(w *store.Write) {
	if w.Kind == "ServerClaim" {
		c.claimWrote(w)
		return
	}
	if c.w.kinds.Has(Accounts) {
		c.accountWrote(w)
	}
	if i, ok := w.After.(*metal.ServerInventory); ok && i != nil {
		c.inventoried[i.Name] = c.w.now
	}
	before, _ := w.Before.(*metal.Server)
	if after, ok := w.After.(*metal.Server); ok && after != nil && w.Who != restorer {
		c.serverWrote(w, before, after)
	}
}

// serverWrote is wrote for a Server that is there afterwards; before is nil for a new one.
func (c *oracle) serverWrote(w *store.Write, before, after *metal.Server) {
	if before != nil && before.Spec.Accepted && !after.Spec.Accepted { // a person, or an old manifest
		c.unaccepted[after.Name] = c.w.now
	}
	if w.Status && after.Status.Boot != nil && after.Status.Boot.Target == metal.BootTargetAgent && after.Status.State == metal.StateAvailable {
		c.w.count(warmShown)
	}
	if w.Status {
		c.shows(after)
		return
	}
	old, r := recordOf(before), recordOf(after)
	c.wipeChanged(after, old, r, w.Who)
	c.recordChanged(after, old, r)
	c.bootChanged(after, old, r)
	if r.Quarantine != nil && old.Quarantine == nil {
		c.w.count(quarantinesRecorded)
	}
	if r.Acceptance != nil && (old.Acceptance == nil || old.Acceptance.RequestID != r.Acceptance.RequestID) {
		c.w.count(acceptances)
		if r.Acceptance.RequestID == "" {
			c.w.count(acceptedByEvidence)
		}
	}
}

// wipeChanged looks at grants, receipts and proofs.
func (c *oracle) wipeChanged(s *metal.Server, old, r *metal.ServerRecord, who string) {
	w := r.Wipe
	if old.Wipe != nil && old.Wipe.VerifiedAt != nil && w == nil && r.Boot != nil && r.Boot.Reason == reasons.BootVoided {
		c.undone[s.Name] = c.w.now
		c.w.count(wipesContradicted)
	}
	if w == nil {
		return
	}
	t := task{w.ID, w.Generation}
	if old.Wipe == nil || old.Wipe.ID != w.ID {
		c.grants(s, w.ID, who)
	} else if old.Wipe.Generation != w.Generation {
		c.w.count(generations)
	}
	if w.Receipt != nil && (old.Wipe == nil || old.Wipe.Receipt == nil) {
		c.receipts[t], c.received[t] = c.sender, c.w.now
		c.w.count(receiptsRecorded)
		if c.sender != nil && c.sender.impostor {
			c.w.count(impostorReceipts)
		}
	}
	if w.VerifiedAt != nil && (old.Wipe == nil || old.Wipe.VerifiedAt == nil) {
		c.verified(s, t, w)
	}
}

// verified checks a proof against the disks (I3) and its witness (I7).
//
// What remains at trust level 1: a stranger is the only claimant, since the machine itself does not come up, and then the machine loses its power, or its
// BMC starts to lie, in the very minutes in which it should switch itself off. Such coincidences are counted, and are no violation.
func (c *oracle) verified(s *metal.Server, t task, w *metal.WipeRecord) {
	c.w.count(wipesVerified)
	c.asked(s.Name) // what comes next is another thing
	by := c.receipts[t]
	if by == nil {
		c.fail("I3", "%s became clean, and nobody sent a receipt of wipe %s generation %d", s.Name, t.id, t.generation)
		return
	}
	if by.impostor && (c.takenIn(s, by) || by.m.accident(c.received[t])) {
		c.w.count(coincidences)
		c.fooled[s.Name] = true
		return
	}
	if by.impostor {
		c.fail("I7", "%s became clean on the word of %s", s.Name, by)
	}
	c.fooled[s.Name] = false
	for _, id := range w.Disks {
		if d := by.m.find(id); d != nil && d.content.id != 0 && d.writtenAt <= by.readAt { // it may have been taken away since
			c.fail("I3", "%s became clean, and the disk %s of the grant is not erased", s.Name, id.Serial)
		}
	}
}

// zero checks that the machine's own disks are erased, apart from those that came later than the agent could see.
func (c *oracle) zero(s *metal.Server, m *machine, since time.Duration, what string) {
	for _, d := range m.own() {
		if d.content.id != 0 && d.writtenAt <= since && d.attachedAt <= since && !ignored(s, d) {
			c.fail("I3", "%s %s, and its disk %s still holds content %d (%s)", s.Name, what, d.serial, d.content.id, d.writer)
		}
	}
}

func ignored(s *metal.Server, d *disk) bool {
	for _, i := range s.Spec.IgnoredDisks {
		if i.Serial == d.serial {
			return true
		}
	}
	return false
}

// grant is one grant that counts against the limit.
type grant struct {
	at   time.Duration
	id   string
	by   *process
	life int
}

// grants checks the limit of destructive actions (I5). A grant whose record went with a person's gesture is known only to the replica that gave it, for as
// long as that one lives.
func (c *oracle) grants(s *metal.Server, id, who string) {
	c.w.count(grantsRecorded)
	by := c.w.replica(who)
	if by == nil {
		return
	}
	c.granted = append(c.granted, grant{c.w.now, id, by, by.life})
	n := 0
	for _, g := range c.granted {
		if c.w.now-g.at < time.Hour-time.Second && g.at > c.disturbed && (g.by == by && g.life == by.life || c.w.recorded(g.id)) {
			n++
		}
	}
	if n > c.w.limit() {
		c.fail("I5", "the wipe of %s is number %d within an hour, and %d are allowed", s.Name, n, c.w.limit())
	}
}

// recorded says that a record holds the wipe of that id.
func (w *World) recorded(id string) bool {
	for _, s := range store.All[metal.Server](w.store) {
		if r := recordOf(s); r.Wipe != nil && r.Wipe.ID == id {
			return true
		}
	}
	return false
}

// bootChanged counts boots that Ingot begins by itself (I8).
func (c *oracle) bootChanged(s *metal.Server, old, r *metal.ServerRecord) {
	if r.Boot == nil {
		return
	}
	if old.Boot == nil || old.Boot.ID != r.Boot.ID {
		c.w.count(bootsStarted)
		c.opens(s, r.Boot)
		if r.Boot.Attempt > 0 { // a person's power request starts attempt 0
			c.boots(s.Name)
		}
	}
	c.windowOpens(s, old, r)
	if r.Boot.Phase == metal.BootRestarting && (old.Boot == nil || old.Boot.ID != r.Boot.ID) {
		c.w.count(restartsOrdered)
	}
	if (old.Boot == nil || old.Boot.Phase != metal.BootClaimed) && r.Boot.Phase == metal.BootClaimed {
		c.w.count(bootsClaimed)
		if c.w.claimant != nil && c.w.claimant.impostor {
			c.w.count(impostorClaims)
		}
	}
	if old.Boot != nil && old.Boot.Phase != metal.BootVoid && r.Boot.Phase == metal.BootVoid && r.Boot.Reason != "" {
		c.w.count(bootsVoided)
	}
	c.w.lure(s, r.Boot)
}

// opens gives an operating system's boot its capability, as the controller does that tells the pxe-servers of it.
func (c *oracle) opens(s *metal.Server, b *metal.BootRecord) {
	if b.Target == metal.BootTargetOS {
		c.w.boots[b.ID] = osBoot{server: s.Name, binding: b.BindingID, boot: b.ID, token: c.w.key.Token(forConfig, s.Name, b.ID, b.BindingID)}
	}
}

func (c *oracle) boots(name string) {
	c.booted[name] = append(c.booted[name], c.w.now)
	n := 0
	for _, at := range c.booted[name] {
		if c.w.now-at < time.Hour && at > c.disturbed {
			n++
		}
	}
	if n > 3 && c.w.now-c.disturbed > time.Hour {
		c.fail("I8", "%s is booted for the %dth time within an hour, and no person asked", name, n)
	}
}

// asked forgets the boots of a server: a person wants something of it now.
func (c *oracle) asked(name string) { delete(c.booted, name) }

// shows checks what status says to people (I3).
func (c *oracle) shows(s *metal.Server) {
	if s.Status.State != metal.StateAvailable {
		return
	}
	w := recordOf(s).Wipe
	if at, ok := c.undone[s.Name]; ok && c.w.now-at < time.Minute {
		return
	}
	if w == nil || w.VerifiedAt == nil {
		c.fail("I3", "%s shows Available without a verified wipe", s.Name)
		return
	}
	c.w.count(availableShown)
	if by := c.receipts[task{w.ID, w.Generation}]; by != nil && !c.fooled[s.Name] {
		c.zero(s, by.m, by.readAt, "shows Available")
	}
}
