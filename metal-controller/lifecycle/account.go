package lifecycle

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Limits of an account at the BMC.
const (
	// accountPatience is how long a login over the network may take to work: some BMCs restart their network when a user changes.
	accountPatience = 10 * time.Minute
	// accountPause is how long a try that failed rests, while the agent is still there.
	accountPause = 10 * time.Minute
	// accountRecheck is how often what is not watched is looked at: Secrets, and logins.
	accountRecheck = 5 * time.Second
	// accountFirst is how long after its claim a boot sets up an account before it wipes.
	accountFirst = 2 * time.Minute
	// maxOld bounds the users that wait to be dropped.
	maxOld = 8
)

// The actions on accounts. Each ensures a state by the id of the account, so doing it twice is harmless; none waits on a network.
const (
	// KeepAccount puts a fresh password into the Secret as the next one, unless the Secret holds one for this id.
	KeepAccount ActionKind = "KeepAccount"
	// CheckAccount has the BMC plane log in with the next account.
	CheckAccount ActionKind = "CheckAccount"
	// TakeAccount makes the next account the one in use; the one before stays in the Secret.
	TakeAccount ActionKind = "TakeAccount"
	// ForgetAccount takes the account before out of the Secret.
	ForgetAccount ActionKind = "ForgetAccount"
)

// AccountView is what the Secret holds and what a login found. It holds no password.
type AccountView struct {
	// Next and Current are the ids of the account that shall be used and of the one in use; empty without one.
	Next, Current string
	// Old says that the Secret holds the account before the one in use.
	Old bool
	// Strange says that a Secret of that name exists and is not Ingot's.
	Strange bool
	// Login is BMCAnswers once the next account was let in over the network, why not otherwise, and empty while nobody knows. LoginMessage is for people.
	Login, LoginMessage string
}

// AccountSecret is the name of the Secret with the account of a server.
func AccountSecret(server string) string { return "ingot-bmc-" + server }

// bmcAccount drives Ingot's own account at the BMC. The one that works is never touched: its successor is another user, and it is dropped only when that one was
// let in over the network and is in use. docs/bmc.md says what is written before what.
//
//	(due, or asked for) ─▶ Keeping ─in the Secret─▶ Setting ─the agent answers─▶ Checking ─logged in─▶ Taking ─in use─▶ Dropping ─the agent answers─▶ Forgetting ─▶ Done
//	                                                    └────── any trouble ─▶ Failed ─▶ again, under the next generation
func bmcAccount(o *Observation, p *Plan) {
	if !foreign(o) {
		askedAccount(o, p)
		driveAccount(o, p)
	}
	accountCondition(o, p)
}

// askedAccount begins what a person asks for, once. One under way is as good as a new one.
func askedAccount(o *Observation, p *Plan) {
	q, r := o.Server.Spec.BMCRequest, p.record(o)
	if q == nil || q.ID == r.BMCRequest {
		return
	}
	if taken(o, r) {
		p.again(time.Second)
		return
	}
	p.edit(o, func(r *metal.ServerRecord) { r.BMCRequest = q.ID })
	switch a := r.BMCAccount; {
	case !fresh(o, q.RequestedAt), fromBackup(o, q.RequestedAt):
		p.Events = append(p.Events, Event{Warning: true, Reason: reasons.BMCRequestExpired, Message: "The BMC request " + q.ID +
			" was dropped: it is older than ten minutes or than the Server itself. Ask again with `ingot bmc rotate " + o.Server.Name + "`."})
	case a == nil, a.Using == a.Username, a.Step == metal.BMCAccountFailed:
		p.beginAccount(o, true)
	default:
		p.edit(o, func(r *metal.ServerRecord) { r.BMCAccount.Requested = true })
	}
}

// beginAccount records a new account. What was set up before for this server is dropped once the new one is in use.
func (p *Plan) beginAccount(o *Observation, requested bool) {
	p.edit(o, func(r *metal.ServerRecord) {
		next := &metal.BMCAccountRecord{
			ID: o.NewID, Generation: 1, Step: metal.BMCAccountKeeping, At: second(o), Username: "ingot-" + cut(o.NewID, 8), Requested: requested,
		}
		if a := r.BMCAccount; a != nil {
			next.Using, next.Old = a.Using, append(slices.Clone(a.Old), a.Username)
			next.Old = next.Old[max(0, len(next.Old)-maxOld):]
		}
		r.BMCAccount = next
	})
	p.again(time.Second)
}

