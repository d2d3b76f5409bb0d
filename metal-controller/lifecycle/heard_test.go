package lifecycle_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestHear: a word is written down when what the record says is not enough, and until the next writing the record speaks for the system: no moment at which it
// told is ever one of silence.
func TestHear(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	bound := metav1.NewTime(now.Add(-time.Hour))
	for name, c := range map[string]struct {
		every   int32
		age     time.Duration // of what is written; negative from a clock that ran ahead
		written bool
	}{
		"just now":               {10, 0, false},
		"within two minutes":     {10, 119 * time.Second, false},
		"two minutes ago":        {10, 2 * time.Minute, true},
		"long ago":               {10, time.Hour, true},
		"within two intervals":   {600, 19 * time.Minute, false},
		"after two intervals":    {600, 21 * time.Minute, true},
		"a little ahead":         {10, -time.Minute, false},
		"by a clock a day ahead": {10, -24 * time.Hour, true},
	} {
		at := metav1.NewTime(now.Add(-c.age))
		s := &metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{
			Claim:     &metal.ClaimRecord{BindingID: "b", BoundAt: &bound},
			Installed: &metal.InstalledRecord{BindingID: "b", EverySeconds: c.every, HeardAt: &at},
		}}}
		record := lifecycle.Hear(s, now)
		if (record != nil) != c.written || record != nil && !record.Installed.HeardAt.Time.Equal(now) || !s.Spec.Record.Installed.HeardAt.Equal(&at) {
			t.Errorf("%s: wrote %+v", name, record)
		}
	}
}

// TestHeardUntil: the record speaks for its system from when its word was seen to change until the next writing was due, whatever stamps it has.
func TestHeardUntil(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		every int32
		ago   time.Duration // since the word was seen
		until time.Duration // before now
	}{
		"just now":             {10, 0, 0},
		"within two minutes":   {10, 119 * time.Second, 0},
		"long ago":             {10, time.Hour, 58 * time.Minute},
		"within two intervals": {600, 19 * time.Minute, 0},
		"after two intervals":  {600, 21 * time.Minute, time.Minute},
	} {
		bound, stamp := metav1.NewTime(now.Add(-time.Hour)), metav1.NewTime(now.Add(9*time.Hour))
		r := &metal.ServerRecord{
			Claim:     &metal.ClaimRecord{BindingID: "b", BoundAt: &bound},
			Installed: &metal.InstalledRecord{BootID: "i", BindingID: "b", EverySeconds: c.every, HeardAt: &stamp},
		}
		if got, want := lifecycle.HeardUntil(r, now.Add(-c.ago), now), now.Add(-c.until); !got.Equal(want) {
			t.Errorf("%s: heard until %s, want %s", name, got, want)
		}
		word := lifecycle.Word(r)
		r.Installed.HeardAt = nil
		if got, want := lifecycle.HeardUntil(r, now.Add(-c.ago), now), now.Add(-c.ago); !got.Equal(want) || lifecycle.Word(r) == word {
			t.Errorf("%s: before any is written down: heard until %s, want %s; the word is %q", name, got, want, lifecycle.Word(r))
		}
		r.Claim.BindingID = "another"
		if got := lifecycle.HeardUntil(r, now, now); !got.IsZero() || lifecycle.Word(r) != "" {
			t.Errorf("%s: the system of another binding was heard until %s", name, got)
		}
	}
}

// TestUnverifyForgetsWhatWasHeard: what a backup says of a system's last word ends no doubt, whatever clock it is from.
func TestUnverifyForgetsWhatWasHeard(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	later := metav1.NewTime(now.Add(time.Hour))
	s := &metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{Installed: &metal.InstalledRecord{BootID: "b", HeardAt: &later}}}}
	lifecycle.Unverify(s, now)
	if i := s.Spec.Record.Installed; i == nil || i.BootID != "b" || i.HeardAt != nil {
		t.Errorf("%+v", i)
	}
}
