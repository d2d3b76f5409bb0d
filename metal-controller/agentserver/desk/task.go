package desk

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/disks"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// Task says what a caller shall do now. Everything but the wait of a server that nobody accepted and that expects no boot is judged by uncached
// reads; so a stale cache can delay a machine, and never make it do anything. Refusals: ErrGone, ErrForeign; a caller that is not believed gets
// lifecycle.TaskDenied.
func (d *Desk) Task(ctx context.Context, c lifecycle.Caller, server string) (lifecycle.Task, error) {
	var s metal.Server
	if err := d.Client.Get(ctx, types.NamespacedName{Name: server}, &s); err == nil && idle(s.Spec.Record) && !handmade(&s) {
		task, err := d.handOut(ctx, d.Client, &s, c)
		if err != nil || task.Kind == lifecycle.TaskWait {
			return task, err
		}
	} else if err != nil && !apierrors.IsNotFound(err) {
		return lifecycle.Task{}, fmt.Errorf("reading Server %s: %w", server, err)
	}
	fresh, err := d.records().Read(ctx, server)
	if err != nil {
		return lifecycle.Task{}, err
	}
	d.hear(ctx, fresh, c)
	return d.handOut(ctx, d.Live, fresh, c)
}

// hear notes that the agent that waits is there. It is no reason to give it no task: what is not written now is at its next look.
func (d *Desk) hear(ctx context.Context, s *metal.Server, c lifecycle.Caller) {
	if lifecycle.HearAgent(s, c, d.Now()) == nil {
		return
	}
	_ = d.records().Update(ctx, s.Name, func(s *metal.Server) (*metal.ServerRecord, error) {
		return lifecycle.HearAgent(s, c, d.Now()), nil
	})
}

// Acknowledge takes an agent's word that it restarts its machine from the network for the boot that it was told, which opens the boot's window. The same
// word again changes nothing. Refusals: ErrGone, ErrForeign, and ErrUnknownTask for anybody else and any other boot.
func (d *Desk) Acknowledge(ctx context.Context, c lifecycle.Caller, server, bootID string) error {
	return d.records().Update(ctx, server, func(s *metal.Server) (*metal.ServerRecord, error) {
		record, verdict := lifecycle.AcknowledgeRestart(s, c, bootID, d.Now())
		if verdict == lifecycle.VerdictRefused {
			return nil, ErrUnknownTask
		}
		return record, nil
	})
}

// idle says that the record permits nothing and expects nothing.
func idle(r *metal.ServerRecord) bool {
	return r == nil || r.Acceptance == nil && (r.Boot == nil || r.Boot.Phase == metal.BootVoid)
}

// handOut gathers what lifecycle needs to know, the inventory from the given reader.
func (d *Desk) handOut(ctx context.Context, from client.Reader, s *metal.Server, c lifecycle.Caller) (lifecycle.Task, error) {
	o := lifecycle.Observation{Now: d.Now(), Installation: d.Installation, Server: s, ConflictsWith: d.conflicts(ctx, s.Name), DryRun: d.DryRun}
	var inventory metal.ServerInventory
	if err := from.Get(ctx, types.NamespacedName{Name: s.Name}, &inventory); err == nil {
		o.Inventory = &inventory.Spec
	} else if !apierrors.IsNotFound(err) {
		return lifecycle.Task{}, fmt.Errorf("reading ServerInventory %s: %w", s.Name, err)
	}
	var err error
	if o.Elsewhere, err = d.elsewhere(ctx, s.Name, o.Inventory); err != nil {
		return lifecycle.Task{}, err
	}
	return lifecycle.HandOut(o, c), nil
}

// elsewhere asks the cache which of the disks other Servers show too, by the names that the inventory gives them.
func (d *Desk) elsewhere(ctx context.Context, server string, own *metal.ServerInventorySpec) (map[string]string, error) {
	if own == nil {
		return nil, nil
	}
	var wwids []string
	for _, disk := range own.Disks {
		if disk.WWID != "" {
			wwids = append(wwids, disk.WWID)
		}
	}
	finder := d.Disks
	if finder.Reader == nil {
		finder = disks.Finder{Reader: d.Client}
	}
	return finder.Elsewhere(ctx, server, wwids)
}

// conflicts names the other Servers that evidence was seen to point to, as far as they still exist: deleting the wrong one ends the conflict.
func (d *Desk) conflicts(ctx context.Context, server string) []string {
	return slices.DeleteFunc(d.Sightings.Conflicts(server), func(other string) bool {
		var s metal.Server
		return apierrors.IsNotFound(d.Client.Get(ctx, types.NamespacedName{Name: other}, &s))
	})
}
