package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// ViolationError is a broken invariant.
type ViolationError struct {
	// Invariant is its short name, for instance I1.
	Invariant string
	// Message says what happened, for people.
	Message string
	// At is when, in virtual time since the start.
	At time.Duration
}

// Error makes a violation an error.
func (v *ViolationError) Error() string {
	return fmt.Sprintf("%s at %s: %s", v.Invariant, v.At, v.Message)
}

// saw is a content that a person looked at, on one machine.
type saw struct {
	m       *machine
	content int
}

// oracle knows what is true, and compares everything that happens with the rules.
type oracle struct {
	w *World
	// confirmed are contents that a person named when he said yes; revoked are those of a yes that he took back.
	confirmed, revoked map[saw]bool
	// known are contents that were there when a person asked something of the machine: its system may be stopped.
	known map[int]bool
	// requests are the ids of power requests that a person made.
	requests map[string]bool
	// handed, begun and receipts say which process got a task, carried it out, and sent the receipt that was recorded.
	handed, begun, receipts map[task]*agent
	sender                  *agent
	// received is when the receipt was recorded; no clock of a replica tells that for sure.
	received map[task]time.Duration
	// fooled are servers whose proof is a coincidence that level 1 cannot tell from the truth.
	fooled map[string]bool
	// granted are the grants; booted are the moments of boots that Ingot began by itself, by server.
	granted []grant
	booted  map[string][]time.Duration
	// unaccepted is when a person last took the yes back, by server; lost, when records were lost, restored, or a clock jumped.
	unaccepted map[string]time.Duration
	disturbed  time.Duration
	// inventoried is when an inventory was written last, by server: a cache that lags does not know it at once.
	inventoried map[string]time.Duration
	// leases are bindings by id; configs are the addresses that machine configs left for, by boot; proven are boots whose system was installed.
	leases  map[string]*lease
	configs map[string]string
	proven  map[string]bool
	// windows are when restarts were acknowledged, by boot; acknowledging is whose word is on its way. strangers are when one was let in last, by server.
	windows       map[string]time.Duration
	acknowledging *agent
	strangers     map[string]time.Duration
	// undone is when a verified wipe was contradicted last, by server: a replica whose cache lags shows it for a moment more.
	undone map[string]time.Duration
}

func newOracle(w *World) *oracle {
	return &oracle{
		w: w, confirmed: map[saw]bool{}, revoked: map[saw]bool{}, known: map[int]bool{}, requests: map[string]bool{},
		fooled: map[string]bool{}, handed: map[task]*agent{}, begun: map[task]*agent{}, receipts: map[task]*agent{}, received: map[task]time.Duration{},
		booted: map[string][]time.Duration{}, unaccepted: map[string]time.Duration{}, disturbed: -24 * time.Hour,
		inventoried: map[string]time.Duration{}, leases: map[string]*lease{}, configs: map[string]string{}, proven: map[string]bool{},
		windows: map[string]time.Duration{}, strangers: map[string]time.Duration{}, undone: map[string]time.Duration{},
	}
}

// fail notes the first violation; the run ends after it.
func (c *oracle) fail(invariant, format string, args ...any) {
	if c.w.violation == nil {
		c.w.violation = &ViolationError{Invariant: invariant, Message: fmt.Sprintf(format, args...), At: c.w.now}
		c.w.log("", "VIOLATION %s: %s", invariant, c.w.violation.Message)
	}
}

// recordOf is the record as it is stored, never nil.
func recordOf(s *metal.Server) *metal.ServerRecord {
	if s == nil || s.Spec.Record == nil {
		return &metal.ServerRecord{}
	}
	return s.Spec.Record
}

