package lifecycle

import (
	"slices"
	"strings"
	"time"

	"ingot.dev/ingot/crds/reasons"
)

// conflictRecheck is how often an identity conflict is looked at again.
const conflictRecheck = time.Minute

// identity says whether evidence names this Server alone.
func identity(o *Observation, p *Plan) {
	others := rivals(o)
	if b := p.present(o).Boot; b != nil && contested(b) {
		p.set(reasons.IdentityUnique, False, reasons.IdentityConflict,
			"Two machines used the boot "+b.ID+" that Ingot had started for this one: one of them is an impostor, or the machine restarted by itself. That boot counts for neither; an operator should look who else is on the boot network.")
		return
	}
	if len(others) == 0 {
		p.set(reasons.IdentityUnique, True, reasons.Unique, "No other Server claims this machine's identity.")
		return
	}
	shown := others[:min(len(others), 5)]
	p.again(conflictRecheck)
	p.set(reasons.IdentityUnique, False, reasons.IdentityConflict,
		"The same evidence points to "+strings.Join(shown, ", ")+" too; an operator must compare spec.identity and the ServerInventories and delete or correct the wrong Server.")
}

// rivals are the other Servers that the same evidence points to, by name.
func rivals(o *Observation) []string {
	others := slices.DeleteFunc(slices.Clone(o.ConflictsWith), func(name string) bool { return name == o.Server.Name })
	slices.Sort(others)
	return slices.Compact(others)
}

// registration says whether an agent reported the hardware.
func registration(o *Observation, p *Plan) {
	switch {
	case o.Inventory == nil && unserved(o) && !foreign(o):
		p.set(reasons.Registered, False, o.Unserved, imageMissing(o))
		p.again(unservedRecheck)
		return
	case o.Inventory == nil:
		p.set(reasons.Registered, False, reasons.NotRegistered, howToRegister(o))
		return
	}
	p.Summary = summarize(o.Inventory)
	p.set(reasons.Registered, True, reasons.InventoryReported, "The agent reported the inventory.")
}

// unservedRecheck is how often a machine that waits in vain is looked at again: nobody tells when it is gone.
const unservedRecheck = 5 * time.Minute

// unserved says that the machine waits in its boot script for an agent that its boot server does not have.
func unserved(o *Observation) bool { return o.Unserved == reasons.AgentImageMissing && o.Agent == nil }

// imageMissing names what a person does about that; the machine asks again all the time.
func imageMissing(o *Observation) string {
	build := "`make images`"
	if o.UnservedArch == "arm64" {
		build = "`make images-arm64`"
	}
	return "The machine waits in its boot script: its boot server has no agent image for " + o.UnservedArch + ". Build one (" + build +
		"), and start `ingot up`, or the `pxe-server` of its site, with one more `--agent-image FOLDER`; then the machine goes on by itself."
}

// unrecognisable says that no machine can ever be matched to this server: neither an inventory nor a person describes it.
func unrecognisable(o *Observation) bool { return o.Inventory == nil && o.Server.Spec.Identity == nil }

// howToRegister names the next actor for a server that no agent reported yet.
func howToRegister(o *Observation) string {
	name := o.Server.Name
	switch {
	case foreign(o):
		return "Waiting for the installation that manages this server to register it."
	case unrecognisable(o):
		return "Nothing says how to recognise the machine: set spec.identity, its serial number with the manufacturer or a MAC address."
	case o.Agent != nil:
		return "Waiting for the agent, which is connected, to report the inventory."
	case noBMC(o):
		return "Waiting for the machine to netboot: press its power button."
	case bmcFails(o):
		_, reason := bmcVerdict(o)
		return "Waiting for the machine to netboot, and Ingot cannot switch it on. " + bmcMessage(o, reason)
	case poweredOn(o) && o.Power.Network != "":
		return "Waiting for the machine, which is on, to netboot." + notNetworked(o) + " Correct that, then `ingot power cycle " + name + "`."
	case poweredOn(o):
		return "Waiting for the machine, which is on, to netboot: if it does not, run `ingot power cycle " + name + "` and check that the network is first in its boot order."
	}
	return "Waiting for the machine to netboot: `ingot power on " + name + "`."
}
