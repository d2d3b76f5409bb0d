package lifecycle

import (
	"fmt"
	"strings"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

const (
	// settle is how long a claim of a boot stays without a task: the machine itself, if it is another one, shows up meanwhile.
	settle = 15 * time.Second
	// maxDisks is how many disks an inventory holds (crds/metal/v1alpha1, spec.disks). The agent leaves out what is beyond.
	maxDisks = 256
	// budgetRecheck is how often a server looks whether the budget has room again.
	budgetRecheck = time.Minute
)

// refusal is why nothing may be erased now; the zero value permits.
type refusal struct {
	reason, message string
	after           time.Duration
}

func (f refusal) ok() bool { return f.reason == "" }

// permit is the one place that permits to erase disks: it returns all of the server's own, or why none may be touched. Both the grant and each
// hand-out of it go through here (rules 1, 3 and 4 of DESIGN section 3).
func permit(o *Observation, r *metal.ServerRecord) ([]metal.DiskID, refusal) {
	if f := permitServer(o, r); !f.ok() {
		return nil, f
	}
	if f := permitBoot(o, r); !f.ok() {
		return nil, f
	}
	return permitDisks(o, r)
}

// permitServer asks what does not depend on a boot.
func permitServer(o *Observation, r *metal.ServerRecord) refusal {
	name := o.Server.Name
	switch {
	case foreign(o), r.ManagedBy == nil: // a record that names no installation is for Decide to take over first
		return refusal{reason: reasons.UnmanagedHere, message: ownedBy(o)}
	case r.Claim != nil:
		return refusal{reason: reasons.Claimed, message: "The claim " + claimName(r) + " owns the server; its disks are out of reach."}
	case !o.Server.Spec.Accepted:
		return refusal{reason: reasons.NotAccepted, message: "Waiting for an operator: `ingot accept " + name + "`."}
	case r.Unverified != nil:
		return refusal{reason: r.Unverified.Reason, message: "What Ingot knows of this server comes from a backup and may be older than the machine. A person says that it may be wiped (`ingot accept " + name +
			"`), or lets it boot (`ingot power cycle " + name + "`), after which blank disks prove it free."}
	case r.Acceptance == nil:
		return refusal{reason: reasons.EvidenceNeeded, message: "The server is accepted by its spec alone, and Ingot has no record of it: `ingot accept " + name + "` confirms it; or a boot that Ingot started shows that its disks are blank."}
	case r.Quarantine != nil:
		return refusal{reason: reasons.Quarantined, message: quarantineMessage(o, r)}
	case len(rivals(o)) > 0:
		return refusal{reason: reasons.IdentityConflict, message: "Another Server has the same identity: see the condition " + reasons.IdentityUnique + "."}
	case paused(o):
		return refusal{reason: reasons.Paused, message: "The server is paused: `ingot resume " + name + "`."}
	case o.DryRun:
		return refusal{reason: reasons.DryRun, message: "Ingot runs with --dry-run: the disks named in status.disks would be wiped."}
	case kept(r):
		return permitKept(o, r)
	case r.Wipe != nil && r.Wipe.VerifiedAt != nil:
		return refusal{reason: reasons.Wiped, message: "The server is clean."}
	}
	return refusal{}
}

// permitBoot asks for trust level 1: the claimant of the boot that we started, alone for a while, which reported the hardware in this very boot.
func permitBoot(o *Observation, r *metal.ServerRecord) refusal {
	b := r.Boot
	if b == nil || b.Phase != metal.BootClaimed || b.ClaimedAt == nil || purposeOf(b) != (purpose{target: metal.BootTargetAgent}) {
		return refusal{reason: reasons.BootRunning, message: "Waiting for the machine to boot the agent."}
	}
	if u := r.Unverified; u != nil && b.StartedAt.Time.Before(u.Since.Time) { // the boot, and what it reported, came with the same backup
		return refusal{reason: u.Reason, message: "Waiting for a boot that began after the backup was restored."}
	}
	if !provenInventory(o, r) {
		return refusal{reason: reasons.BootRunning, message: "Waiting for the agent to report the hardware."}
	}
	age := o.Now.Sub(b.ClaimedAt.Time)
	if age.Abs() < settle {
		return refusal{reason: reasons.BootRunning, message: "The agent is there; waiting a moment for a second one that would contradict it.", after: min(settle-age, settle)}
	}
	if accountGoesFirst(o, r) {
		return refusal{reason: reasons.BootRunning, message: "The agent sets up Ingot's account at the BMC first.", after: accountRecheck}
	}
	return refusal{}
}

// provenInventory says that the inventory comes from the claimed boot.
func provenInventory(o *Observation, r *metal.ServerRecord) bool {
	b := r.Boot
	return o.Inventory != nil && b != nil && b.ID != "" && b.Phase == metal.BootClaimed && o.Inventory.Agent.BootID == b.ID && o.Inventory.Agent.Proven >= 1
}

// permitDisks asks rule 3, and for every own disk a person's word or a blank reading.
func permitDisks(o *Observation, r *metal.ServerRecord) ([]metal.DiskID, refusal) {
	disks := judgeDisks(o, r)
	if f := diskTrouble(o, disks); !f.ok() {
		return nil, f
	}
	ids, _ := pick(disks, isOwn)
	return ids, refusal{}
}

// diskTrouble names the disks that are in the way.
func diskTrouble(o *Observation, disks []metal.DiskStatus) refusal {
	name := o.Server.Name
	if len(disks) >= maxDisks {
		return refusal{reason: reasons.DisksBlocked, message: fmt.Sprintf("The machine shows %d disks, as many as an inventory holds, so it may have more that nobody knows of: take some away, and let it boot again.", len(disks))}
	}
	if _, names := pick(disks, isBlocked); len(names) > 0 {
		return refusal{reason: reasons.DisksBlocked, message: "These disks are not the server's own and are never touched: " + few(names) +
			". Take them away, or let Ingot ignore them: `ingot accept " + name + " --ignore-disk SERIAL`."}
	}
	if ids, _ := pick(disks, isOwn); len(ids) == 0 {
		return refusal{reason: reasons.NoDisks, message: "The machine shows no disk of its own; check its controllers and `ingot get inventory " + name + "`."}
	}
	if _, names := pick(disks, isOpen); len(names) > 0 {
		return refusal{reason: reasons.DataNeedsConfirmation, message: "These disks hold data and no person confirmed them: " + few(names) + ". To erase them: `ingot accept " + name + " --wipe-data`."}
	}
	return refusal{}
}

func few(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + fmt.Sprintf(" and %d more", len(names)-5)
	}
	return strings.Join(names, ", ")
}

