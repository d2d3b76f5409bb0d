package proof

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/records"
	"ingot.dev/ingot/metal-controller/talos"
)

// etcd lets a Talos that booted from its disk begin the etcd of its cluster, if its claim asks for that. It returns what a person should know; an error is
// trouble with the API server.
func (r *Reconciler) etcd(ctx context.Context, server *metal.Server, s subject, want talos.Machine) (reason, message string, err error) {
	asked, err := r.asksForEtcd(ctx, server, s)
	if err != nil || !asked {
		return "", "", err
	}
	step, boot, err := r.decideEtcd(ctx, server.Name, s)
	if err != nil {
		return "", "", err
	}
	switch step {
	case lifecycle.EtcdOrder:
		return r.orderEtcd(ctx, server, s, boot, want)
	case lifecycle.EtcdLost:
		return reasons.EtcdLost, "The Talos that began etcd for the claim's cluster is gone, and this one was installed after it. A second start would make a second cluster: join it to the control planes that are left (`talosctl`), or delete the cluster and create it again.", nil
	case lifecycle.EtcdDone:
		return reasons.ProofRefused, "Etcd began, and Talos is not done with its boot, for want of an image or of memory perhaps: `ingot logs " + server.Name + "` shows what it says.", nil
	case lifecycle.EtcdNotNow:
	}
	return "", "", nil
}

// asksForEtcd says whether the claim asks for it. That is immutable once it is bound, so the cache is good enough.
func (r *Reconciler) asksForEtcd(ctx context.Context, server *metal.Server, s subject) (bool, error) {
	record := server.Spec.Record.Claim
	key := types.NamespacedName{Namespace: record.Namespace, Name: record.Name}
	var c metal.ServerClaim
	if err := r.Client.Get(ctx, key, &c); apierrors.IsNotFound(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("reading ServerClaim %s: %w", key, err)
	}
	return c.Spec.BootstrapEtcd && c.DeletionTimestamp.IsZero() && c.Spec.Binding != nil && c.Spec.Binding.BindingID == s.binding, nil
}

// decideEtcd records the decision, and names the installation that it is about.
func (r *Reconciler) decideEtcd(ctx context.Context, server string, s subject) (step lifecycle.EtcdStep, boot string, err error) {
	step = lifecycle.EtcdNotNow
	err = r.store().Update(ctx, server, func(live *metal.Server) (record *metal.ServerRecord, err error) {
		now, ok := subjectOf(live.Spec.Record, r.Now())
		if i := live.Spec.Record.Installed; !ok || now.binding != s.binding || now.address != s.address || i == nil || i.BootID != now.boot {
			return nil, errOver // what was asked is not what is installed by the record
		}
		if record, step = lifecycle.BootstrapEtcd(live, s.binding, r.Now()); step == lifecycle.EtcdOrder {
			boot = live.Spec.Record.Installed.BootID
		}
		return record, nil
	})
	if over(err) {
		return lifecycle.EtcdNotNow, "", nil
	}
	return step, boot, err
}

// orderEtcd gives the order, and notes that it was taken.
func (r *Reconciler) orderEtcd(ctx context.Context, server *metal.Server, s subject, boot string, want talos.Machine) (reason, message string, err error) {
	own, err := r.Credentials.Orders(ctx, server)
	if err != nil {
		return unready(err)
	}
	if err := r.Asker.Bootstrap(ctx, s.address, own, want); err != nil {
		return reasons.EtcdBootstrapRefused, "Talos was told to begin the etcd of its cluster, and does not: " + err.Error(), nil //nolint:nilerr // no trouble of ours
	}
	r.Log.Info("audit", "reason", reasons.EtcdBootstrapped, "server", server.Name, "binding", s.binding, "boot", boot, "source", s.address.String())
	r.Events.Event(server.Name, false, reasons.EtcdBootstrapped, "Talos begins the etcd of its cluster.")
	err = r.store().Update(ctx, server.Name, func(live *metal.Server) (*metal.ServerRecord, error) {
		return lifecycle.EtcdBegun(live, s.binding, boot, r.Now()), nil
	})
	if over(err) {
		err = nil
	}
	return "", "", err
}

// over says that the Server, or the binding, is not what it was.
func over(err error) bool {
	return errors.Is(err, errOver) || errors.Is(err, records.ErrGone) || errors.Is(err, records.ErrForeign)
}

func (r *Reconciler) store() records.Store {
	return records.Store{Client: r.Client, Live: r.Live, Installation: r.Installation}
}
