package cli

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// clusterDelete is `ingot cluster delete`.
type clusterDelete struct {
	env               *Env
	yes, wait, dryRun bool
	timeout           time.Duration
}

func newClusterDelete(env *Env) *cobra.Command {
	d := &clusterDelete{env: env}
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Give all servers of a cluster back: each is shut down, proven off, and its own disks are wiped",
		Long: `Give all servers of a cluster back: their claims are deleted, each is shut down, proven off, and its own disks are wiped. The cluster's data is gone
then. First it shows which servers those are, and asks for the name of the cluster (or --yes). The cluster's Secrets go with the last claim.`,
		Example: "  ingot cluster delete lab --wait\n  ingot cluster delete lab --dry-run",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: env.completeCluster,
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args[0]) },
	}
	f := cmd.Flags()
	f.BoolVarP(&d.yes, "yes", "y", false, "do not ask for the name; needed without a terminal")
	f.BoolVar(&d.dryRun, "dry-run", false, "show what would happen, and change nothing")
	f.BoolVar(&d.wait, "wait", false, "wait until no server belongs to the cluster any more")
	f.DurationVar(&d.timeout, "timeout", 0, "how long to wait; 0 has no limit")
	return cmd
}

func (d *clusterDelete) run(ctx context.Context, name string) error {
	api, err := d.env.Client()
	if err != nil {
		return err
	}
	namespace, err := d.env.namespace()
	if err != nil {
		return err
	}
	o, err := clusterObject(ctx, api, namespace, name)
	if err != nil && !apierrors.IsForbidden(err) { // who may not read it may have one that was made without it
		return err
	}
	if o != nil {
		return d.ofClusterAPI(ctx, api, o)
	}
	claims, err := members(ctx, api, namespace, name)
	if err != nil {
		return err
	}
	if len(claims) == 0 {
		return d.leftovers(ctx, api, namespace, name)
	}
	if goesOn, err := d.asked(name, claims); !goesOn {
		return err
	}
	slices.Reverse(claims) // workers first: they need their control planes to shut down gracefully
	if err := d.delete(ctx, api, claims); err != nil || !d.wait {
		return err
	}
	return d.follow(ctx, api, name, claims)
}

// asked shows what is given back, and asks.
func (d *clusterDelete) asked(name string, claims []metal.ServerClaim) (goesOn bool, err error) {
	d.show(name, claims)
	if d.dryRun {
		fmt.Fprintln(d.env.Streams.Out, "Nothing was changed (dry run).")
		return false, nil
	}
	if !d.yes {
		if err := d.env.typed(name, "Type the name of the cluster to release its servers: "); err != nil {
			return false, err
		}
	}
	return true, nil
}

// ofClusterAPI deletes the Cluster, the one that was shown. Cluster API then deletes the machines, workers first, and each gives its claim back.
func (d *clusterDelete) ofClusterAPI(ctx context.Context, api client.WithWatch, o *unstructured.Unstructured) error {
	name := o.GetName()
	claims, err := machinesOf(ctx, api, o.GetNamespace(), name)
	if err != nil {
		return err
	}
	if goesOn, err := d.asked(name, claims); !goesOn {
		return err
	}
	uid := o.GetUID()
	if err := api.Delete(ctx, o, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting the Cluster %s: %w", name, explain(err))
	}
	fmt.Fprintf(d.env.Streams.Out, "cluster/%s is deleted; Cluster API deletes its machines, workers first\n", name)
	if !d.wait {
		return nil
	}
	waiting, cancel := within(ctx, d.timeout)
	defer cancel()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(clusterKind.GroupVersion().WithKind("ClusterList"))
	err = watchOne(waiting, api, list, client.ObjectKeyFromObject(o), func(now client.Object) (bool, error) {
		return now == nil || now.GetUID() != uid, nil
	})
	if waiting.Err() != nil {
		return stoppedWaiting(ctx, d.timeout, "the end of cluster/"+name, "it is still there", "ingot cluster list -n "+o.GetNamespace())
	}
	if err == nil {
		fmt.Fprintf(d.env.Streams.Out, "cluster/%s is gone; its servers are wiped and then Available\n", name)
	}
	return err
}

// show lists what is given back.
func (d *clusterDelete) show(name string, claims []metal.ServerClaim) {
	fmt.Fprintf(d.env.Streams.Out, "cluster/%s is made of\n", name)
	w := tabwriter.NewWriter(d.env.Streams.Out, 0, 8, 3, ' ', 0)
	for i := range claims {
		server := "no server yet"
		if b := claims[i].Spec.Binding; b != nil {
			server = b.Server
		}
		fmt.Fprintf(w, "  claim/%s\t%s\n", claims[i].Name, server)
	}
	_ = w.Flush() // a reader that is gone is no reason to stop
}

// delete deletes claims, each only as the one that was shown.
func (d *clusterDelete) delete(ctx context.Context, api client.Client, claims []metal.ServerClaim) error {
	for i := range claims {
		c := &claims[i]
		if c.DeletionTimestamp != nil {
			continue
		}
		err := api.Delete(ctx, c, client.Preconditions{UID: &c.UID})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting %s: %w; the same command again goes on", claimName(c), explain(err))
		}
		fmt.Fprintf(d.env.Streams.Out, "claim/%s is deleted\n", c.Name)
	}
	return nil
}

// follow shows how far the releases are until the last claim is gone.
func (d *clusterDelete) follow(ctx context.Context, api client.WithWatch, name string, claims []metal.ServerClaim) error {
	waiting, cancel := within(ctx, d.timeout)
	defer cancel()
	for i := range claims {
		c := &claims[i]
		var told []string
		err := watchOne(waiting, api, &metal.ServerClaimList{}, client.ObjectKeyFromObject(c), func(o client.Object) (bool, error) {
			now, ok := o.(*metal.ServerClaim)
			if !ok || now.UID != c.UID {
				return true, nil
			}
			told = tell(d.env.Streams.ErrOut, "claim/"+now.Name, told, claimStages(now))
			return false, nil
		})
		if waiting.Err() != nil {
			return stoppedWaiting(ctx, d.timeout, "the end of cluster/"+name, "claim/"+c.Name+" is left", lookAt(c))
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(d.env.Streams.Out, "cluster/%s is gone; its servers are wiped and then Available\n", name)
	return nil
}

// leftovers deletes the Secrets of a cluster that never had a claim. All others go with their last claim.
func (d *clusterDelete) leftovers(ctx context.Context, api client.Client, namespace, name string) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name + secretsSuffix, Namespace: namespace}}
	err := api.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	switch {
	case apierrors.IsNotFound(err), err == nil && secret.Labels[metal.ClusterLabel] != name:
		return refused("there is no cluster %s in %s: `ingot cluster list -A` lists them", name, namespace)
	case err != nil:
		return fmt.Errorf("reading the Secret %s: %w", secret.Name, explain(err))
	case d.dryRun:
		fmt.Fprintf(d.env.Streams.Out, "secret/%s is all that is left of cluster/%s. Nothing was changed (dry run).\n", secret.Name, name)
		return nil
	}
	if err := api.Delete(ctx, secret, client.Preconditions{UID: &secret.UID}); err != nil {
		return fmt.Errorf("deleting the Secret %s: %w", secret.Name, explain(err))
	}
	fmt.Fprintf(d.env.Streams.Out, "secret/%s is deleted, all that was left of cluster/%s\n", secret.Name, name)
	return nil
}