// taken says that this decision has begun something else under its new id.
func taken(o *Observation, r *metal.ServerRecord) bool {
	return o.NewID == "" || r.Boot != nil && r.Boot.ID == o.NewID || r.Wipe != nil && r.Wipe.ID == o.NewID
}

// accountDue says that the agent of a server without a BMC may set one up by itself: after the wipe of its boot was verified.
func accountDue(o *Observation, r *metal.ServerRecord) bool {
	return noBMC(o) && o.Server.Spec.BMCSetup != metal.BMCSetupNever && o.Inventory != nil && o.Inventory.IPMI &&
		permitAccount(o, r).ok() && provenInventory(o, r) && accountBoot(o, r)
}

// permitAccount asks what does not depend on a boot.
func permitAccount(o *Observation, r *metal.ServerRecord) refusal {
	free := *r // a claim, and a wipe, are no reasons against it by themselves
	free.Claim, free.Wipe = nil, nil
	return permitServer(o, &free)
}

// accountBoot says that the agent of the claimed boot may be told about accounts: nobody contradicted it for a moment, and without a BMC its wipe counts.
func accountBoot(o *Observation, r *metal.ServerRecord) bool {
	b := r.Boot
	if b == nil || r.Claim != nil || b.Phase != metal.BootClaimed || b.ClaimedAt == nil || o.Now.Sub(b.ClaimedAt.Time) < settle {
		return false
	}
	mine := r.Wipe != nil && r.Wipe.BootID == b.ID
	if byAgent(b) {
		return mine && r.Wipe.VerifiedAt != nil
	}
	return !mine // a wipe that was begun goes on, and ends with the machine off
}

func driveAccount(o *Observation, p *Plan) {
	r := p.record(o)
	a := r.BMCAccount
	switch {
	case a == nil && accountDue(o, r) && !taken(o, r):
		p.beginAccount(o, false)
		return
	case a == nil, a.Step == metal.BMCAccountDone:
		return
	case a.Using == "" && !a.Requested && !noBMC(o):
		if a.Step != metal.BMCAccountFailed {
			p.failAccount(o, "A person declared the BMC meanwhile; `ingot bmc rotate "+o.Server.Name+"` sets up an account of Ingot's own there.")
		}
		return
	case !permitAccount(o, r).ok():
		return
	}
	switch a.Step {
	case metal.BMCAccountKeeping:
		keepAccount(o, p, a)
	case metal.BMCAccountChecking:
		checkAccount(o, p, a)
	case metal.BMCAccountTaking:
		takeAccount(o, p, a)
	case metal.BMCAccountForgetting:
		p.until(o, !o.Account.Old, ForgetAccount, metal.BMCAccountDone)
	case metal.BMCAccountFailed:
		retryAccount(o, p, a)
	case metal.BMCAccountSetting, metal.BMCAccountDropping: // the agent's turn
		awaitAgent(o, p, a)
	case metal.BMCAccountDone:
	}
}

// awaitAgent gives up on an agent that is there and does not answer.
func awaitAgent(o *Observation, p *Plan, a *metal.BMCAccountRecord) {
	r := p.record(o)
	if !accountBoot(o, r) {
		return
	}
	asked := a.At.Time
	if r.Boot.ClaimedAt.After(asked) {
		asked = r.Boot.ClaimedAt.Time
	}
	if o.Now.Sub(asked).Abs() > accountPatience {
		p.failAccount(o, "The agent does not answer.")
		p.edit(o, func(r *metal.ServerRecord) { r.BMCAccount.BootID = r.Boot.ID })
		return
	}
	p.again(settle)
}

// until goes on to a step once something is so, and makes it so until then.
func (p *Plan) until(o *Observation, so bool, action ActionKind, next metal.BMCAccountStep) {
	if so {
		p.accountStep(o, next)
		return
	}
	p.again(accountRecheck)
	if p.Action.Kind == NoAction {
		p.Action = Action{Kind: action, ID: p.record(o).BMCAccount.ID}
	}
}

