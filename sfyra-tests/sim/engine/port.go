package engine

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/pxe-server/boot"
)

var (
	errConflict = errors.New("the evidence points to several Servers")
	errNoServer = errors.New("no Server yet: try again")
)

// enrol does what the agent port does before it asks the desk: find the Server of the evidence, or create one.
func (p *process) enrol(a *agent) (name string, level int32, err error) {
	id := a.m.identity()
	p.w.claimant = a
	err = p.call(func() error {
		m := boot.Resolve(id, p.table())
		if len(m.Conflict) > 0 {
			p.seen.Conflict(m.Conflict)
			return errConflict
		}
		name = m.Server
		if name == "" {
			name, err = p.register(id)
			if err != nil {
				return err
			}
		}
		level, err = p.desk.Claim(background(), name, a.caller)
		return err
	})
	return name, level, err
}

// register creates the Server of a machine that none describes, after a look at the API server itself.
func (p *process) register(id boot.Identity) (string, error) {
	if m := boot.Resolve(id, p.tableOf(p.live)); m.Server != "" || len(m.Conflict) > 0 {
		return "", errNoServer // the cache will know it in a moment
	}
	object := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "srv-" + p.w.ids.id(6)}, Spec: metal.ServerSpec{Identity: &metal.Identity{
		MACs: id.MACs, Manufacturer: id.Manufacturer, Serial: id.Serial,
	}}}
	if err := p.cached.Create(background(), object); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	p.w.count(serversRegistered)
	return object.Name, nil
}

// inventory hands an agent's report to the desk.
func (p *process) inventory(a *agent) error {
	return p.call(func() error { return p.desk.Inventory(background(), a.caller, a.server, *a.shows.DeepCopy()) })
}

// task asks the desk what an agent shall do. Each answer is checked against the models' truth.
func (p *process) task(a *agent) (t lifecycle.Task, err error) {
	err = p.call(func() error {
		t, err = p.desk.Task(background(), a.caller, a.server)
		if err == nil && t.Kind == lifecycle.TaskWipe {
			p.w.check.handsOut(p, a, t.Grant)
		}
		if err == nil && t.Kind == lifecycle.TaskAccount {
			p.w.check.handsAccount(p, a, t.Account)
		}
		return err
	})
	return t, err
}

// report hands progress or a receipt to the desk.
func (p *process) report(a *agent, r desk.Report) error {
	p.w.check.sender = a
	defer func() { p.w.check.sender = nil }()
	return p.call(func() error { return p.desk.Report(background(), a.caller, a.server, r) })
}

// void tells the desk that a second address fetched the script of a boot.
func (p *process) void(server, bootID string) {
	_ = p.call(func() error { return p.desk.Void(background(), server, bootID) }) // a hint: what gets lost is not told again
}
