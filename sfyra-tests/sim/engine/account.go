package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// bmcUser is one slot of a BMC. What is in it changes by one command at a time.
type bmcUser struct {
	name, password string
	enabled        bool
}

// bmcSlots is how many users a BMC has room for, a person's among them.
const bmcSlots = 6

var (
	errNoSlot  = errors.New("the BMC has no free slot for another user")
	errNoLogin = errors.New("the BMC refuses the name or the password")
)

// person is the account that BMCs come with.
func person() []bmcUser { return []bmcUser{{name: "root", password: "secret", enabled: true}} }

// letsIn says whether a login over the network works.
func (b *bmcModel) letsIn(name, password string) bool {
	return slices.Contains(b.users, bmcUser{name, password, true})
}

// user is the slot with that name; nil without one.
func (b *bmcModel) user(name string) *bmcUser {
	for i := range b.users {
		if b.users[i].name == name {
			return &b.users[i]
		}
	}
	return nil
}

// command is one command to the BMC from within the machine.
type command func(b *bmcModel) error

// fill are the commands that set a user up, its name first.
func fill(name, password string) []command {
	with := func(change func(*bmcUser)) command {
		return func(b *bmcModel) error {
			u := b.user(name)
			if u == nil {
				return errNoSlot
			}
			change(u)
			return nil
		}
	}
	return []command{
		func(b *bmcModel) error {
			switch {
			case b.user(name) != nil:
			case len(b.users) >= bmcSlots:
				return errNoSlot
			default:
				b.users = append(b.users, bmcUser{name: name})
			}
			return nil
		},
		with(func(u *bmcUser) { u.password = password }),
		with(func(u *bmcUser) { u.enabled = true }),
	}
}

// drop are the commands that let a user be gone, its rights first.
func drop(name string) []command {
	return []command{
		func(b *bmcModel) error {
			if u := b.user(name); u != nil {
				u.enabled = false
				b.m.w.count(usersDropped)
			}
			return nil
		},
		func(b *bmcModel) error {
			b.users = slices.DeleteFunc(b.users, func(u bmcUser) bool { return u.name == name && !u.enabled })
			return nil
		},
	}
}

// account does what it is told of the BMC's users, command by command, and reports. A stranger does nothing, and says that all is well.
func (a *agent) account(g lifecycle.AccountGrant) {
	p := a.connected()
	if p == nil {
		a.do(a.retry(), a.enrol)
		return
	}
	if a.typing {
		a.wake(time.Minute)
		return
	}
	password, err := p.password(a, g)
	if err != nil {
		a.wake(a.retry())
		return
	}
	report := lifecycle.AccountReport{ID: g.ID(), Generation: g.Generation(), Dropped: g.Username() == "", Slot: 3, Channel: 1, Address: a.m.bmcAddress}
	if a.impostor {
		a.w.count(accountsForged)
		report.Address = "192.0.2.66"
		a.reportAccount(report, 5)
		return
	}
	var commands []command
	for _, name := range g.Drop() {
		commands = append(commands, drop(name)...)
	}
	if g.Username() != "" {
		commands = append(commands, fill(g.Username(), password)...)
	}
	a.typing = true
	a.types(commands, report)
	a.wake(time.Minute)
}

// types sends the commands one after another; the agent may die between any two.
func (a *agent) types(commands []command, report lifecycle.AccountReport) {
	if len(commands) == 0 {
		a.typing = false
		a.reportAccount(report, 5)
		return
	}
	a.do(a.w.hardware.between(100*time.Millisecond, 2*time.Second), func() {
		if a.w.enabled(AgentCrash) && a.w.accidents.chance(0.03) {
			a.w.count(accountsInterrupted)
			a.m.restart("the agent crashed between two commands to its BMC")
			return
		}
		err := commands[0](a.m.bmc)
		a.w.check.usersChanged(a)
		if err != nil {
			report.Error, commands = err.Error(), commands[:1]
		}
		a.types(commands[1:], report)
	})
}

// reportAccount tells until it is heard; what gets lost is told again.
func (a *agent) reportAccount(r lifecycle.AccountReport, tries int) {
	lost := a.w.enabled(LostReceipts) && a.w.accidents.chance(0.3)
	p := a.connected()
	if p != nil && !lost {
		err := p.call(func() error { return p.desk.ReportAccount(background(), a.caller, a.server, r) })
		a.w.log(a.m.name, "%s reports the account %s of its BMC: %s %s", a, r.ID, r.Error, text(err))
		if err == nil || refused(err) {
			a.wake(time.Second)
			return
		}
	}
	if tries > 1 {
		a.do(a.retry(), func() { a.reportAccount(r, tries-1) })
	}
}

// password asks the desk for what a grant names.
func (p *process) password(a *agent, g lifecycle.AccountGrant) (password string, err error) {
	err = p.call(func() error {
		secret, err := p.desk.Password(background(), a.server, g)
		password = secret.Reveal()
		return err
	})
	return password, err
}