// accountStep records a step, and looks again soon.
func (p *Plan) accountStep(o *Observation, step metal.BMCAccountStep) {
	p.edit(o, func(r *metal.ServerRecord) {
		r.BMCAccount.Step, r.BMCAccount.At, r.BMCAccount.Problem = step, second(o), ""
	})
	p.again(time.Second)
}

func (p *Plan) failAccount(o *Observation, problem string) {
	p.accountStep(o, metal.BMCAccountFailed)
	p.edit(o, func(r *metal.ServerRecord) { r.BMCAccount.Problem = problem })
}

func keepAccount(o *Observation, p *Plan, a *metal.BMCAccountRecord) {
	if o.Account.Strange {
		p.failAccount(o, "There is a Secret "+AccountSecret(o.Server.Name)+" in "+metal.SystemNamespace+" that is not Ingot's; an operator must rename it.")
		return
	}
	p.until(o, o.Account.Next == a.ID, KeepAccount, metal.BMCAccountSetting)
}

func checkAccount(o *Observation, p *Plan, a *metal.BMCAccountRecord) {
	if o.Account.Login != reasons.BMCAnswers && o.Now.Sub(a.At.Time).Abs() > accountPatience {
		problem := "The BMC does not let the new account in over the network"
		if o.Account.LoginMessage != "" {
			problem += " (" + o.Account.LoginMessage + ")"
		}
		p.failAccount(o, cut(problem+"; the account before is untouched.", 512))
		return
	}
	p.until(o, o.Account.Login == reasons.BMCAnswers && o.Account.Next == a.ID, CheckAccount, metal.BMCAccountTaking)
}

// takeAccount lets the server use the account once the Secret was read back. Without a BMC it waits until nobody may contradict the boot any more, and
// interrupts none.
func takeAccount(o *Observation, p *Plan, a *metal.BMCAccountRecord) {
	if o.Account.Current != a.ID {
		p.until(o, false, TakeAccount, "")
		return
	}
	if a.After != nil && noBMC(o) && (o.Now.Before(a.After.Time) || live(p.record(o))) {
		p.again(max(a.After.Sub(o.Now), accountRecheck))
		return
	}
	next := metal.BMCAccountDropping
	if len(a.Old) == 0 {
		next = metal.BMCAccountForgetting
	}
	p.accountStep(o, next)
	p.edit(o, func(r *metal.ServerRecord) { r.BMCAccount.Using = a.Username })
	p.BMC = accountBMC(o, a)
}

// accountBMC is spec.bmc with the account: a declared one keeps its address and protocol.
func accountBMC(o *Observation, a *metal.BMCAccountRecord) *metal.BMC {
	out := o.Server.Spec.BMC.DeepCopy()
	if out == nil {
		out = &metal.BMC{Protocol: metal.BMCIPMI, Endpoint: a.Endpoint, Port: a.Port}
	}
	out.CredentialsSecret = AccountSecret(o.Server.Name)
	return out
}

// AccountTarget is where the next account of a server is tried: the declared BMC, or the one that the agent of the proven boot named. False without one.
func AccountTarget(s *metal.Server) (metal.BMC, bool) {
	if s.Spec.Record == nil || s.Spec.Record.BMCAccount == nil {
		return metal.BMC{}, false
	}
	a := s.Spec.Record.BMCAccount
	if a.Endpoint == "" && s.Spec.BMC == nil {
		return metal.BMC{}, false
	}
	return *accountBMC(&Observation{Server: s}, a), true
}

// retryAccount tries again when the agent of a proven boot is there: at once in another boot, after a rest in the same. What was not used yet begins anew: its
// password may be known to whoever claimed the boot of before.
func retryAccount(o *Observation, p *Plan, a *metal.BMCAccountRecord) {
	r := p.record(o)
	if !accountBoot(o, r) || r.Boot.ID == a.BootID && o.Now.Sub(a.At.Time).Abs() <= accountPause {
		return
	}
	switch {
	case a.Using == a.Username:
		p.accountStep(o, metal.BMCAccountDropping)
		p.edit(o, func(r *metal.ServerRecord) { r.BMCAccount.Generation++ })
	case !taken(o, r):
		p.beginAccount(o, a.Requested)
	}
}