// wipe moves the server towards clean: it judges a receipt, accepts by evidence, grants, and says what is waited for.
func wipe(o *Observation, p *Plan) {
	if !foreign(o) {
		judgeReceipt(o, p)
		acceptByEvidence(o, p)
		grant(o, p)
	}
	p.Disks = judgeDisks(o, p.present(o))
	clean(o, p)
}

// acceptByEvidence records the acceptance of a server whose spec says yes and whose every disk proved blank in a boot that we started. A record that
// came from a backup is made valid again in the same way.
func acceptByEvidence(o *Observation, p *Plan) {
	r := p.record(o)
	open := r.Acceptance == nil || r.Unverified != nil
	if !open || !o.Server.Spec.Accepted || r.Claim != nil || !permitBoot(o, r).ok() || len(rivals(o)) > 0 || paused(o) || o.DryRun {
		return
	}
	bare := r.DeepCopy()
	bare.Acceptance, bare.Unverified = nil, nil
	if _, f := permitDisks(o, bare); !f.ok() { // as if nobody had confirmed anything: only blank disks pass
		return
	}
	p.edit(o, func(r *metal.ServerRecord) {
		r.Acceptance = &metal.AcceptanceRecord{At: second(o), Level: metal.WipeClear}
		r.Unverified, r.Wipe, r.Release = nil, nil, nil
	})
	pinBMC(o, p)
}

