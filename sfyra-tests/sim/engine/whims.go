package engine

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// whims plans gestures that nothing asked for.
func (o *operator) whims(m *machine) {
	for _, x := range []struct {
		kind Kind
		do   func(*machine)
	}{
		{Unaccept, o.unaccept},
		{Quarantines, o.quarantine},
		{Pauses, o.pause},
		{PowerRequests, o.anyPower},
		{GitApply, o.apply},
		{Deletes, o.remove},
		{Ignores, o.ignore},
		{LostStatus, o.clearStatus},
		{NewDisks, o.changeDisk},
		{Squatters, o.install},
		{GiveUps, o.mistake},
		{GitAccept, o.gitAccept},
		{Accounts, o.rotate},
	} {
		if !o.w.kinds.Has(x.kind) || !o.w.people.chance(0.7) {
			continue
		}
		for range 1 + o.w.people.upTo(3) {
			o.w.in(o.w.people.between(0, o.w.cfg.Chaos), func() {
				if !o.w.calm {
					o.gesture(func() { x.do(m) })
				}
			})
		}
	}
}

// unaccept takes the yes back: what was confirmed is not, from now on.
func (o *operator) unaccept(m *machine) {
	ok := o.edit(m, "takes back the yes to", func(s *metal.Server) bool {
		was := s.Spec.Accepted
		s.Spec.Accepted = false
		return was
	})
	if !ok {
		return
	}
	o.w.count(unaccepts)
	o.w.check.unaccepted[o.server(m).Name] = o.w.now
	for _, d := range m.disks {
		if o.w.check.confirmed[saw{m, d.content.id}] {
			delete(o.w.check.confirmed, saw{m, d.content.id})
			o.w.check.revoked[saw{m, d.content.id}] = true
		}
	}
}

func (o *operator) quarantine(m *machine) {
	ok := o.edit(m, "quarantines", func(s *metal.Server) bool {
		s.Spec.QuarantineRequest = &metal.QuarantineRequest{ID: o.w.people.id(8), Action: metal.QuarantineSet, Message: "fan", RequestedAt: o.at()}
		return true
	})
	if ok {
		o.w.count(quarantinesAsked)
	}
}

// pause stops Ingot for a while.
func (o *operator) pause(m *machine) {
	set := func(paused bool) func(*metal.Server) bool {
		return func(s *metal.Server) bool {
			if paused {
				s.Annotations = map[string]string{lifecycle.PausedAnnotation: ""}
			} else {
				s.Annotations = nil
			}
			return true
		}
	}
	if o.edit(m, "pauses", set(true)) {
		o.w.count(pausesAsked)
	}
	o.w.in(o.w.people.between(time.Minute, 30*time.Minute), func() { o.edit(m, "resumes", set(false)) })
}

func (o *operator) anyPower(m *machine) {
	o.power(m, []metal.PowerAction{metal.PowerActionOn, metal.PowerActionOff, metal.PowerActionCycle}[o.w.people.upTo(3)])
}

// gitAccept says yes by Git alone, which is no gesture.
func (o *operator) gitAccept(m *machine) {
	if o.edit(m, "accepts by Git", func(s *metal.Server) bool { s.Spec.Accepted = true; return true }) {
		o.w.count(gitAccepts)
		o.unseen(m)
	}
}

// unseen notes that a yes was taken back and given again before anybody saw that: it is the same yes.
func (o *operator) unseen(m *machine) {
	if s := o.server(m); s == nil || !s.Spec.Accepted || recordOf(s).Acceptance == nil {
		return
	}
	for _, d := range m.disks {
		if o.w.check.revoked[saw{m, d.content.id}] {
			o.w.check.confirmed[saw{m, d.content.id}] = true
		}
	}
}

// apply puts an old manifest over what is there; admission keeps the record out of it.
func (o *operator) apply(m *machine) {
	manifest := o.manifests[m.name]
	if manifest == nil {
		return
	}
	o.w.count(manifestsApplied)
	if o.server(m) == nil {
		o.recreate(manifest)
		return
	}
	o.edit(m, "applies an old manifest of", func(s *metal.Server) bool {
		record, bmc := s.Spec.Record, s.Spec.BMC
		manifest.Spec.DeepCopyInto(&s.Spec)
		s.Spec.Record = record
		if s.Spec.BMC == nil { // what a manifest never named is left as Ingot wrote it
			s.Spec.BMC = bmc
		}
		return true
	})
	o.unseen(m)
}

