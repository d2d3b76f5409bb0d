package engine

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// operator is the people around: each gesture has a number, so that a run can be repeated without it.
type operator struct {
	w *World
	n int
	// manifests are what Git has of each Server, by name.
	manifests map[string]*metal.Server
	// wishes are what Git has of each claim, by namespace and name. clusters and configs are the Clusters and machine configs that there are.
	wishes   map[string]*metal.ServerClaim
	clusters map[string]clusterState
	configs  map[string]int
	backup   *backup
}

// gesture is something that a person does, unless it is left out.
func (o *operator) gesture(f func()) {
	o.n++
	if !o.w.cfg.SkipGestures[o.n] {
		f()
	}
}

// server is the Server of a machine as it is stored; nil when there is none.
func (o *operator) server(m *machine) *metal.Server {
	for _, s := range store.All[metal.Server](o.w.store) {
		if o.w.machineOf(s) == m {
			return s
		}
	}
	return nil
}

func (o *operator) client() *store.Client { return o.w.store.Client(store.Identity{Name: "person"}) }

// edit changes the spec or the metadata of a machine's Server, and says whether that worked.
func (o *operator) edit(m *machine, what string, change func(*metal.Server) bool) bool {
	s := o.server(m)
	if s == nil {
		return false
	}
	s = s.DeepCopy()
	if !change(s) {
		return false
	}
	err := o.client().Update(background(), s)
	o.w.log(m.name, "a person: %s %s %s", what, s.Name, text(err))
	return err == nil
}

func (o *operator) at() metav1.Time { return metav1.NewTime(o.w.time()) }

// begin plans what people do with one machine.
func (o *operator) begin(m *machine) {
	w := o.w
	if w.people.chance(0.8) {
		w.in(w.people.between(0, 10*time.Minute), func() { o.gesture(func() { o.declare(m) }) })
	}
	soon := 20 * time.Minute
	if w.kinds.Has(Claims) {
		soon = 5 * time.Minute
	}
	w.in(w.people.between(0, soon), func() { o.tend(m) })
	o.whims(m)
}

// declare creates the Server of a machine before its first boot.
func (o *operator) declare(m *machine) {
	if o.server(m) != nil {
		return
	}
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: m.name}, Spec: metal.ServerSpec{Identity: &metal.Identity{
		MACs: []string{m.mac}, Manufacturer: "ACME", Serial: m.serial,
	}, BMC: o.bmc(m)}}
	c := o.client()
	if o.w.kinds.Has(Installations) && o.w.people.chance(0.4) {
		s.Spec.Record = &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: elsewhere, Epoch: 1}}
		c = o.w.store.Client(store.Identity{Name: elsewhere, Ingot: true})
		o.w.count(foreignServers)
	}
	if o.w.enabled(GitAccept) && o.w.people.chance(0.4) {
		s.Spec.Accepted = true
		o.w.count(gitAccepts)
	}
	err := c.Create(background(), s)
	o.w.log(m.name, "a person declares %s %s", s.Name, text(err))
	o.commit(m)
}

func (o *operator) bmc(m *machine) *metal.BMC {
	if o.w.kinds.Has(NoBMC) && m.n%2 == 0 {
		return nil
	}
	return &metal.BMC{Endpoint: "bmc-" + m.name, CredentialsSecret: "bmc"}
}

// commit keeps the present spec in Git, without the record.
func (o *operator) commit(m *machine) {
	if s := o.server(m); s != nil {
		s = s.DeepCopy()
		s.Spec.Record, s.Status = nil, metal.ServerStatus{}
		o.manifests[s.Name] = s
	}
}

// tend is what a person does who looks at a server every few minutes, until the calm.
func (o *operator) tend(m *machine) {
	if o.w.calm {
		return
	}
	o.gesture(func() { o.help(m) })
	next := o.w.people.between(2*time.Minute, 25*time.Minute)
	if o.bmc(m) == nil { // who has to press buttons looks more often
		next /= 3
	}
	o.w.in(next, func() { o.tend(m) })
}

