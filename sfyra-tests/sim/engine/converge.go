package engine

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// watchersOf are the agents that talk for a machine.
func (w *World) watchersOf(m *machine) []*agent {
	var all []*agent
	for _, s := range store.All[metal.Server](w.store) {
		for _, a := range w.watchers[s.Name] {
			if a.m == m {
				all = append(all, a)
			}
		}
	}
	return all
}

// converge waits until every accepted server is Available or waits for something that is true (L1), and then looks that nothing more is written (L2).
func (w *World) converge() {
	end := w.now + patience
	w.until(w.now + time.Minute)
	for w.violation == nil && w.now < end && !w.settled() {
		w.until(w.now + 5*time.Minute)
	}
	if w.violation != nil {
		return
	}
	for _, s := range store.All[metal.Server](w.store) {
		w.concludes(s)
	}
	for _, c := range store.All[metal.ServerClaim](w.store) {
		w.concludesClaim(c)
	}
	w.quiet()
}

// settled says that no server is on its way.
func (w *World) settled() bool {
	for _, p := range w.processes {
		if !p.alive {
			return false
		}
	}
	return !slices.ContainsFunc(store.All[metal.Server](w.store), func(s *metal.Server) bool { return w.moving(s) != "" }) &&
		!slices.ContainsFunc(store.All[metal.ServerClaim](w.store), func(c *metal.ServerClaim) bool { return w.claimMoving(c) != "" })
}

// ready is the reason of the condition that sums up.
func ready(s *metal.Server) string {
	if c := meta.FindStatusCondition(s.Status.Conditions, reasons.Ready); c != nil {
		return c.Reason
	}
	return ""
}

// onTheWay are reasons of servers that Ingot goes on with by itself.
var onTheWay = []string{
	"", reasons.Accepted, reasons.BootRunning, reasons.BootClaimed, reasons.WipeGranted, reasons.WipeRunning, reasons.ReceiptJudged, reasons.DestructiveLimit, reasons.BootVoided,
	reasons.BMCNotAsked, reasons.BMCUnreachable, reasons.BMCLied, reasons.NeverWiped, reasons.OffNotProven, reasons.WipeTimeout, reasons.BootNotHonored,
	reasons.PowerRequestRunning, reasons.Provisioning, reasons.BindingIncomplete, reasons.Releasing, reasons.Installed, reasons.Fenced, reasons.KeptForReuse,
}

// moving says what a server still goes through; empty when it rests.
func (w *World) moving(s *metal.Server) string {
	r := recordOf(s)
	switch {
	case r.ManagedBy != nil && r.ManagedBy.Installation != here:
		return ""
	case ready(s) == reasons.FencingUnconfirmed && s.Spec.BMC != nil && !pausedServer(s):
		return "its machine is to be fenced"
	case ready(s) == reasons.DiskBootFailed && r.Boot != nil && r.Boot.Reason != reasons.DiskBootFailed:
		return "its disks are to be looked at"
	case w.unpressed(s)+w.pretends(s) != "":
		return w.unpressed(s) + w.pretends(s)
	case w.unheard(s) != "":
		return w.unheard(s)
	case w.accountMoving(s) != "":
		return w.accountMoving(s)
	case slices.Contains(onTheWay, ready(s)):
		return "Ready is " + ready(s)
	case w.operator.waits(s, reasons.ReceiptJudged):
		return "its wipe waits for its proof"
	}
	return switching(r)
}

// unheard says who has something to tell that Ingot waits for.
func (w *World) unheard(s *metal.Server) string {
	r, m := recordOf(s), w.machineOf(s)
	switch {
	case ready(s) == reasons.WorkloadSilent && r.Claim != nil && m != nil && works(m, r.Claim.BindingID):
		return "its system runs, and is to be heard"
	case ready(s) == reasons.EvidenceNeeded && r.Boot != nil && r.Boot.Phase == metal.BootClaimed:
		return "its agent reports the evidence, and is to be believed in a moment"
	}
	return ""
}

// switching says what its machine is ordered to do.
func switching(r *metal.ServerRecord) string {
	switch {
	case r.Boot != nil && (r.Boot.Phase == metal.BootSwitchingOff || r.Boot.Phase == metal.BootSwitchingOn || r.Boot.Phase == metal.BootRestarting || r.Boot.Phase == metal.BootBooting):
		return "its boot is " + string(r.Boot.Phase)
	case r.Power != nil && (r.Power.Step == metal.PowerSwitchingOff || r.Power.Step == metal.PowerSwitchingOn):
		return "its power request is " + string(r.Power.Step)
	}
	return ""
}