// grant records a wipe, or the next generation of the one that another boot began.
func grant(o *Observation, p *Plan) {
	r := p.record(o)
	ids, f := permit(o, r)
	if !f.ok() {
		p.againIf(f.after)
		return
	}
	old := r.Wipe
	switch {
	case old == nil && o.Budget.Granted >= o.Budget.Limit:
		p.again(budgetRecheck)
	case old == nil:
		p.Granted = true
		p.edit(o, func(r *metal.ServerRecord) {
			r.Wipe = &metal.WipeRecord{ID: o.NewID, Level: level(r), Disks: ids, GrantedAt: second(o), Generation: 1, BootID: r.Boot.ID}
		})
	case old.BootID != r.Boot.ID:
		p.edit(o, func(r *metal.ServerRecord) {
			r.Wipe.Generation, r.Wipe.BootID, r.Wipe.Disks, r.Wipe.Receipt = old.Generation+1, r.Boot.ID, ids, nil
		})
	}
}

// level is what the wipe must reach: after a release what the class asked for, otherwise what the person did.
func level(r *metal.ServerRecord) metal.WipeLevel {
	if r.Release != nil {
		return r.Release.Level
	}
	return r.Acceptance.Level
}

func (p *Plan) againIf(d time.Duration) {
	if d > 0 {
		p.again(d)
	}
}

// judgeReceipt quarantines a server with a bad disk.
func judgeReceipt(o *Observation, p *Plan) {
	r := p.record(o)
	if !answered(r) || r.Wipe.VerifiedAt != nil {
		return
	}
	if bad := faults(r.Wipe); !proved(r) {
		if r.Quarantine == nil {
			p.edit(o, func(r *metal.ServerRecord) {
				r.Quarantine = &metal.QuarantineRecord{Reason: reasons.WipeFailed, Message: clip(few(bad), 1000), At: second(o)}
			})
		}
	}
}

// answered says that there is a receipt of the present generation.
func answered(r *metal.ServerRecord) bool {
	return r.Wipe != nil && r.Wipe.Receipt != nil && r.Wipe.Receipt.Generation == r.Wipe.Generation
}

// levels by strength.
var levels = map[metal.WipeLevel]int{metal.WipeQuick: 1, metal.WipeClear: 2, metal.WipePurge: 3}

// faults lists the granted disks that the receipt does not prove clean.
func faults(w *metal.WipeRecord) (bad []string) {
	for _, d := range w.Disks {
		if f := fault(w, d); f != "" {
			bad = append(bad, "disk "+serial(d)+": "+f)
		}
	}
	return bad
}

// fault is what is wrong with the rows of one disk. A receipt that contradicts itself proves nothing, so all of them have to be good.
func fault(w *metal.WipeRecord, d metal.DiskID) string {
	why := "the receipt does not name it"
	for _, row := range w.Receipt.Disks {
		if row.DiskID != d {
			continue
		}
		if why = faultOf(w, row); why != "" {
			break
		}
	}
	return why
}

func faultOf(w *metal.WipeRecord, row metal.DiskReceipt) string {
	switch {
	case row.Error != "":
		return row.Error
	case levels[row.Reached] == 0 || levels[row.Reached] < levels[w.Level]:
		return fmt.Sprintf("it reached the level %q, and %s was granted", row.Reached, w.Level)
	case row.BlocksRead <= 0:
		return "nothing was read back"
	}
	return ""
}

func serial(d metal.DiskID) string {
	if d.Serial != "" {
		return d.Serial
	}
	return d.WWID
}

// proved says that a good receipt of the present generation is there. A grant without disks proves nothing.
func proved(r *metal.ServerRecord) bool {
	return answered(r) && len(r.Wipe.Disks) > 0 && len(faults(r.Wipe)) == 0
}

