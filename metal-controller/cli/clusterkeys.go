package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/taloscluster"
)

// Lives of an admin's certificate for Kubernetes. A new one can be made at any time; one that is out cannot be taken back.
const (
	defaultLife = 30 * 24 * time.Hour
	maxLife     = 10 * 365 * 24 * time.Hour
)

func newClusterKubeconfig(env *Env) *cobra.Command {
	life := defaultLife
	cmd := &cobra.Command{
		Use:   "kubeconfig NAME",
		Short: "Print a new kubeconfig of a cluster's admin",
		Long: `Print a new kubeconfig of a cluster's admin. It is signed with the authority in the cluster's Secret and needs no machine of it. Kubernetes cannot
take such a certificate back, so it lives 30 days unless --lifetime says otherwise.`,
		Example: "  ingot cluster kubeconfig lab > lab.kubeconfig && kubectl --kubeconfig lab.kubeconfig get nodes\n  ingot cluster kubeconfig lab --lifetime 8h",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: env.completeCluster,
		RunE: func(cmd *cobra.Command, args []string) error {
			if life <= 0 || life > maxLife {
				return misused("--lifetime is more than nothing, and ten years at most")
			}
			return env.clusterFile(cmd.Context(), args[0], func(_ client.Client, c *cluster) ([]byte, error) {
				return c.secrets.Kubeconfig(c.spec(), life, env.Now(), rand.Reader)
			})
		},
	}
	cmd.Flags().DurationVar(&life, "lifetime", life, "how long its certificate holds")
	return cmd
}

func newClusterTalosconfig(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "talosconfig NAME",
		Short:   "Print a new talosconfig of a cluster's admin, for talosctl",
		Example: "  ingot cluster talosconfig lab > talosconfig && talosctl --talosconfig talosconfig --nodes 192.0.2.11 dashboard",
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: env.completeCluster,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.clusterFile(cmd.Context(), args[0], func(api client.Client, c *cluster) ([]byte, error) {
				endpoints, err := c.endpoints(cmd.Context(), api)
				if err != nil {
					return nil, err
				}
				return c.secrets.Talosconfig(c.spec(), endpoints)
			})
		},
	}
}

// clusterFile prints a file of credentials.
func (e *Env) clusterFile(ctx context.Context, name string, build func(client.Client, *cluster) ([]byte, error)) error {
	api, err := e.Client()
	if err != nil {
		return err
	}
	c, err := e.cluster(ctx, api, name)
	if err != nil {
		return err
	}
	if c.plan.Endpoint == "" {
		return refused("cluster %s has no endpoint yet: the server of its first control plane is not known; see `ingot cluster list -n %s`", name, c.namespace)
	}
	data, err := build(api, c)
	if err != nil {
		return err
	}
	_, err = e.Streams.Out.Write(data)
	return err
}

// endpoints are where the Talos of control planes answers: their addresses, as far as they are known, and that of the Kubernetes API otherwise.
func (c *cluster) endpoints(ctx context.Context, api client.Client) ([]string, error) {
	all, err := machinesOf(ctx, api, c.namespace, c.name)
	if err != nil {
		return nil, err
	}
	var known []string
	for i := range all {
		if a, ok := address(all[i].Status.Addresses); ok && all[i].Labels[metal.ClusterRoleLabel] == string(taloscluster.ControlPlane) {
			known = append(known, a.String())
		}
	}
	if len(known) > 0 {
		return known, nil
	}
	u, err := url.Parse(c.plan.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("reading the endpoint of cluster %s: %w", c.name, err)
	}
	return []string{u.Hostname()}, nil
}