// accountNeedsBoot says that an idle server shall boot its agent for its account.
func accountNeedsBoot(o *Observation, r *metal.ServerRecord) bool {
	a := r.BMCAccount
	return a != nil && a.Requested && !a.Forfeited && (a.Step == metal.BMCAccountSetting || a.Step == metal.BMCAccountDropping) && !noBMC(o) && permitAccount(o, r).ok()
}

// accountGoesFirst says that a boot deals with an account before it wipes.
func accountGoesFirst(o *Observation, r *metal.ServerRecord) bool {
	a, b := r.BMCAccount, r.Boot
	if a == nil || b == nil || b.ClaimedAt == nil || byAgent(b) || o.Now.Sub(b.ClaimedAt.Time).Abs() > accountFirst {
		return false
	}
	switch a.Step {
	case metal.BMCAccountSetting, metal.BMCAccountChecking, metal.BMCAccountTaking, metal.BMCAccountDropping:
		return true
	case metal.BMCAccountKeeping, metal.BMCAccountForgetting, metal.BMCAccountDone, metal.BMCAccountFailed:
	}
	return false
}

// accountOver says that the boot was for an account, and is over: nothing else is wanted of the machine.
func accountOver(r *metal.ServerRecord) bool {
	a, b := r.BMCAccount, r.Boot
	over := a != nil && (a.Step == metal.BMCAccountDone || a.Step == metal.BMCAccountFailed)
	return over && a.BootID == b.ID && !byAgent(b) && r.Claim == nil && r.Wipe != nil && r.Wipe.VerifiedAt != nil && r.Wipe.BootID != b.ID
}

// cut keeps a text to what the record has room for, in bytes, and to whole characters.
func cut(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// accountCondition says how the account fares.
func accountCondition(o *Observation, p *Plan) {
	a := p.record(o).BMCAccount
	switch {
	case a == nil:
	case a.Step == metal.BMCAccountDone:
		p.set(reasons.BMCAccount, True, reasons.AccountInUse, "Ingot uses its own account "+a.Username+".")
	case a.Step == metal.BMCAccountFailed:
		p.set(reasons.BMCAccount, False, reasons.AccountFailed, a.Problem+" What worked before works on; `ingot bmc rotate "+o.Server.Name+"` tries again.")
	case !foreign(o) && !permitAccount(o, p.record(o)).ok():
		p.set(reasons.BMCAccount, False, reasons.AccountRunning, permitAccount(o, p.record(o)).message)
	default:
		p.set(reasons.BMCAccount, False, reasons.AccountRunning, accountWaits(o, a))
	}
}

func accountWaits(o *Observation, a *metal.BMCAccountRecord) string {
	switch a.Step {
	case metal.BMCAccountSetting:
		return "Waiting for the agent of a boot that Ingot began, to set up the account " + a.Username + "."
	case metal.BMCAccountChecking:
		return "Waiting for the BMC to let the account " + a.Username + " in over the network."
	case metal.BMCAccountDropping:
		return "The account " + a.Username + " is in use; waiting for the agent of a boot that Ingot began, to drop the one before."
	case metal.BMCAccountTaking:
		if a.After != nil && noBMC(o) {
			return "The account " + a.Username + " works; it is used once nobody can contradict its boot any more, at " + a.After.UTC().Format("15:04:05") + " UTC, and no boot is under way."
		}
	case metal.BMCAccountKeeping, metal.BMCAccountForgetting, metal.BMCAccountDone, metal.BMCAccountFailed:
	}
	return "The Secret " + AccountSecret(o.Server.Name) + " is being written."
}

// forfeitAccount ends an account that is not used yet when a boot is contradicted: whoever got its password may be anybody. Its name stays, to be dropped.
func forfeitAccount(r *metal.ServerRecord, at metav1.Time) {
	a := r.BMCAccount
	switch {
	case a == nil, a.Using == a.Username, a.Step == metal.BMCAccountKeeping:
		return
	case a.Step == metal.BMCAccountTaking && a.After == nil: // a declared BMC let it in, so it was set up on its machine; and the Secret may hold it as the one in use
		return
	}
	a.Step, a.At, a.Endpoint, a.Port, a.Forfeited = metal.BMCAccountFailed, at, "", 0, true
	a.Problem = "Two machines used the boot in which the account " + a.Username + " may have been set up."
}