// clean is the condition.
func clean(o *Observation, p *Plan) {
	r := p.record(o)
	if r.Claim == nil && r.Wipe != nil && r.Wipe.VerifiedAt != nil {
		cleanSince(o, p, r)
		return
	}
	_, f := permit(o, r)
	switch {
	case r.Claim != nil && r.Claim.Reused != nil:
		p.set(reasons.Clean, False, reasons.Reused, "The claim "+claimName(r)+" took the server over from "+r.Claim.Reused.Namespace+"/"+r.Claim.Reused.Name+" as it was: reused, not wiped.")
	case proved(r) && r.Boot != nil && r.Boot.Phase == metal.BootClaimed && r.Boot.ID == r.Wipe.BootID: // or nobody is waited for
		p.set(reasons.Clean, False, reasons.ReceiptJudged, waitingForProof(o, r))
	case f.reason == reasons.NotAccepted:
		p.set(reasons.Clean, False, reasons.NeverWiped, "The server is not accepted, so nothing on its disks is touched.")
	case (f.reason == reasons.BootRunning || f.reason == reasons.EvidenceNeeded) && diskRefusal(o, p, r).reason != "":
		f = diskRefusal(o, p, r)
		p.set(reasons.Clean, False, f.reason, f.message)
	case !f.ok():
		p.set(reasons.Clean, False, f.reason, f.message)
	case r.Wipe == nil:
		p.set(reasons.Clean, False, reasons.DestructiveLimit, overBudget(o))
	default:
		p.set(reasons.Clean, False, wiping(o, r), "The disks are being wiped: see status.wipe.")
	}
}

// waitingForProof names who has to act after a good receipt: the machine, its BMC, or whoever keeps the erase record from being written.
func waitingForProof(o *Observation, r *metal.ServerRecord) string {
	switch {
	case noBMC(o):
		return "The receipt is good; waiting a moment for a second agent that would contradict it, and for its erase record."
	case o.Power.Reason != reasons.BMCAnswers:
		return "The receipt is good; waiting for the BMC to tell that the machine switched itself off: see the condition " + reasons.BMCReachable + "."
	case wentOff(o, r.Wipe.Receipt.At.Add(time.Second)):
		return "The receipt is good and the machine is off; its erase record is being written. If that lasts, the event " + reasons.EraseNotKept + " says what is in the way."
	}
	return "The receipt is good; waiting for the machine to switch itself off."
}

// overBudget says that the server waits for others.
func overBudget(o *Observation) string {
	return fmt.Sprintf("%d wipes were granted in the last hour, and %d may be; it goes on by itself (--destructive-limit).", o.Budget.Granted, o.Budget.Limit)
}

// diskRefusal is what the last inventory, proven or not, shows to be in the way: a machine is not restarted in vain.
func diskRefusal(o *Observation, p *Plan, r *metal.ServerRecord) refusal {
	if o.Inventory == nil {
		return refusal{}
	}
	return diskTrouble(o, judgeDisks(o, r))
}

func wiping(o *Observation, r *metal.ServerRecord) string {
	if w := o.Server.Status.Wipe; w != nil && w.ID == r.Wipe.ID && w.Generation == r.Wipe.Generation {
		return reasons.WipeRunning
	}
	return reasons.WipeGranted
}

// cleanSince looks whether the verified wipe still covers what the machine has.
func cleanSince(o *Observation, p *Plan, r *metal.ServerRecord) {
	var ids []metal.DiskID
	f := refusal{}
	if o.Inventory != nil {
		disks := judgeDisks(o, r)
		ids, _ = pick(disks, isOwn)
		f = diskTrouble(o, disks)
	}
	switch {
	case f.reason == reasons.DisksBlocked:
		p.set(reasons.Clean, False, f.reason, f.message)
	case !coversAll(r.Wipe.Disks, ids):
		p.set(reasons.Clean, False, reasons.DisksChanged, "The machine has a disk that the last wipe did not cover: `ingot accept "+o.Server.Name+" --wipe-data` wipes it again.")
	default:
		p.set(reasons.Clean, True, reasons.Wiped, "Every own disk was wiped, level "+string(r.Wipe.Level)+", and read back; the erase record is `ingot erase-record "+o.Server.Name+"`.")
	}
}