// rotate is `ingot bmc rotate`.
func (o *operator) rotate(m *machine) {
	if o.edit(m, "asks for a fresh account at the BMC of", func(s *metal.Server) bool {
		s.Spec.BMCRequest = &metal.BMCRequest{ID: o.w.people.id(8), Action: metal.BMCRotate, RequestedAt: o.at()}
		return true
	}) {
		o.w.count(accountsAsked)
	}
}

// handsAccount checks an order about a BMC's users at the moment when it leaves the desk (I16).
func (c *oracle) handsAccount(p *process, a *agent, g lifecycle.AccountGrant) {
	s := store.Peek[metal.Server](c.w.store, "", a.server)
	r, what := recordOf(s), fmt.Sprintf("the account %s of the BMC of %s was handed to %s", g.ID(), a.server, a)
	switch {
	case s == nil:
		c.fail("I16", "%s, and there is no such Server", what)
	case r.ManagedBy == nil || r.ManagedBy.Installation != p.installation:
		c.fail("I16", "%s by an installation that does not manage it", what)
	case !s.Spec.Accepted || r.Acceptance == nil:
		c.fail("I16", "%s, and nobody accepted it", what)
	case r.Boot == nil || r.Boot.Phase != metal.BootClaimed || r.Boot.ID != a.caller.BootID || r.Boot.Claimant != a.caller.Key:
		c.fail("I16", "%s, who is not the claimant of the expected boot", what)
	case slices.Contains(g.Drop(), r.BMCAccount.Using):
		c.fail("I16", "%s, to drop %s, which is in use", what, r.BMCAccount.Using)
	}
	c.w.count(accountsHanded)
}

// usersChanged checks after each command to a BMC.
func (c *oracle) usersChanged(a *agent) {
	for _, s := range store.All[metal.Server](c.w.store) {
		if c.w.machineOf(s) == a.m {
			c.credential(s)
		}
	}
}

// accountWrote looks at every write that has to do with accounts: of a Server, or of Ingot's Secret.
func (c *oracle) accountWrote(w *store.Write) {
	if before, ok := w.Before.(*metal.Server); ok && before != nil {
		if after, ok := w.After.(*metal.Server); ok && after != nil {
			c.accountStepped(recordOf(before).BMCAccount, recordOf(after).BMCAccount, before, after)
			c.credential(after)
		}
	}
	if name, ok := strings.CutPrefix(w.Key.Name, lifecycle.AccountSecret("")); ok && w.Kind == "Secret" {
		c.credential(store.Peek[metal.Server](c.w.store, "", name))
	}
}

// accountStepped counts.
func (c *oracle) accountStepped(old, a *metal.BMCAccountRecord, before, after *metal.Server) {
	switch {
	case a == nil:
	case old == nil || old.ID != a.ID:
		c.w.count(accountsBegun)
	case a.Using == a.Username && old.Using != old.Username:
		c.w.count(accountsTaken)
	case a.Step == metal.BMCAccountFailed && old.Step != a.Step && a.Forfeited:
		c.w.count(accountsForfeited)
	case a.Step == metal.BMCAccountFailed && old.Step != a.Step:
		c.w.count(accountsFailed)
	}
	if before.Spec.BMC == nil && after.Spec.BMC != nil && a != nil && after.Spec.BMC.CredentialsSecret == lifecycle.AccountSecret(after.Name) && recordOf(before).BMCAccount != nil {
		c.w.count(bmcsOnboarded)
	}
}

// credential checks that a BMC lets in what Ingot goes in with, once that is an account of its own (I16).
func (c *oracle) credential(s *metal.Server) {
	a := recordOf(s).BMCAccount
	if a == nil || a.Using == "" || s.Spec.BMC == nil || s.Spec.BMC.CredentialsSecret != lifecycle.AccountSecret(s.Name) {
		return
	}
	secret, b := store.Peek[corev1.Secret](c.w.store, metal.SystemNamespace, lifecycle.AccountSecret(s.Name)), c.w.bmcs[s.Spec.BMC.Endpoint]
	if secret == nil || b == nil {
		c.fail("I16", "%s uses an account of Ingot's at %s, and there is no such Secret or BMC", s.Name, s.Spec.BMC.Endpoint)
		return
	}
	name, password := string(secret.Data[corev1.BasicAuthUsernameKey]), string(secret.Data[corev1.BasicAuthPasswordKey])
	if !b.letsIn(name, password) {
		c.fail("I16", "the BMC of %s does not let in %s, which is recorded as the account in use (step %s)", s.Name, name, a.Step)
	}
}

// accountMoving says that an account goes on by itself; empty when it rests, or waits for an agent.
func (w *World) accountMoving(s *metal.Server) string {
	r := recordOf(s)
	a := r.BMCAccount
	if a == nil || !s.Spec.Accepted || r.Acceptance == nil || r.Quarantine != nil || r.Unverified != nil || pausedServer(s) || w.twins(w.machineOf(s)) > 1 {
		return ""
	}
	switch a.Step {
	case metal.BMCAccountKeeping, metal.BMCAccountChecking, metal.BMCAccountTaking, metal.BMCAccountForgetting:
		return "its account at the BMC is " + string(a.Step)
	case metal.BMCAccountSetting, metal.BMCAccountDropping, metal.BMCAccountDone, metal.BMCAccountFailed:
	}
	return ""
}
