package engine

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// recordChanged looks at what a Server's record says of claims (I10, I11).
func (c *oracle) recordChanged(s *metal.Server, old, r *metal.ServerRecord) {
	if r.Claim != nil && c.leases[r.Claim.BindingID] == nil {
		c.leases[r.Claim.BindingID] = &lease{
			id: r.Claim.BindingID, server: s.Name, claim: types.NamespacedName{Namespace: r.Claim.Namespace, Name: r.Claim.Name},
		}
	}
	if old.Claim != nil && (r.Claim == nil || r.Claim.BindingID != old.Claim.BindingID) {
		c.ends(s, old)
	}
	if r.Claim != nil && r.Claim.BoundAt != nil && (old.Claim == nil || old.Claim.BoundAt == nil || old.Claim.BindingID != r.Claim.BindingID) {
		c.completes(s, r.Claim)
	}
	c.freed(old, r)
	c.reuses(s, old, r)
	c.remedies(s, old, r)
	if r.Release != nil && (old.Release == nil || old.Release.BindingID != r.Release.BindingID) {
		c.releases(s, old, r.Release)
	}
	c.installChanged(s, old, r)
}

// releases checks a release that is recorded now (I10), and what of the disks the workload had.
func (c *oracle) releases(s *metal.Server, old *metal.ServerRecord, release *metal.ReleaseRecord) {
	c.w.count(releasesRecorded)
	c.asked(s.Name)
	if l := c.lease(release.BindingID); l == nil || !l.given {
		c.fail("I10", "a release of %s from %s/%s was recorded, and nobody gave it up", s.Name, release.Namespace, release.Name)
	} else if l.configured && old.Wipe != nil {
		c.lent(s, old.Wipe.Disks)
	} else if l.configured && old.Claim != nil && old.Claim.Reused != nil {
		c.lent(s, old.Claim.Reused.Disks)
	}
}

// freed counts releases that an agent proved.
func (c *oracle) freed(old, r *metal.ServerRecord) {
	if r.Release != nil && r.Release.Proof == metal.ProofAgent && (old.Release == nil || old.Release.Proof == "") {
		c.w.count(agentsFreed)
	}
}

// remedies checks a power cycle that no person asked for: of an installed workload that nobody holds back, and never the fourth within an hour by the clock that counts them (I15).
func (c *oracle) remedies(s *metal.Server, old, r *metal.ServerRecord) {
	if r.Power == nil || len(r.Power.Cycles) == 0 || old.Power != nil && len(old.Power.Cycles) > 0 && slices.Equal(old.Power.Cycles, r.Power.Cycles) || r.Unverified != nil {
		return // nothing begins, or it comes from a backup
	}
	c.w.count(remediesBegun)
	n := len(r.Power.Cycles)
	switch {
	case r.Claim == nil || r.Installed == nil || r.Release != nil || r.Quarantine != nil || !s.Spec.Accepted:
		c.fail("I15", "%s is cycled for a workload that it does not have, or that a person holds back", s.Name)
	case old.Power != nil && len(old.Power.Cycles) == 3 && r.Power.Cycles[n-1].At.Sub(old.Power.Cycles[0].At.Time).Abs() < time.Hour-2*time.Second:
		c.fail("I15", "%s is cycled for the fourth time within an hour", s.Name)
	}
}

// reuses checks a server that went from one claim to the next without a wipe: the first was given up and stopped, and both want it and belong together (I14).
func (c *oracle) reuses(s *metal.Server, old, r *metal.ServerRecord) {
	if r.Claim == nil || r.Claim.Reused == nil || old.Claim != nil && old.Claim.BindingID == r.Claim.BindingID {
		return
	}
	c.w.count(serversReused)
	was := r.Claim.Reused
	l := c.lease(was.BindingID)
	next := store.Peek[metal.ServerClaim](c.w.store, r.Claim.Namespace, r.Claim.Name)
	switch {
	case l == nil || !l.given || !l.stopped:
		c.fail("I14", "%s/%s got %s without a wipe, and %s/%s did not give it up, or was not stopped", r.Claim.Namespace, r.Claim.Name, s.Name, was.Namespace, was.Name)
	case was.Namespace != r.Claim.Namespace || was.ReuseOwner == "" || next != nil && (!next.Spec.Reuse || next.Labels[clusterLabel] == ""):
		c.fail("I14", "%s/%s got %s without a wipe from %s/%s, which has another owner, or wanted none of that", r.Claim.Namespace, r.Claim.Name, s.Name, was.Namespace, was.Name)
	case recordOf(s).Quarantine != nil || !s.Spec.Accepted:
		c.fail("I14", "%s/%s got %s without a wipe, which a person holds back", r.Claim.Namespace, r.Claim.Name, s.Name)
	}
}

