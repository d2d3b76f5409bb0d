package lifecycle

import (
	"net/netip"
	"slices"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// TaskAccount sets up a user of the BMC, or drops users.
const TaskAccount TaskKind = "Account"

// AccountGrant permits an agent to learn the name and password of an account and to set it up, or names users of Ingot's to drop. Only this package makes one.
// It holds no password: whoever hands it out reads that from the Secret, by the id.
type AccountGrant struct {
	id         string
	generation int64
	username   string
	drop       []string
}

// ID of the account.
func (g AccountGrant) ID() string { return g.id }

// Generation of the hand-out.
func (g AccountGrant) Generation() int64 { return g.generation }

// Username to set up; empty when users are to be dropped.
func (g AccountGrant) Username() string { return g.username }

// Drop names users that shall be gone.
func (g AccountGrant) Drop() []string { return slices.Clone(g.drop) }

// accountTask is for the claimant of the expected boot; false when nothing is wanted of the BMC now.
func accountTask(o *Observation, r *metal.ServerRecord) (Task, bool) {
	a := r.BMCAccount
	if a == nil || a.Forfeited || !permitAccount(o, r).ok() || !accountBoot(o, r) {
		return Task{}, false
	}
	g := AccountGrant{id: a.ID, generation: a.Generation}
	t := Task{Kind: TaskAccount, Reason: reasons.AccountRunning}
	switch {
	case a.Step == metal.BMCAccountSetting && (a.Requested || a.Using != "" || noBMC(o)):
		g.username, g.drop = a.Username, slices.DeleteFunc(slices.Clone(a.Old), func(name string) bool { return name == a.Using })
		t.Message = "Setting up the account " + a.Username + " at the BMC."
	case a.Step == metal.BMCAccountDropping && a.Using == a.Username:
		g.drop, t.Message = slices.Clone(a.Old), "Dropping the account before at the BMC."
	default:
		return Task{}, false
	}
	t.Account = g
	return t, true
}

// accountExpects says that the agent of a proven boot is waited for.
func accountExpects(r *metal.ServerRecord) bool {
	if r == nil {
		return false
	}
	a := r.BMCAccount
	return a != nil && (a.Step == metal.BMCAccountSetting || a.Step == metal.BMCAccountDropping)
}

// AccountReport is what became of an account, as an agent tells it.
type AccountReport struct {
	ID         string
	Generation int64
	// Dropped is true for an order to drop users.
	Dropped bool
	// Error is empty when all is as it shall be.
	Error         string
	Slot, Channel int32
	Address       string
	Port          int32
}

// ReportAccount judges an agent's word about an account. It is believed of the claimant of the boot that it was given to, while it is waited for. The record
// that it returns is to be written as that of ClaimBoot, before the agent is answered.
func ReportAccount(s *metal.Server, c Caller, rep AccountReport, now time.Time) (*metal.ServerRecord, Verdict) {
	r := s.Spec.Record
	if !proven(r, c) || r.BMCAccount == nil || rep.ID == "" || r.BMCAccount.ID != rep.ID || r.BMCAccount.Generation != rep.Generation {
		return nil, VerdictRefused
	}
	waits := metal.BMCAccountSetting
	if rep.Dropped {
		waits = metal.BMCAccountDropping
	}
	switch a := r.BMCAccount; {
	case a.Step == waits && !a.Forfeited:
	case a.BootID == c.BootID: // its answer was lost
		return nil, VerdictAgain
	default:
		return nil, VerdictRefused
	}
	out := r.DeepCopy()
	a := out.BMCAccount
	a.At, a.BootID, a.Problem = whole(now), c.BootID, ""
	switch address, ok := bmcAddress(rep); {
	case rep.Error != "":
		a.Step, a.Problem = metal.BMCAccountFailed, "The agent says: "+rep.Error+"."
	case rep.Dropped:
		a.Step, a.Old = metal.BMCAccountForgetting, nil
	case !ok && s.Spec.BMC == nil:
		a.Step, a.Problem = metal.BMCAccountFailed, "The BMC has no address that Ingot could use on the channel of the account; an operator must give it one, or declare spec.bmc."
	default:
		a.Step, a.Slot, a.Channel, a.Endpoint, a.Port = metal.BMCAccountChecking, rep.Slot, rep.Channel, address, rep.Port
		if b := out.Boot; byAgent(b) {
			after := whole(claimedAt(b).Add(bootTimeout))
			a.After = &after
		}
	}
	return out, VerdictFirst
}

// broadcast is everybody (RFC 919).
var broadcast = netip.MustParseAddr("255.255.255.255")

// bmcAddress is an address that a BMC can have on a network: of one host, and not of this one.
func bmcAddress(rep AccountReport) (string, bool) {
	ip, err := netip.ParseAddr(rep.Address)
	if err != nil || ip.Zone() != "" || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || ip.Unmap() == broadcast {
		return "", false
	}
	return ip.Unmap().String(), true
}
