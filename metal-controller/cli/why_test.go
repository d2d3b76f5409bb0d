package cli

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

func with(conditions ...metav1.Condition) func(*metal.Server) {
	return func(s *metal.Server) {
		for i := range conditions {
			conditions[i].LastTransitionTime = metav1.NewTime(noon)
		}
		s.Status.Conditions = conditions
	}
}

func TestWhyShowsTheDisksThatWait(t *testing.T) {
	diskServer(t, "why-disks", func(s *metal.Server) {
		s.Spec.Accepted = true
		with(metav1.Condition{Type: reasons.Clean, Status: metav1.ConditionFalse, Reason: reasons.DataNeedsConfirmation, Message: "These disks hold data."})(s)
	}, nvme, sata, shared)
	run(t, "why", "why-disks").want(t, CodeOK, "VERDICT", "its own; holds data that nobody confirmed", "blocks: shared with s2", "ingot accept why-disks --wipe-data")

	diskServer(t, "why-clean", func(s *metal.Server) {
		s.Spec.Accepted = true
		with(metav1.Condition{Type: reasons.Clean, Status: metav1.ConditionTrue, Reason: reasons.Wiped})(s)
	}, nvme)
	if r := run(t, "why", "why-clean"); strings.Contains(r.out, "VERDICT") || strings.Contains(r.out, "Next:  ") { // the control: nothing waits
		t.Errorf("%s", r.out)
	}
}

func TestWhyShowsTheWipe(t *testing.T) {
	at := metav1.NewTime(noon)
	wiping := func(s *metal.Server) {
		s.Spec.Accepted = true
		s.Spec.Record = &metal.ServerRecord{Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, GrantedAt: at, Generation: 2, BootID: "b"}}
		s.Status.Wipe = &metal.WipeStatus{ID: "w", Generation: 2, UpdatedAt: at, Disks: []metal.DiskProgress{{Serial: "NV1", Phase: "Discard", Percent: 40, ETASeconds: 90}, {Serial: "SA1", Phase: "Verify"}}}
	}
	diskServer(t, "why-wipe", wiping, nvme)
	run(t, "why", "why-wipe").want(t, CodeOK, "Wiping:       NV1 Discard 40%, about 90s left (told 0s ago)", "SA1 Verify")
	diskServer(t, "why-old-wipe", func(s *metal.Server) {
		wiping(s)
		s.Status.Wipe.Generation = 1 // of the boot before
	}, nvme)
	if r := run(t, "why", "why-old-wipe"); strings.Contains(r.out, "Wiping") {
		t.Errorf("an old progress is shown:\n%s", r.out)
	}
}

func TestWhyNamesTheNextSteps(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*metal.Server)
		want   string
	}{
		"why-next-1": {with(metav1.Condition{Type: reasons.Ready, Status: metav1.ConditionFalse, Reason: reasons.NotAccepted}), "ingot accept why-next-1 --dry-run"},
		"why-next-2": {with(metav1.Condition{Type: reasons.Clean, Status: metav1.ConditionFalse, Reason: reasons.DisksBlocked}), "--ignore-disk SERIAL"},
		"why-next-3": {with(metav1.Condition{Type: reasons.BootExpected, Status: metav1.ConditionFalse, Reason: reasons.BootNotHonored}), "ingot power cycle why-next-3"},
		"why-next-4": {func(s *metal.Server) { s.Annotations = map[string]string{pausedAnnotation: "true"} }, "ingot resume why-next-4"},
		"why-next-5": {func(s *metal.Server) { s.Spec.Cordoned = true }, "ingot uncordon why-next-5"},
		"why-next-6": {func(s *metal.Server) {
			s.Spec.Record = &metal.ServerRecord{Quarantine: &metal.QuarantineRecord{Reason: reasons.WipeFailed, At: metav1.NewTime(noon)}}
		}, "ingot lift why-next-6"},
	} {
		rackServer(t, name, c.change)
		run(t, "why", name).want(t, CodeOK, "Next:         ingot ", c.want)
	}
}