// help does what the server's conditions ask for.
func (o *operator) help(m *machine) {
	s := o.server(m)
	switch {
	case s == nil:
		m.switchOn("a person presses the button")
	case s.Spec.BMC == nil && o.bmc(m) != nil:
		o.edit(m, "sets the BMC of", func(s *metal.Server) bool { s.Spec.BMC = o.bmc(m); return true })
		o.commit(m)
	case !s.Spec.Accepted && o.w.people.chance(0.8):
		o.accept(m)
	case o.waits(s, reasons.DataNeedsConfirmation, reasons.EvidenceNeeded, reasons.Restored, reasons.Recreated, reasons.DisksChanged) && o.w.people.chance(0.5):
		o.accept(m)
	case o.waits(s, reasons.NotRegistered) && !m.on:
		m.switchOn("a person presses the button")
	case o.press(m, s):
	case o.rescue(m, s):
	case o.waits(s, reasons.Quarantined) && o.w.people.chance(0.5):
		o.lift(m)
	case o.waits(s, reasons.AwaitingPower) && o.w.people.chance(0.5):
		o.power(m, metal.PowerActionOn)
	}
}

// waits says that the server's conditions name one of the reasons.
func (o *operator) waits(s *metal.Server, why ...string) bool {
	return slices.ContainsFunc(s.Status.Conditions, func(c metav1.Condition) bool { return slices.Contains(why, c.Reason) })
}

// accept is `ingot accept --wipe-data`: it names every own disk with data that status shows.
func (o *operator) accept(m *machine) {
	var named []metal.DiskID
	if s := o.server(m); s != nil && o.w.people.chance(0.8) {
		for _, d := range s.Status.Disks {
			if d.Verdict == metal.DiskOwn && d.Contents != metal.DiskBlank {
				named = append(named, d.DiskID)
			}
		}
	}
	ok := o.edit(m, "accepts", func(s *metal.Server) bool {
		s.Spec.Accepted = true
		s.Spec.AcceptRequest = &metal.AcceptRequest{ID: o.w.people.id(8), WipeData: named, RequestedAt: o.at()}
		return true
	})
	if !ok {
		return
	}
	o.w.count(acceptsAsked)
	o.word(m)
	for _, id := range named {
		if d := m.find(id); d != nil && d.content.id != 0 && (d.content.system == nil || recordOf(o.server(m)).Claim == nil) { // of a claimed server it is dropped
			o.w.count(dataConfirmed)
			o.w.check.confirmed[saw{m, d.content.id}] = true
		}
	}
	o.commit(m)
}

// word notes that a person asked something of the machine as it is now.
func (o *operator) word(m *machine) {
	for _, d := range m.disks {
		o.w.check.known[d.content.id] = true
	}
	if s := o.server(m); s != nil {
		o.w.check.asked(s.Name)
	}
}

func (o *operator) lift(m *machine) {
	ok := o.edit(m, "lifts", func(s *metal.Server) bool {
		s.Spec.QuarantineRequest = &metal.QuarantineRequest{ID: o.w.people.id(8), Action: metal.QuarantineLift, RequestedAt: o.at()}
		return true
	})
	if ok {
		o.w.count(liftsAsked)
		o.word(m)
	}
}

func (o *operator) power(m *machine, action metal.PowerAction) {
	id := o.w.people.id(8)
	o.w.check.requests[id] = true
	ok := o.edit(m, "asks for power "+string(action)+" of", func(s *metal.Server) bool {
		s.Spec.PowerRequest = &metal.PowerRequest{ID: id, Action: action, RequestedAt: o.at(), BindingID: o.w.remedied(action, s)}
		return true
	})
	if ok {
		o.w.count(powerAsked)
		o.word(m)
	}
}

// remedied is the binding that a power cycle is asked for: in every other seed that of the server's claim, as a remediation asks; otherwise a person does, for none.
func (w *World) remedied(action metal.PowerAction, s *metal.Server) string {
	if r := recordOf(s); w.seed%2 == 1 && action == metal.PowerActionCycle && r.Claim != nil {
		return r.Claim.BindingID
	}
	return ""
}
