package proof

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/talos"
)

// leaving is the deleted claim of a server that lifecycle wants out of its cluster's etcd; nil when it wants nothing, or the claim does not say so here yet.
func (r *Reconciler) leaving(ctx context.Context, server *metal.Server) (*metal.ServerClaim, error) {
	record := server.Spec.Record.Claim
	if !lifecycle.LeavesEtcd(server, record.BindingID) {
		return nil, nil
	}
	var c metal.ServerClaim
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: record.Namespace, Name: record.Name}, &c)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading ServerClaim %s/%s: %w", record.Namespace, record.Name, err)
	}
	_, moved := c.Annotations[metal.MoveAnnotation]
	if err != nil || moved || c.DeletionTimestamp.IsZero() || c.Spec.Binding == nil || c.Spec.Binding.BindingID != record.BindingID {
		return nil, nil
	}
	return &c, nil
}

// farewell lets the cluster of a deleted claim take its server out of etcd, through a control plane that stays, so that it is the same for a machine that is
// dead. It returns why it cannot; empty once nothing holds the server. An error is trouble with the API server.
func (r *Reconciler) farewell(ctx context.Context, server *metal.Server, claim *metal.ServerClaim) (kept string, err error) {
	cluster := server.Spec.Record.Claim.Cluster
	stay, err := r.staying(ctx, claim, cluster)
	if err != nil {
		return "", err
	}
	switch { // the whole cluster goes, or a machine that never was in etcd
	case len(stay) == 0, claim.Labels[metal.ClusterRoleLabel] == metal.RoleWorker:
		return "", r.left(ctx, server, "")
	}
	kept = "No other control plane of the cluster " + cluster + " is left to take this one out of etcd, and its data would be gone."
	for i := range stay {
		done, why, err := r.through(ctx, &stay[i], server, claim)
		if err != nil || done {
			return why, err
		}
		if why != "" {
			kept = why
		}
	}
	return kept, nil
}

// staying are the other claims of a cluster that nobody deleted.
func (r *Reconciler) staying(ctx context.Context, claim *metal.ServerClaim, cluster string) ([]metal.ServerClaim, error) {
	var list metal.ServerClaimList
	if err := r.Client.List(ctx, &list, client.InNamespace(claim.Namespace)); err != nil {
		return nil, fmt.Errorf("listing ServerClaims of %s: %w", claim.Namespace, err)
	}
	var stay []metal.ServerClaim
	for i := range list.Items {
		if c := &list.Items[i]; c.Cluster() == cluster && c.Name != claim.Name && c.DeletionTimestamp.IsZero() {
			stay = append(stay, *c)
		}
	}
	return stay, nil
}

// through asks a machine that stays to take another one out of etcd. It is done when etcd answered; why says what keeps the member, or what keeps the machine from helping.
func (r *Reconciler) through(ctx context.Context, by *metal.ServerClaim, server *metal.Server, claim *metal.ServerClaim) (done bool, why string, err error) {
	helper, s, err := r.helper(ctx, by)
	if helper == nil || err != nil {
		return false, "", err
	}
	own, err := r.Credentials.Orders(ctx, helper)
	if err != nil {
		_, why, err = unready(err)
		return false, why, err
	}
	want, err := r.machine(ctx, helper)
	if err != nil {
		return false, "", err
	}
	members, err := r.Asker.Members(ctx, s.address, own, want)
	switch {
	case errors.Is(err, talos.ErrNever): // a worker
		return false, "", nil
	case err != nil:
		return false, "The control plane " + helper.Name + " of the cluster cannot be asked to take this one out of etcd: " + err.Error() + ".", nil
	}
	m, found, sure := talos.Find(members, []string{server.Name, claim.Name}, addressOf(server))
	switch {
	case !found:
		return true, "", r.left(ctx, server, "")
	case !sure:
		return true, "Its name and its address are those of two different members of etcd, so it is not known which one it is: `talosctl etcd members`, and `etcd remove-member`.", nil
	}
	if err := r.Asker.Remove(ctx, s.address, own, want, m.ID); err != nil {
		return errors.Is(err, talos.ErrMemberKept), "The control plane " + helper.Name + " was told to take this one out of etcd, and does not: " + err.Error() + ".", nil
	}
	return true, "", r.left(ctx, server, helper.Name)
}

// helper is the Server of a claim, and where its Talos is; nil when it has none that is installed.
func (r *Reconciler) helper(ctx context.Context, by *metal.ServerClaim) (*metal.Server, subject, error) {
	if by.Spec.Binding == nil || by.Labels[metal.ClusterRoleLabel] == metal.RoleWorker {
		return nil, subject{}, nil
	}
	var s metal.Server
	if err := r.Client.Get(ctx, types.NamespacedName{Name: by.Spec.Binding.Server}, &s); apierrors.IsNotFound(err) {
		return nil, subject{}, nil
	} else if err != nil {
		return nil, subject{}, fmt.Errorf("reading Server %s: %w", by.Spec.Binding.Server, err)
	}
	who, ok := subjectOf(s.Spec.Record, r.Now())
	if !ok || who.binding != by.Spec.Binding.BindingID || s.Spec.Record.Installed == nil {
		return nil, subject{}, nil
	}
	return &s, who, nil
}

// addressOf is what fetched the config of a server's installation; invalid when that is not known.
func addressOf(s *metal.Server) netip.Addr {
	i := s.Spec.Record.Installed
	if i == nil || i.Config == nil {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(i.Config.Source)
	return a
}

// left records that nothing holds the server any more; through names who took it out of etcd.
func (r *Reconciler) left(ctx context.Context, server *metal.Server, through string) error {
	binding := server.Spec.Record.Claim.BindingID
	wrote := false
	err := r.store().Update(ctx, server.Name, func(live *metal.Server) (*metal.ServerRecord, error) {
		record := lifecycle.EtcdLeft(live, binding, r.Now())
		wrote = record != nil
		return record, nil
	})
	if over(err) {
		return nil
	}
	if err == nil && wrote && through != "" {
		r.Log.Info("audit", "reason", reasons.EtcdLeft, "server", server.Name, "binding", binding, "through", through)
		r.Events.Event(server.Name, false, reasons.EtcdLeft, "It is no member of its cluster's etcd any more: "+through+" took it out.")
	}
	return err
}
