// Package timeline reads what Ingot recorded of a boot as stretches of time, each of which says what went on in it.
//
// Pure. A stretch has a name only when the two stages around it follow each other in a boot that Ingot knows: when a stage is missing, the time around it
// has no name, and counts as unexplained.
package timeline

import (
	"slices"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Names of stretches that somebody asks for.
const (
	// WipeBegins is from the grant to the agent's first word of the wipe, a second after it began. Wipe is the rest of it.
	WipeBegins = "the agent begins to wipe, until its first word"
	Wipe       = "the wipe goes on"
	// SecondClaimant is the time that Ingot waits on purpose, whatever the machine does.
	SecondClaimant = "Ingot waits for a second claimant"
)

// Stretch is the time between two stages.
type Stretch struct {
	// Name says what went on; empty when nobody knows.
	Name     string
	From, To time.Time
}

// Length of the stretch.
func (s Stretch) Length() time.Duration { return s.To.Sub(s.From) }

type pair struct{ from, to string }

// names are the stages that follow each other, as crds/metal/v1alpha1/boot_stages.go describes them.
var names = map[pair]string{
	{metal.StageSwitchingOff, metal.StageSwitchingOn}: "the BMC switches off and reads it back",
	{metal.StageSwitchingOn, metal.StagePoweredOn}:    "the BMC switches on and reads it back",
	{metal.StagePoweredOn, metal.StageDHCP}:           "firmware, until its first word on the network",
	{metal.StageDHCP, metal.StageFirstStage}:          "firmware gets an address and the first stage",
	{metal.StageFirstStage, metal.StageScript}:        "the first stage starts and asks for its script",
	{metal.StageScript, metal.StageKernel}:            "the first stage reads the script",
	{metal.StageKernel, metal.StageInitramfs}:         "the kernel is fetched",
	{metal.StageInitramfs, metal.StageLoaded}:         "the initramfs is fetched",
	{metal.StageLoaded, metal.StageEnrolled}:          "kernel and agent start, until it enrols",
	{metal.StageEnrolled, metal.StageInventory}:       "the agent reads the hardware",
	{metal.StageInventory, metal.StageWipeGranted}:    SecondClaimant,
	{metal.StageWipeGranted, metal.StageWiping}:       WipeBegins,
	{metal.StageWiping, metal.StageReceipt}:           Wipe,
	{metal.StageReceipt, metal.StagePoweredOff}:       "the machine switches itself off, until its BMC reads it",
	{metal.StagePoweredOff, metal.StageVerified}:      "the erase record is signed and kept",
	{metal.StageLoaded, metal.StageConfig}:            "kernel and system start, until it fetches its config",
	{metal.StageKernel, metal.StageConfig}:            "kernel and initramfs in one file are fetched and start",
	{metal.StageConfig, metal.StageInstalled}:         "the system is installed",
	{metal.StageInstalled, metal.StageRestarted}:      "shutdown and firmware, until its first word on the network",
	{metal.StageRestarted, metal.StageLocalDisk}:      "firmware gets the first stage, and that the script",
	{metal.StageLocalDisk, metal.StageRunning}:        "firmware finds the disk, and the system starts from it",
}

// Of are the stretches of one boot, in order of time. What a machine tells of itself ends none.
func Of(stages []metal.BootStage) []Stretch {
	sorted := slices.DeleteFunc(slices.Clone(stages), func(s metal.BootStage) bool { return slices.Contains(metal.ToldStages(), s.Stage) })
	slices.SortStableFunc(sorted, func(a, b metal.BootStage) int { return a.At.Compare(b.At.Time) })
	var out []Stretch
	for i := 1; i < len(sorted); i++ {
		name := names[pair{sorted[i-1].Stage, sorted[i].Stage}]
		out = append(out, Stretch{Name: name, From: sorted[i-1].At.Time, To: sorted[i].At.Time})
	}
	return out
}

// Within cuts stretches to a window, and fills what none of them covers with ones that have no name. Stretches are in order and do not overlap.
func Within(all []Stretch, from, to time.Time) []Stretch {
	var out []Stretch
	at := from
	for _, s := range all {
		if s.From.Before(at) {
			s.From = at
		}
		if s.To.After(to) {
			s.To = to
		}
		if !s.From.Before(s.To) {
			continue
		}
		if at.Before(s.From) {
			out = append(out, Stretch{From: at, To: s.From})
		}
		out, at = append(out, s), s.To
	}
	if at.Before(to) {
		out = append(out, Stretch{From: at, To: to})
	}
	return out
}

// Named is the share of the time that has a name, from 0 to 1.
func Named(all []Stretch) float64 {
	whole := Sum(all, func(Stretch) bool { return true })
	if whole <= 0 {
		return 0
	}
	return float64(Sum(all, func(s Stretch) bool { return s.Name != "" })) / float64(whole)
}

// Sum is how long the stretches take that a condition holds for.
func Sum(all []Stretch, cond func(Stretch) bool) (d time.Duration) {
	for _, s := range all {
		if cond(s) {
			d += s.Length()
		}
	}
	return d
}