// lent notes what is on the disks that a configured workload had, which were clean when it got them: whoever put something on them since knew that claims
// take them, and nobody can tell it from what the workload wrote.
func (c *oracle) lent(s *metal.Server, disks []metal.DiskID) {
	m := c.w.machineOf(s)
	if m == nil {
		return
	}
	for _, id := range disks {
		if d := m.find(id); d != nil && d.content.system == nil {
			c.confirmed[saw{m, d.content.id}] = true
		}
	}
}

// installChanged counts.
func (c *oracle) installChanged(s *metal.Server, old, r *metal.ServerRecord) {
	if i := r.Installed; i != nil && i.RunningAt != nil && (old.Installed == nil || old.Installed.RunningAt == nil) {
		c.w.count(workloadsRun)
		if s.Spec.BMC == nil {
			c.w.count(handmadeRun)
		}
	}
	if i := r.Installed; i != nil && !c.proven[i.BootID] {
		c.proven[i.BootID] = true
		c.asked(s.Name) // what comes next is another thing
	}
	if r.Installed == nil && old.Installed != nil && r.Claim != nil {
		c.w.count(disksLost)
		c.asked(s.Name)
	}
}

// ends checks the end of a binding (I10).
func (c *oracle) ends(s *metal.Server, old *metal.ServerRecord) {
	l := c.lease(old.Claim.BindingID)
	if old.Claim.BoundAt == nil || l == nil {
		return
	}
	c.w.count(bindingsEnded)
	if why := c.over(l); why != "" {
		c.fail("I10", "the binding of %s to %s ended, and %s", s.Name, l.claim, why)
	}
}

// completes checks that a binding is complete, and the only one of its claim (I11).
func (c *oracle) completes(s *metal.Server, side *metal.ClaimRecord) {
	c.w.count(bindingsBegun)
	c.asked(s.Name)
	l := c.lease(side.BindingID)
	l.begun = true
	if !l.seen {
		c.fail("I11", "%s is bound to %s, and no claim ever named that binding", s.Name, l.claim)
	}
}

// claimWrote looks at every write of a ServerClaim (I10, I11).
func (c *oracle) claimWrote(w *store.Write) {
	before, _ := w.Before.(*metal.ServerClaim)
	after, _ := w.After.(*metal.ServerClaim)
	if after != nil {
		if b := after.Spec.Binding; b != nil && (before == nil || before.Spec.Binding == nil) {
			c.binds(after, w.Who)
		}
		if w.Who != restorer {
			c.judge(after)
		}
	} else if before != nil {
		c.gone(before)
	}
	if before != nil && c.w.replica(w.Who) != nil && holdsFinalizer(before) && (after == nil || !holdsFinalizer(after)) {
		c.letsGo(before)
	}
}

// binds checks the claim's side.
func (c *oracle) binds(x *metal.ServerClaim, who string) {
	b := x.Spec.Binding
	l := c.lease(b.BindingID)
	if l == nil || l.server != b.Server {
		c.fail("I11", "the claim %s/%s names a binding to %s that this server never had", x.Namespace, x.Name, b.Server)
		return
	}
	l.seen = true
	if who == restorer {
		return
	}
	c.w.count(claimsBound)
	for _, other := range store.All[metal.ServerClaim](c.w.store) {
		if other.UID != x.UID && other.Spec.Binding != nil && *other.Spec.Binding == *b {
			c.fail("I11", "%s has the claims %s/%s and %s/%s", b.Server, x.Namespace, x.Name, other.Namespace, other.Name)
		}
	}
}

// letsGo checks that our finalizer stays until the workload is stopped (I10). What clusterctl moves goes on elsewhere.
func (c *oracle) letsGo(x *metal.ServerClaim) {
	if _, moving := x.Annotations[moveAnnotation]; moving || x.Spec.Binding == nil {
		return
	}
	l := c.lease(x.Spec.Binding.BindingID)
	s := store.Peek[metal.Server](c.w.store, "", x.Spec.Binding.Server)
	if l == nil || !l.begun || s == nil || c.ours(s) != "" {
		return
	}
	if why := c.over(l); why != "" && c.runs(l) {
		c.fail("I10", "the claim %s/%s was let go, and of its binding to %s: %s", x.Namespace, x.Name, l.server, why)
	}
}