// handsOut checks a wipe at the moment when it leaves the desk (I1, I2, I4, I5).
func (c *oracle) handsOut(p *process, a *agent, g lifecycle.WipeGrant) {
	s := store.Peek[metal.Server](c.w.store, "", a.server)
	r, t := recordOf(s), task{g.ID(), g.Generation()}
	what := fmt.Sprintf("wipe %s generation %d of %s was handed to %s", t.id, t.generation, a.server, a)
	switch {
	case c.handed[t] != nil && c.handed[t] != a:
		c.fail("I2", "%s, and to %s before", what, c.handed[t])
	case s == nil:
		c.fail("I1", "%s, and there is no such Server", what)
	case r.ManagedBy == nil || r.ManagedBy.Installation != p.installation:
		c.fail("I4", "%s by an installation that does not manage it", what)
	case !s.Spec.Accepted || r.Acceptance == nil:
		c.fail("I1", "%s, and nobody accepted it", what)
	case r.Claim != nil:
		c.fail("I1", "%s, while %s/%s claims it", what, r.Claim.Namespace, r.Claim.Name)
	case r.Unverified != nil:
		c.fail("I1", "%s, whose record is not verified", what)
	case r.Wipe == nil || r.Wipe.ID != t.id || r.Wipe.Generation != t.generation || r.Wipe.BootID != a.caller.BootID:
		c.fail("I1", "%s, and the record holds another grant", what)
	case r.Wipe.VerifiedAt != nil:
		c.fail("I1", "%s, which is clean already", what)
	}
	c.handed[t] = a
	for _, d := range g.Disks() {
		c.mayName(s, r, d, what)
	}
	c.alone(a, t)
}

// mayName checks one disk of a grant.
func (c *oracle) mayName(s *metal.Server, r *metal.ServerRecord, d metal.DiskID, what string) {
	listed := func(i metal.DiskID) bool { return i.WWID == d.WWID }
	named := r.Acceptance != nil && (slices.ContainsFunc(r.Acceptance.Disks, listed) || r.Release != nil && r.Release.OffAt != nil && slices.ContainsFunc(r.Release.Disks, listed))
	if !named && !c.saidBlank(s, r, d) {
		c.fail("I1", "%s with the disk %s, which the acceptance does not name and this boot does not show as blank", what, d.Serial)
	}
	if s != nil && slices.ContainsFunc(s.Spec.IgnoredDisks, func(i metal.DiskSelector) bool { return i.Serial == d.Serial }) {
		c.fail("I1", "%s with the disk %s, which a person told us to ignore", what, d.Serial)
	}
	for _, i := range store.All[metal.ServerInventory](c.w.store) {
		if fresh := c.w.enabled(StaleCache) && c.w.now-c.inventoried[i.Name] < time.Minute; s != nil && i.Name != s.Name && !fresh && slices.ContainsFunc(i.Spec.Disks, func(o metal.Disk) bool { return o.WWID == d.WWID }) {
			c.fail("I1", "%s with the disk %s, which %s shows too", what, d.Serial, i.Name)
		}
	}
}

// saidBlank says that the inventory of the boot that has the server shows the disk as blank.
func (c *oracle) saidBlank(s *metal.Server, r *metal.ServerRecord, d metal.DiskID) bool {
	if s == nil || r.Boot == nil {
		return false
	}
	i := store.Peek[metal.ServerInventory](c.w.store, "", s.Name)
	return i != nil && i.Spec.Agent.BootID == r.Boot.ID && i.Spec.Agent.Proven > 0 &&
		slices.ContainsFunc(i.Spec.Disks, func(o metal.Disk) bool { return o.WWID == d.WWID && o.Contents == metal.DiskBlank })
}

// alone checks that no other process works on the same machine (I5).
func (c *oracle) alone(a *agent, t task) {
	for other, by := range c.handed {
		if other != t && by.server == a.server && by != a && !by.dead && !by.impostor && !a.impostor && by.m == a.m {
			c.fail("I5", "%s works on %s under wipe %s, and %s got wipe %s", by, a.server, other.id, a, t.id)
		}
	}
}