func (o *operator) recreate(manifest *metal.Server) {
	fresh := &metal.Server{}
	fresh.Name = manifest.Name
	manifest.Spec.DeepCopyInto(&fresh.Spec)
	err := o.client().Create(background(), fresh)
	o.w.log(fresh.Name, "a person creates it again from Git %s", text(err))
}

// remove deletes a Server; later Git brings it back.
func (o *operator) remove(m *machine) {
	s := o.server(m)
	if s == nil {
		return
	}
	o.commit(m)
	name := s.Name
	err := o.client().Delete(background(), s.DeepCopy())
	o.w.log(m.name, "a person deletes %s %s", name, text(err))
	o.w.count(serversDeleted)
	o.w.check.disturbed, o.w.check.unaccepted[name] = o.w.now, o.w.now
	for _, d := range m.disks { // whoever creates it again with a young yes in it means that yes
		if o.w.check.revoked[saw{m, d.content.id}] {
			o.w.check.confirmed[saw{m, d.content.id}] = true
		}
	}
	o.w.in(o.w.people.between(time.Second, time.Minute), func() { o.w.store.CollectGarbage() })
	o.w.in(o.w.people.between(2*time.Minute, 30*time.Minute), func() {
		if manifest := o.manifests[name]; manifest != nil && o.server(m) == nil {
			o.recreate(manifest)
		}
	})
}

// ignore names a disk that Ingot shall leave alone: mostly one that is in the way.
func (o *operator) ignore(m *machine) {
	d := m.disks[o.w.people.upTo(len(m.disks))]
	for _, other := range m.disks {
		if !other.own() && o.w.people.chance(0.8) {
			d = other
		}
	}
	if o.edit(m, "ignores the disk "+d.serial+" of", func(s *metal.Server) bool {
		s.Spec.IgnoredDisks = append(s.Spec.IgnoredDisks, metal.DiskSelector{Serial: d.serial})
		return true
	}) {
		o.w.count(disksIgnored)
	}
}

func (o *operator) clearStatus(m *machine) {
	s := o.server(m)
	if s == nil {
		return
	}
	s = s.DeepCopy()
	s.Status = metal.ServerStatus{}
	err := o.client().Status().Update(background(), s)
	o.w.log(m.name, "the status is lost %s", text(err))
	o.w.count(statusesLost)
}

// changeDisk adds a disk to a machine that is off, or swaps one.
func (o *operator) changeDisk(m *machine) {
	if m.on {
		return
	}
	o.w.count(disksAdded)
	if o.w.people.chance(0.5) && len(m.disks) > 1 && len(m.disks[0].machines) == 1 {
		m.disks = m.disks[1:]
	}
	d := o.w.newDisk(m, "sata")
	if o.w.people.chance(0.6) {
		o.w.write(d, o.w.people.chance(0.5), "came with the disk")
	}
	o.w.log(m.name, "a person adds the disk %s with content %d", d.serial, d.content.id)
}

// install puts a system on a machine by hand, past Ingot, when no wipe of it is under way: after the wipe, or without a yes.
func (o *operator) install(m *machine) {
	s, own := o.server(m), m.own()
	r := recordOf(s)
	waiting := s != nil && s.Spec.AcceptRequest != nil && s.Spec.AcceptRequest.ID != r.AcceptRequest
	done := r.Wipe != nil && r.Wipe.VerifiedAt != nil
	if m.runs == agentOS || len(own) == 0 || waiting || r.Claim != nil || r.Acceptance != nil && !done && r.Unverified == nil || !m.feed {
		return
	}
	m.switchOff("a person installs a system by hand")
	d := own[o.w.people.upTo(len(own))]
	o.w.write(d, true, "installed by hand")
	m.on, m.runs, m.workload = true, localOS, d.content.id
	o.w.log(m.name, "a person installs content %d on %s", d.content.id, d.serial)
	o.w.count(systemsInstalled)
}
