package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/taloscluster"
)

func newClusterList(env *Env) *cobra.Command {
	var everywhere bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List clusters, and how many of their machines run",
		Example: "  ingot cluster list\n  ingot cluster list -A",
		Args:    usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error { return env.listClusters(cmd.Context(), everywhere) },
	}
	cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "those of all namespaces")
	return cmd
}

// summary is a row of the list: what the claims of a cluster say.
type summary struct {
	namespace, name string
	runs, all       map[string]int // by role
	waits           string
	since           metav1.Time
}

func (e *Env) listClusters(ctx context.Context, everywhere bool) error {
	api, err := e.Client()
	if err != nil {
		return err
	}
	rows, err := e.summaries(ctx, api, everywhere)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		fmt.Fprintln(e.Streams.ErrOut, "No clusters found; `ingot cluster create --help` says how to make one.")
		return nil
	}
	w := tabwriter.NewWriter(e.Streams.Out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "NAMESPACE\tNAME\tCONTROL PLANES\tWORKERS\tWAITS FOR\tAGE")
	for _, r := range rows {
		cp, worker := string(taloscluster.ControlPlane), string(taloscluster.Worker)
		fmt.Fprintf(w, "%s\t%s\t%d/%d\t%d/%d\t%s\t%s\n", r.namespace, r.name, r.runs[cp], r.all[cp], r.runs[worker], r.all[worker], plain(cmp.Or(r.waits, "-")), age(r.since, e.Now()))
	}
	return w.Flush()
}

// summaries reads the claims of clusters.
func (e *Env) summaries(ctx context.Context, api client.Client, everywhere bool) ([]*summary, error) {
	var opts []client.ListOption
	if !everywhere {
		namespace, err := e.namespace()
		if err != nil {
			return nil, err
		}
		opts = append(opts, client.InNamespace(namespace))
	}
	list := &metal.ServerClaimList{}
	if err := api.List(ctx, list, opts...); err != nil {
		return nil, fmt.Errorf("reading claims: %w", explain(err))
	}
	return summarize(list.Items), nil
}

// summarize groups claims by their cluster, in order of namespace and name.
func summarize(claims []metal.ServerClaim) []*summary {
	known := map[client.ObjectKey]*summary{}
	var rows []*summary
	for i := range claims {
		c := &claims[i]
		key := client.ObjectKey{Namespace: c.Namespace, Name: c.Cluster()}
		if key.Name == "" {
			continue
		}
		r := known[key]
		if r == nil {
			r = &summary{namespace: key.Namespace, name: key.Name, runs: map[string]int{}, all: map[string]int{}, since: c.CreationTimestamp}
			known[key] = r
			rows = append(rows, r)
		}
		r.add(c)
	}
	slices.SortFunc(rows, func(a, b *summary) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return rows
}

// add counts a claim. What the first one by name waits for stands for all.
func (r *summary) add(c *metal.ServerClaim) {
	role := c.Labels[metal.ClusterRoleLabel]
	r.all[role]++
	if c.CreationTimestamp.Before(&r.since) {
		r.since = c.CreationTimestamp
	}
	switch ready := claimCondition(c, reasons.Ready); {
	case c.DeletionTimestamp != nil:
		r.waits = cmp.Or(r.waits, c.Name+": "+reasons.Releasing)
	case ready == nil:
		r.waits = cmp.Or(r.waits, c.Name+": the controller")
	case ready.Status == metav1.ConditionTrue:
		r.runs[role]++
	default:
		r.waits = cmp.Or(r.waits, c.Name+": "+ready.Reason)
	}
}