// begins checks that a task is carried out once (I2).
func (c *oracle) begins(a *agent, g lifecycle.WipeGrant) {
	t := task{g.ID(), g.Generation()}
	if by := c.begun[t]; by != nil {
		c.fail("I2", "wipe %s generation %d was carried out by %s and by %s", t.id, t.generation, by, a)
	}
	c.begun[t] = a
}

// erases checks the first byte that changes on a disk (I1).
func (c *oracle) erases(a *agent, d *disk) {
	if why := d.untouchable(); why != "" {
		c.fail("I1", "%s erases the disk %s of %s, which is %s", a, d.serial, a.m, why)
	}
	switch id := d.content.id; {
	case d.content.system != nil:
		c.workloadGoes(a.m, d, a.String())
	case id == 0 || c.confirmed[saw{a.m, id}]:
	case c.fooled[a.server]: // it was called clean by a coincidence, claimed, and given back
		c.w.count(coincidences)
	default:
		c.fail("I1", "%s erases the disk %s of %s: its content %d (%s, %s) was confirmed by nobody", a, d.serial, a.m, id, d.writer, d.writtenAt)
	}
	if d.content.id != 0 {
		c.w.count(dataErased)
	} else {
		c.w.count(blankErased)
	}
}

// ordered checks a power order of a replica (I4, I6).
func (c *oracle) ordered(p *process, name string, a lifecycle.Action) {
	s := store.Peek[metal.Server](c.w.store, "", name)
	r := recordOf(s)
	switch {
	case r.ManagedBy != nil && r.ManagedBy.Installation != p.installation:
		c.fail("I4", "%s ordered %s for %s, which %s manages", p.installation, a.Kind, name, r.ManagedBy.Installation)
	case c.byPerson(a.ID), c.fences(r):
	case s != nil && !s.Spec.Accepted && c.w.now-c.unaccepted[name] > 2*time.Minute:
		c.fail("I6", "%s was ordered for %s, which nobody accepted and nobody asked to switch", a.Kind, name)
	case s == nil && c.w.now-c.unaccepted[name] > 2*time.Minute:
		c.fail("I6", "%s was ordered for %s, which does not exist", a.Kind, name)
	}
	c.w.count(ordersGiven)
}

// fences says that the server is being given back by somebody who may: the yes to the server is another thing.
func (c *oracle) fences(r *metal.ServerRecord) bool {
	if r.Release == nil || r.Release.OffAt != nil {
		return false
	}
	l := c.lease(r.Release.BindingID)
	return l != nil && l.given
}

// byPerson says that an order's id is that of a power request which a person made.
func (c *oracle) byPerson(id string) bool {
	request, _, _ := strings.Cut(id, ".")
	return c.requests[request]
}

// switchedOff checks that a running system is stopped only for a person (I6): one who asked for power, or who said yes to a wipe that is still to come, or
// who said yes when that system was there already.
func (c *oracle) switchedOff(m *machine, o order) {
	if m.system != nil && m.workload != 0 {
		c.workloadStops(m, o)
		return
	}
	r := recordOf(store.Peek[metal.Server](c.w.store, "", o.server))
	under := r.Acceptance != nil && r.Acceptance.RequestID != "" && r.Unverified == nil && (r.Wipe == nil || r.Wipe.VerifiedAt == nil)
	under = under || r.Claim != nil && r.Claim.BoundAt != nil // it was clean, and whoever put something on it since knew that claims take it
	if m.workload != 0 && !c.byPerson(o.ID) && !c.known[m.workload] && !under {
		c.fail("I6", "%s switched %s off, which runs the system of content %d that came after any person's word", o.ID, m, m.workload)
	}
	if m.workload != 0 {
		c.w.count(systemsStopped)
	}
}

// toldOff counts. A stranger may be told to switch off: what matters is that nothing comes of it.
func (c *oracle) toldOff(a *agent) {
	if a.impostor {
		c.w.count(impostorsToldOff)
	}
}
