package engine

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Kind is something that may go wrong, or that a person may do. A seed enables a random part of them (swarm testing).
type Kind uint8

// The kinds: first faults, then gestures.
const (
	Crash         Kind = iota // the controller dies before or after a recorded effect
	StaleCache                // a replica's cache lags behind
	Conflicts                 // writes lose against somebody else's
	ServerErrors              // the API server answers 500
	Timeouts                  // a write succeeds, and the answer is lost
	TwoLeaders                // both replicas reconcile
	ClockJumps                // a replica's clock is off by up to a day
	DeadBMC                   // a BMC does not answer for a while
	SlowBMC                   // a BMC takes minutes
	LyingBMC                  // a BMC acknowledges and does nothing
	InvertedBMC               // a BMC reads on for off
	StaleBMC                  // a BMC tells what was minutes ago
	PowerLoss                 // the machine loses its power, which comes back
	Hang                      // the firmware hangs
	Reboot                    // the machine restarts by itself
	DiskFirst                 // the firmware ignores network boot
	StaleView                 // the boot side serves an old view
	Impostor                  // a stranger on the switch takes part with a victim's evidence
	AgentCrash                // the agent dies and restarts its machine
	TwiceReceipts             // receipts come twice, late, or in another order
	LostReceipts              // receipts get lost on the way
	LyingDisks                // a disk reports to be erased and is not
	FailingDisks              // a disk cannot be erased
	Thieves                   // a stranger asks for machine configs
	Truncated                 // a machine config arrives in part, and is fetched again
	DeadDisks                 // the disk of a running system is lost
	DeafSystems               // a system ignores that its power button is pressed
	faults                    // how many faults there are

	GitAccept     Kind = iota - 1 // spec.accepted comes from Git, without a gesture
	Unaccept                      // a person takes the yes back
	Quarantines                   // a person quarantines and lifts
	Pauses                        // a person pauses and resumes
	PowerRequests                 // a person switches power
	GitApply                      // an old manifest is applied again
	Deletes                       // a Server is deleted, and created again from Git
	Ignores                       // a person names disks to be ignored
	Restores                      // the store comes back from a backup
	LostStatus                    // status is cleared
	NewDisks                      // a person adds or swaps a disk
	Squatters                     // a person installs a system by hand, past Ingot
	Claims                        // people claim servers
	Releases                      // people delete claims
	Moves                         // clusterctl moves claims away
	Forced                        // a person takes finalizers off
	Clusters                      // Clusters are paused, and go missing
	GiveUps                       // people give servers up without their claims
	Liars                         // a person confirms off what is on
	ConfigEdits                   // the machine config changes, or is missing for a while
	WarmServers                   // idle servers wait in the agent
	SharedDisks                   // two machines see one disk
	ForeignDisks                  // USB sticks, fabric, disks without an identifier
	Installations                 // another installation manages some servers
	NoBMC                         // a server declares no BMC
	Accounts                      // Ingot has accounts of its own at BMCs, set up from within the machines, and people rotate them
	Kinds                         // how many kinds there are
)

var kindNames = [Kinds]string{
	Crash: "crash", StaleCache: "stale-cache", Conflicts: "conflicts", ServerErrors: "server-errors", Timeouts: "timeouts", TwoLeaders: "two-leaders",
	ClockJumps: "clock-jumps", DeadBMC: "dead-bmc", SlowBMC: "slow-bmc", LyingBMC: "lying-bmc", InvertedBMC: "inverted-bmc", StaleBMC: "stale-bmc",
	PowerLoss: "power-loss", Hang: "hang", Reboot: "reboot", DiskFirst: "disk-first", StaleView: "stale-view", Impostor: "impostor",
	AgentCrash: "agent-crash", TwiceReceipts: "twice-receipts", LostReceipts: "lost-receipts", LyingDisks: "lying-disks", FailingDisks: "failing-disks",
	Thieves: "thief", Truncated: "truncated", DeadDisks: "dead-disk", DeafSystems: "deaf-system",
	GitAccept: "git-accept", Unaccept: "unaccept", Quarantines: "quarantine", Pauses: "pause", PowerRequests: "power-request", GitApply: "git-apply",
	Deletes: "delete", Ignores: "ignore-disk", Restores: "restore", LostStatus: "lost-status", NewDisks: "new-disk", Squatters: "squatter",
	Claims: "claim", Releases: "release", Moves: "move", Forced: "forced", Clusters: "cluster", GiveUps: "give-up", Liars: "liar", ConfigEdits: "config-edit",
	WarmServers: "warm", SharedDisks: "shared-disk", ForeignDisks: "foreign-disk", Installations: "installations", NoBMC: "no-bmc",
	Accounts: "account",
}

// String is the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// Set is a set of kinds.
type Set uint64

// SetOf makes a set.
func SetOf(kinds ...Kind) (s Set) {
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// All is the set of all kinds.
const All Set = 1<<Kinds - 1

// Has says whether k is in the set.
func (s Set) Has(k Kind) bool { return s&(1<<k) != 0 }

// Len is how many kinds are in the set.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// String lists the kinds.
func (s Set) String() string {
	text := ""
	for k := range Kinds {
		if s.Has(k) {
			text += " " + k.String()
		}
	}
	if text == "" {
		return "none"
	}
	return text[1:]
}

// swarm draws the kinds of one seed: about a third of them, in some seeds nearly none, in some nearly all.
func swarm(seed uint64) (s Set) {
	r := newStream(seed, "swarm")
	p := []float64{0, 0.1, 0.25, 0.35, 0.5, 0.8}[r.upTo(6)]
	for k := range Accounts {
		if r.chance(p) {
			s |= 1 << k
		}
	}
	if r.chance(0.5) { // without them nothing is released, moved or given up
		s |= 1 << Claims
	}
	if r.chance(0.25) { // what is to happen there needs a long way
		s |= 1 << NoBMC
	}
	// Drawn apart, so that seeds of before stay what they were. A restored store has Secrets of before its backup's records, which no `ingot restore` makes.
	if newStream(seed, "accounts").chance(0.3) && !s.Has(Restores) {
		s |= 1 << Accounts
	}
	return s
}

// ParseSet reads names of kinds, separated by commas.
func ParseSet(text string) (s Set, err error) {
	for name := range strings.SplitSeq(text, ",") {
		k := slices.Index(kindNames[:], name)
		switch {
		case k >= 0:
			s |= 1 << Kind(k)
		case name != "":
			return 0, fmt.Errorf("there is no kind %q", name)
		}
	}
	return s, nil
}
