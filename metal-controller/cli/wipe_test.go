package cli

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// clean is an accepted server that needs nothing.
func clean(s *metal.Server) {
	at := metav1.NewTime(noon.Add(-time.Hour))
	s.Spec.Accepted = true
	s.Spec.Record = &metal.ServerRecord{Acceptance: &metal.AcceptanceRecord{At: at, Level: metal.WipeClear, Disks: []metal.DiskID{nvme.DiskID}}}
	ready(metav1.ConditionTrue, reasons.Available, "Clean and off.")(s)
	s.Status.Conditions = append(s.Status.Conditions, metav1.Condition{Type: reasons.Clean, Status: metav1.ConditionTrue, Reason: reasons.Wiped, LastTransitionTime: at})
}

func TestWipeAgain(t *testing.T) {
	diskServer(t, "wipe-1", clean, nvme)
	run(t, "accept", "wipe-1", "--level", "purge").want(t, CodeOK, "needs nothing") // the control: accept sees no need
	run(t, "wipe", "wipe-1", "--level", "purge", "--dry-run").want(t, CodeOK, "will be erased", "dry run")
	if fetch(t, "wipe-1").Spec.AcceptRequest != nil {
		t.Fatal("a dry run asked")
	}
	run(t, "wipe", "server/wipe-1", "--level", "purge").want(t, CodeOK, "server/wipe-1 will be wiped again", "ingot why wipe-1")
	if q := fetch(t, "wipe-1").Spec.AcceptRequest; q == nil || q.Level != metal.WipePurge || len(q.WipeData) != 0 || !q.RequestedAt.Time.Equal(noon) {
		t.Errorf("request %+v", q)
	}
	diskServer(t, "wipe-2", clean, nvme, sata)
	run(t, "wipe", "wipe-2", "--yes").want(t, CodeRefused, "SA1", "ingot wipe wipe-2 --wipe-data")
	run(t, "wipe", "wipe-2", "--wipe-data").want(t, CodeRefused, "no terminal")
	asked(t, "Type the name", "wipe-2\n", nil, "wipe", "wipe-2", "--wipe-data").want(t, CodeOK, "will be wiped again, with the data on 1 disk")
	if q := fetch(t, "wipe-2").Spec.AcceptRequest; q == nil || len(q.WipeData) != 1 || q.WipeData[0] != sata.DiskID {
		t.Errorf("request %+v", q)
	}
}

func TestWipeRefuses(t *testing.T) {
	diskServer(t, "wipe-3", nil, nvme)
	run(t, "wipe", "wipe-3").want(t, CodeRefused, "nobody accepted wipe-3", "ingot accept wipe-3")
	boundServer(t, "wipe-4", nil)
	run(t, "wipe", "wipe-4", "--wipe-data", "--yes").want(t, CodeRefused, "claimed by team/wipe-4", "ingot release wipe-4 -n team")
	run(t, "wipe", "wipe-3", "--level", "deep").want(t, CodeUsage, "quick, clear or purge")
	run(t, "wipe", "wipe-3", "--ignore-disk", "usb").want(t, CodeUsage, "--ignore-disk")
	for _, name := range []string{"wipe-3", "wipe-4"} {
		if fetch(t, name).Spec.AcceptRequest != nil {
			t.Errorf("%s was asked", name)
		}
	}
}

func TestWipeWaits(t *testing.T) {
	diskServer(t, "wipe-5", clean, nvme)
	wait := aside(t, func() {
		if s := awaitRequest(t, "wipe-5"); s != nil {
			change(t, "wipe-5", func(s *metal.Server) { s.Spec.Record.AcceptRequest = s.Spec.AcceptRequest.ID }, ready(metav1.ConditionFalse, reasons.WipeRunning, "The agent erases."))
			change(t, "wipe-5", nil, ready(metav1.ConditionTrue, reasons.Available, "Clean and off."))
		}
	})
	run(t, "wipe", "wipe-5", "--wait", "--timeout", "1m").want(t, CodeOK, "server/wipe-5 is Available")
	wait()
}
