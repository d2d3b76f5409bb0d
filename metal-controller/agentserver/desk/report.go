package desk

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// Report is how a task fares.
type Report struct {
	// ID and Generation of the task.
	ID         string
	Generation int64
	// Progress of its disks; empty tells nothing.
	Progress []metal.DiskProgress
	// Receipt is set once the task ended, well or not. Its generation and time are ours to fill in.
	Receipt *metal.WipeReceipt
}

// Report takes how a task fares: progress into memory, the receipt into the record, where lifecycle judges it. The first receipt of a generation
// counts, and the same one again is acknowledged and changes nothing. Refusals: ErrGone, ErrForeign, ErrNotBelieved, ErrUnknownTask.
func (d *Desk) Report(ctx context.Context, c lifecycle.Caller, server string, r Report) error {
	known := false
	err := d.records().Update(ctx, server, func(s *metal.Server) (*metal.ServerRecord, error) {
		if err := mayTell(s, c, r); err != nil {
			return nil, err
		}
		known = true
		return d.withReceipt(s.Spec.Record, r), nil
	})
	if known && err == nil {
		d.mark(server, c.BootID, r)
	}
	if known && len(r.Progress) > 0 {
		d.Sightings.Progress(server, metal.WipeStatus{ID: r.ID, Generation: r.Generation, UpdatedAt: d.at(), Disks: r.Progress})
	}
	return err
}

// mark adds the wipe to the timeline of its boot: the first word of it, and its end. What is said again changes nothing there.
func (d *Desk) mark(server, bootID string, r Report) {
	d.Sightings.Adopt(server, bootID, metal.StageWiping)
	if r.Receipt != nil {
		d.Sightings.Adopt(server, bootID, metal.StageReceipt)
	}
}

// mayTell refuses everybody but the claimant of the live boot that was given this very task.
func mayTell(s *metal.Server, c lifecycle.Caller, r Report) error {
	if !lifecycle.Believed(s, c) {
		return ErrNotBelieved
	}
	if lifecycle.TrustLevel(s, c) < 1 {
		return ErrUnknownTask // nothing is ever given to an unproven boot
	}
	w := s.Spec.Record.Wipe
	if w == nil || r.ID == "" || w.ID != r.ID || w.Generation != r.Generation || w.BootID != c.BootID {
		return ErrUnknownTask
	}
	return nil
}

// withReceipt is the record with the receipt; nil when there is nothing to write.
func (d *Desk) withReceipt(record *metal.ServerRecord, r Report) *metal.ServerRecord {
	if r.Receipt == nil || record.Wipe.Receipt != nil {
		return nil
	}
	out := record.DeepCopy()
	out.Wipe.Receipt = r.Receipt.DeepCopy()
	out.Wipe.Receipt.Generation, out.Wipe.Receipt.At = r.Generation, d.at()
	return out
}

// at is our clock as the API keeps it.
func (d *Desk) at() metav1.Time { return metav1.NewTime(d.Now().UTC().Truncate(time.Second)) }