// concludes checks one server at the end (L1).
func (w *World) concludes(s *metal.Server) {
	if why := w.moving(s); why != "" {
		w.check.fail("L1", "%s did not come to rest within %s after the last fault: %s", s.Name, patience, why)
		return
	}
	if !s.Spec.Accepted || recordOf(s).ManagedBy != nil && recordOf(s).ManagedBy.Installation != here {
		return
	}
	if ready(s) == reasons.Available || s.Status.State == metal.StateAvailable {
		w.count(endAvailable)
		return
	}
	if ready(s) == reasons.Running {
		w.count(endRunning)
		return
	}
	w.count(endWaiting)
	w.log(s.Name, "waits in the end: %s", ready(s))
	if lie := w.untrue(s); lie != "" {
		w.check.fail("L1", "%s waits for %s in the end, and that is not true: %s", s.Name, ready(s), lie)
	}
}

// awaitsPerson is whether only a person can let a machine go on that is to be switched.
func awaitsPerson(m *machine, s *metal.Server) bool {
	r, q := recordOf(s), s.Spec.PowerRequest
	bare := r.Acceptance != nil && r.Acceptance.RequestID == ""
	return bare && m.on || s.Spec.BMC == nil || q != nil && q.Action == metal.PowerActionOff
}

// untrue holds a reason to wait against the models; empty when it is true.
func (w *World) untrue(s *metal.Server) string {
	m, r := w.machineOf(s), recordOf(s)
	if m == nil {
		return "no machine has this identity"
	}
	is := func(so bool, otherwise string) string {
		if so {
			return ""
		}
		return otherwise
	}
	switch ready(s) {
	case reasons.Quarantined:
		return is(r.Quarantine != nil, "there is no quarantine")
	case reasons.Paused:
		return is(s.Annotations != nil, "it is not paused")
	case reasons.Claimed:
		return is(r.Claim != nil, "there is no claim")
	case reasons.ClaimMissing, reasons.FencingUnconfirmed, reasons.ConfigMissing, reasons.DiskBootFailed, reasons.WorkloadSilent:
		return w.untrueClaimed(m, s)
	case reasons.Restored, reasons.Recreated, reasons.Adopted:
		return is(r.Unverified != nil, "the record is verified")
	case reasons.EvidenceNeeded:
		return is(r.Acceptance == nil, "there is an acceptance")
	case reasons.NotRegistered:
		return is(store.Peek[metal.ServerInventory](w.store, "", s.Name) == nil, "there is an inventory")
	case reasons.NoBMC, reasons.AwaitingPower:
		return is(awaitsPerson(m, s), "it has a BMC and nobody switched it off")
	case reasons.IdentityConflict:
		return is(r.Boot != nil && (r.Boot.Reason == reasons.BootVoided || r.Boot.Reason == reasons.ConfigContested) || w.twins(m) > 1, "one Server has this identity, and its last boot was not contested")
	case reasons.DataNeedsConfirmation, reasons.DisksBlocked, reasons.DisksChanged, reasons.NoDisks:
		return ""
	}
	return "the reason is not one to wait for"
}

// twins is how many Servers describe a machine.
func (w *World) twins(m *machine) (n int) {
	for _, s := range store.All[metal.Server](w.store) {
		if w.machineOf(s) == m {
			n++
		}
	}
	return n
}

// quiet reconciles on and on: nothing may be written or ordered any more (L2).
func (w *World) quiet() {
	if w.violation != nil {
		return
	}
	p := w.processes[0]
	var all []string
	for _, s := range store.All[metal.Server](w.store) {
		all = append(all, s.Name)
	}
	for _, c := range store.All[metal.ServerClaim](w.store) {
		all = append(all, c.Namespace+"/"+c.Name)
	}
	for _, name := range all { // the age of a reading is written down every few minutes
		_ = p.call(func() error { p.reconcile(name); return nil }) // a failure shows below
	}
	writes, orders := w.writes, w.counts[ordersGiven]
	rounds := 3 * len(all)
	if w.seed%8 == 0 { // nothing happens in them, which takes as long as anything else
		rounds = 200
	}
	if len(all) == 0 {
		return
	}
	for i := range rounds {
		name := all[i%len(all)]
		_ = p.call(func() error { p.reconcile(name); return nil }) // a failure shows as what it writes
		if w.writes != writes || w.counts[ordersGiven] != orders {
			w.check.fail("L2", "%s: reconcile %d after everything came to rest made %d writes and %d orders", name, i+1, w.writes-writes, w.counts[ordersGiven]-orders)
			return
		}
	}
}
