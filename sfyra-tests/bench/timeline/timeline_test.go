package timeline_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/bench/timeline"
)

var epoch = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

// boot has a stage every second, the last one first, so that order is the code's work.
func boot(stages ...string) (out []metal.BootStage) {
	for i, s := range slices.Backward(stages) {
		out = append(out, metal.BootStage{Stage: s, At: metav1.NewMicroTime(at(float64(i)))})
	}
	return out
}

// TestWhole: every way through a boot is named from its first stage to its last.
func TestWhole(t *testing.T) {
	netboot := []string{metal.StageSwitchingOff, metal.StageSwitchingOn, metal.StagePoweredOn, metal.StageDHCP, metal.StageFirstStage, metal.StageScript, metal.StageKernel}
	system := []string{metal.StageConfig, metal.StageInstalled, metal.StageRestarted, metal.StageLocalDisk, metal.StageRunning}
	loaded := []string{metal.StageInitramfs, metal.StageLoaded}
	for name, rest := range map[string][]string{
		"the agent's": {metal.StageInitramfs, metal.StageLoaded, metal.StageEnrolled, metal.StageInventory, metal.StageWipeGranted, metal.StageWiping, metal.StageReceipt, metal.StagePoweredOff, metal.StageVerified},
		"a system's":  slices.Concat(loaded, system),
		"a UKI's":     system,
	} {
		stages := slices.Concat(netboot, rest)
		last := float64(len(stages) - 1)
		if got := timeline.Named(timeline.Within(timeline.Of(boot(stages...)), at(0), at(last))); got != 1 {
			t.Errorf("%s boot: %.3f is named", name, got)
		}
		for i := range stages { // each of them matters
			without := slices.Delete(boot(stages...), len(stages)-1-i, len(stages)-i)
			if got := timeline.Named(timeline.Within(timeline.Of(without), at(0), at(last))); got >= 1 {
				t.Errorf("%s boot without %s: %.3f is named", name, stages[i], got)
			}
		}
	}
}

// TestToldStages: what a machine tells of itself neither ends a stretch nor begins one.
func TestToldStages(t *testing.T) {
	plain := timeline.Of(boot(metal.StageConfig, metal.StageInstalled))
	told := timeline.Of(append(boot(metal.StageConfig, metal.StageInstalled), boot(metal.ToldStages()...)...))
	if len(metal.ToldStages()) == 0 || len(plain) != 1 || !slices.Equal(plain, told) {
		t.Errorf("%+v, want %+v", told, plain)
	}
}

// TestWithin: what no stage covers has no name, and what lies outside of the window does not count.
func TestWithin(t *testing.T) {
	all := timeline.Of(boot(metal.StageSwitchingOn, metal.StagePoweredOn, metal.StageDHCP))
	got := timeline.Within(all, at(0.5), at(4))
	if len(got) != 3 || got[0].Length() != time.Second/2 || got[1].Length() != time.Second || got[1].Name == "" || got[2].Name != "" || got[2].Length() != 2*time.Second {
		t.Errorf("the stretches are %+v", got)
	}
	if named := timeline.Named(got); named < 0.428 || named > 0.429 {
		t.Errorf("%.3f of it is named, want 1.5 s of 3.5 s", named)
	}
	if early := timeline.Within(all, at(-1), at(1)); len(early) != 2 || early[0].Name != "" || early[0].Length() != time.Second {
		t.Errorf("before the first stage: %+v", early)
	}
	if timeline.Named(nil) != 0 {
		t.Error("nothing is named")
	}
}