// workloadGoes checks that the bytes of a workload go only after it was given up and stopped (I9).
func (c *oracle) workloadGoes(m *machine, d *disk, who string) {
	s := d.content.system
	l := c.lease(s.binding)
	c.w.count(workloadsErased)
	switch {
	case c.confirmed[saw{m, d.content.id}]: // a person named it
	case l == nil || !l.given:
		c.fail("I9", "%s goes over the workload of binding %.6s on the disk %s of %s, which nobody gave up", who, s.binding, d.serial, m)
	case !l.stopped:
		c.fail("I9", "%s goes over the workload of binding %.6s on the disk %s of %s, which was not stopped since it was given up", who, s.binding, d.serial, m)
	}
}

// overwrites checks what an installer writes over (I9). A system may be installed again until it told that it is installed. Disks that a person told Ingot
// to ignore are left to whoever writes the machine config.
func (c *oracle) overwrites(m *machine, d *disk, s *system) {
	was := d.content.system
	server := store.Peek[metal.Server](c.w.store, "", s.server)
	if was == nil || was.binding == s.binding && !was.proven || server != nil && ignored(server, d) {
		return
	}
	if l := c.lease(s.binding); l != nil && l.forged {
		c.w.count(coincidences)
		return
	}
	c.workloadGoes(m, d, "the installer of binding "+s.binding[:6])
}

// ours says why this installation must not touch a server; empty when it may.
func (c *oracle) ours(s *metal.Server) string {
	if by := recordOf(s).ManagedBy; by == nil || by.Installation != here {
		return "this installation does not manage it"
	}
	return ""
}

// scripts checks that only servers of this installation that somebody accepted boot an operating system (I13).
func (c *oracle) scripts(d boot.Decision) {
	s := store.Peek[metal.Server](c.w.store, "", d.Server)
	if s != nil && d.BootID != "" {
		c.offers(s, d.BootID)
	}
	if d.Target != boot.OS || s == nil {
		return
	}
	c.mayBoot(s, "gets the script of an operating system")
}

// mayBoot is I13. A stale view may be minutes old.
func (c *oracle) mayBoot(s *metal.Server, what string) {
	if why := c.ours(s); why != "" {
		c.fail("I13", "%s %s, and %s", s.Name, what, why)
	}
	if at, taken := c.unaccepted[s.Name]; !s.Spec.Accepted && (!taken || c.w.now-at > 5*time.Minute) && !c.w.enabled(StaleView) {
		c.fail("I13", "%s %s, and nobody accepted it", s.Name, what)
	}
}

// configLeaves checks a machine config at the moment when it leaves (I12).
func (c *oracle) configLeaves(p *process, b osBoot, source string) {
	s := store.Peek[metal.Server](c.w.store, "", b.server)
	r := recordOf(s)
	what := "the config of boot " + b.boot + " of " + b.server + " left for " + source
	switch first, left := c.configs[b.boot]; {
	case s == nil:
		return // deleted in the very moment
	case left && first != source:
		c.fail("I12", "%s, and for %s before", what, first)
	case c.proven[b.boot]:
		c.fail("I12", "%s after its system was installed", what)
	case r.Boot == nil || r.Boot.ID != b.boot || r.Boot.Target != metal.BootTargetOS || r.Boot.Phase != metal.BootBooting:
		c.fail("I12", "%s, and that is not the boot under way", what)
	case r.Claim == nil || r.Claim.BindingID != b.binding || r.Claim.BoundAt == nil || r.Release != nil:
		c.fail("I12", "%s, whose binding is not complete, or over", what)
	}
	c.configs[b.boot] = source
	if l := c.lease(b.binding); l != nil {
		l.configured = true
	}
	c.mayBoot(s, "gets its machine config")
}

// asksConfig counts.
func (c *oracle) asksConfig(v lifecycle.Verdict) {
	switch v {
	case lifecycle.VerdictFirst:
		c.w.count(configsReleased)
	case lifecycle.VerdictAgain:
		c.w.count(configsAgain)
	case lifecycle.VerdictContested:
		c.w.count(configsContested)
	case lifecycle.VerdictChanged:
		c.w.count(configsChanged)
	case lifecycle.VerdictRefused:
		c.w.count(configsRefused)
	}
}

// workloadStops checks that a claim's workload that runs and tells so is switched off only when it was given up, or for a person (I13).
func (c *oracle) workloadStops(m *machine, o order) {
	s := m.system
	l := c.lease(s.binding)
	silent := c.w.now-s.told > max(3*s.every, 2*time.Minute)
	if c.byPerson(o.ID) || c.known[m.workload] || !s.proven || silent || l != nil && (l.given || l.forged) {
		return
	}
	c.fail("I13", "%s switched %s off, which runs the workload of binding %.6s, and nobody gave it up", o.ID, m, s.binding)
}
