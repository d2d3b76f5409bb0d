package sightings_test

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/sightings"
)

// told is what an agent tells of the wipe w1 at a time.
func told(after time.Duration, generation int64, disks ...metal.DiskProgress) metal.WipeStatus {
	return metal.WipeStatus{ID: "w1", Generation: generation, UpdatedAt: metav1.NewTime(epoch.Add(after)), Disks: disks}
}

func disk(serial, phase string, percent int32) metal.DiskProgress {
	return metal.DiskProgress{Serial: serial, Phase: phase, Percent: percent}
}

// TestProgressNews: only what is worth a write of status wakes anybody.
func TestProgressNews(t *testing.T) {
	s := sightings.New((&clock{epoch}).read)
	for i, c := range []struct {
		p    metal.WipeStatus
		news bool
	}{
		{told(0, 1, disk("a", "Discard", 0), disk("b", "Overwrite", 0)), true},
		{told(2*time.Second, 1, disk("a", "Discard", 4), disk("b", "Overwrite", 0)), false},
		{told(4*time.Second, 1, disk("a", "Discard", 4), disk("b", "Overwrite", 5)), true},
		{told(6*time.Second, 1, disk("a", "Discard", 4), disk("b", "Overwrite", 9)), false},
		{told(8*time.Second, 1, disk("a", "Verify", 4), disk("b", "Overwrite", 9)), true},
		{told(37*time.Second, 1, disk("a", "Verify", 4), disk("b", "Overwrite", 9)), false},
		{told(38*time.Second, 1, disk("a", "Verify", 4), disk("b", "Overwrite", 9)), true},
		{told(39*time.Second, 1, disk("a", "Verify", 3), disk("b", "Overwrite", 9)), true}, // it began anew
		{told(40*time.Second, 2, disk("a", "Verify", 3), disk("b", "Overwrite", 9)), true},
		{told(41*time.Second, 2, disk("a", "Verify", 3)), true},
		{told(42*time.Second, 2, disk("c", "Verify", 3)), true},
		{told(43*time.Second, 2, disk("c", "Verify", 3)), false},
	} {
		s.Progress("srv", c.p)
		if woken := len(s.Drain()) == 1; woken != c.news {
			t.Errorf("step %d: %+v woke: %v", i, c.p, woken)
		}
	}
}

// TestProgressOf: what is given out is the last news, and belongs to whoever asked.
func TestProgressOf(t *testing.T) {
	s := sightings.New((&clock{epoch}).read)
	if s.ProgressOf("srv") != nil {
		t.Error("something is known from the start")
	}
	disks := []metal.DiskProgress{disk("a", "Overwrite", 10)}
	s.Progress("srv", told(0, 1, disks...))
	disks[0].Percent = 99
	s.ProgressOf("srv").Disks[0].Percent = 99
	got := s.ProgressOf("srv")
	if got.Disks[0].Percent != 10 || !got.UpdatedAt.Time.Equal(epoch.Truncate(time.Second)) {
		t.Errorf("%+v", got)
	}
	var many []metal.DiskProgress
	for i := range 300 {
		many = append(many, disk(fmt.Sprint(i), "Verify", 0))
	}
	s.Progress("srv", told(0, 2, many...))
	if n := len(s.ProgressOf("srv").Disks); n != 256 {
		t.Errorf("%d disks", n)
	}
	s.Forget("srv")
	if s.ProgressOf("srv") != nil {
		t.Error("it is remembered of a server that is gone")
	}
}
