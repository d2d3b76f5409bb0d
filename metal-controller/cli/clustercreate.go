package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/taloscheck"
	"ingot.dev/ingot/metal-controller/taloscluster"
)

// Limits of one cluster.
const (
	maxControlPlanes = 7
	maxWorkers       = 1000
	// maxClusterName leaves room for what names of claims and Secrets add.
	maxClusterName = 40
)

// clusterCreate is `ingot cluster create`.
type clusterCreate struct {
	env                    *Env
	name                   string
	class, workerClass     string
	controlPlanes, workers int
	endpoint, environment  string
	talos, kubernetes      string
	patches                map[taloscluster.Role]*[]string
	common                 []string
	wait, dryRun           bool
	standAlone             bool
	output                 string
	timeout                time.Duration
	began                  time.Time
}

func newClusterCreate(env *Env) *cobra.Command {
	c := &clusterCreate{env: env, patches: map[taloscluster.Role]*[]string{taloscluster.ControlPlane: {}, taloscluster.Worker: {}}}
	cmd := &cobra.Command{
		Use:   "create NAME --class CLASS",
		Short: "Take servers, and make a Kubernetes cluster of Talos out of them",
		Long: `Take servers, and make a Kubernetes cluster of Talos out of them.

Where Cluster API and its providers for Talos are, as in ` + "`ingot up`" + `, and --endpoint is named, it makes the objects of Cluster API: a Cluster, a
TalosControlPlane and a MachineDeployment NAME-workers with what they refer to; --dry-run -o yaml prints them. Cluster API then makes and replaces
the machines.

Elsewhere, or with --stand-alone, it makes the Secrets NAME-talos (the cluster's authorities and tokens: whoever reads it owns the cluster) and NAME-talosconfig, and a claim with its
machine config for each machine: NAME-cp-1 and so on, NAME-worker-1 and so on. The first control plane begins etcd, once: when its server is lost
later, nothing is ever begun a second time.

The endpoint is the address of the Kubernetes API. A cluster of several control planes needs one that leads to all of them: a name in the DNS, a load
balancer, or an address that they share (a patch). A cluster of one takes its server's address, which its DHCP server should keep.

The same command again goes on where it was interrupted, and adds what is missing: more --workers, more --control-planes.`,
		Example: `  ingot cluster create lab --class small --wait
  ingot cluster create prod --class small --control-planes 3 --workers 5 --worker-class large --endpoint https://k8s.example.org:6443
  ingot cluster create lab --class small --workers 2 --patch mirrors.yaml --patch-worker labels.yaml
  ingot cluster create prod --class small --endpoint https://k8s.example.org:6443 --dry-run -o yaml > prod.yaml
  ingot cluster kubeconfig lab > lab.kubeconfig && kubectl --kubeconfig lab.kubeconfig get nodes`,
		Args: usage(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.name = args[0]
			return c.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.class, "class", "", "take servers of this `ServerClass`")
	f.StringVar(&c.workerClass, "worker-class", "", "take workers of this `ServerClass` instead")
	f.IntVar(&c.controlPlanes, "control-planes", 1, "how `many` control planes: 1, 3, 5 or 7")
	f.IntVar(&c.workers, "workers", 0, "how `many` workers; with none, workloads run on the control planes")
	f.StringVar(&c.endpoint, "endpoint", "", "the `URL` of its Kubernetes API, such as https://k8s.example.org:6443")
	f.StringVar(&c.environment, "environment", "", "boot this `Environment`; the class must allow it")
	f.StringVar(&c.talos, "talos-version", "", "the `version` of Talos that the machine configs are for (default: the Environment's, or "+taloscheck.Version+")")
	f.StringVar(&c.kubernetes, "kubernetes-version", taloscluster.KubernetesVersion, "the `version` of Kubernetes")
	f.StringArrayVar(&c.common, "patch", nil, "patch all machine configs with this YAML `file` (repeatable, in order)")
	f.StringArrayVar(c.patches[taloscluster.ControlPlane], "patch-control-plane", nil, "patch those of control planes with this YAML `file` (repeatable)")
	f.StringArrayVar(c.patches[taloscluster.Worker], "patch-worker", nil, "patch those of workers with this YAML `file` (repeatable)")
	f.BoolVar(&c.wait, "wait", false, "wait until all machines run, and show how far they are")
	f.DurationVar(&c.timeout, "timeout", 0, "how long to wait; 0 has no limit")
	f.BoolVar(&c.dryRun, "dry-run", false, "check everything and say what would be made, and make nothing")
	f.StringVarP(&c.output, "output", "o", "", "with --dry-run: yaml prints the objects of Cluster API")
	f.BoolVar(&c.standAlone, "stand-alone", false, "make it of claims alone, also where Cluster API is")
	for _, flag := range []string{"class", "worker-class", "environment"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			var list client.ObjectList = &metal.ServerClassList{}
			if flag == "environment" {
				list = &metal.EnvironmentList{}
			}
			return env.completeNames(cmd.Context(), list, prefix, "")
		})
	}
	return cmd
}

// check is what can be said of the command line alone.
func (c *clusterCreate) check() error {
	switch faults := validation.IsDNS1123Label(c.name); {
	case len(faults) > 0:
		return misused("%q cannot be the name of a cluster: %s", c.name, faults[0])
	case len(c.name) > maxClusterName:
		return misused("the name of a cluster has at most %d characters", maxClusterName)
	case c.class == "":
		return misused("--class says what kind of servers to take; `ingot get classes` lists them")
	case c.controlPlanes < 1 || c.controlPlanes > maxControlPlanes || c.controlPlanes%2 == 0:
		return misused("--control-planes is 1, 3, 5 or 7: etcd needs a majority, and one more than an odd number of members adds none")
	case c.workers < 0 || c.workers > maxWorkers:
		return misused("--workers is a number from 0 to %d", maxWorkers)
	case c.output != "" && (c.output != "yaml" || !c.dryRun):
		return misused("the one thing that can be printed is --dry-run -o yaml")
	case c.controlPlanes > 1 && c.endpoint == "":
		return misused("several control planes need an address that leads to all of them; name it with --endpoint https://HOST:6443")
	}
	// What is not known yet is checked with what stands in for it.
	spec := taloscluster.Cluster{Name: c.name, Endpoint: cmp.Or(c.endpoint, "https://192.0.2.1:6443"), TalosVersion: cmp.Or(c.talos, taloscheck.Version), KubernetesVersion: c.kubernetes}
	if err := spec.Check(); err != nil {
		return misused("%w", err)
	}
	return nil
}

func (c *clusterCreate) run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	c.began = c.env.Now()
	namespace, err := c.env.namespace()
	if err != nil {
		return err
	}
	wanted, err := c.wanted(namespace)
	if err != nil {
		return err
	}
	api, err := c.env.Client()
	if err != nil {
		return err
	}
	if err := c.allowed(ctx, api, wanted); err != nil {
		return err
	}
	seen, err := c.look(ctx, api, namespace)
	if err != nil {
		return err
	}
	byClusterAPI, note, err := way(c.name, seen)
	switch {
	case err != nil:
		return err
	case byClusterAPI:
		return c.byClusterAPI(ctx, api, namespace, wanted)
	case c.output != "":
		return refused("only the objects of Cluster API can be printed: those of a stand-alone cluster are secrets. Cluster API makes it where it and the Talos providers are served, with --endpoint and without --stand-alone")
	case note != "":
		fmt.Fprintf(c.env.Streams.ErrOut, "cluster/%s: %s\n", c.name, note)
	}
	return c.standsAlone(ctx, api, namespace, wanted)
}

// standsAlone makes the cluster of claims, without Cluster API.
func (c *clusterCreate) standsAlone(ctx context.Context, api client.WithWatch, namespace string, wanted []metal.ServerClaim) error {
	if c.dryRun {
		fmt.Fprintf(c.env.Streams.Out, "cluster/%s in %s would take %s of class %s%s. Nothing was changed (dry run).\n", c.name, namespace, count(c.controlPlanes, "control plane"), c.class, c.alsoWorkers())
		return nil
	}
	made, err := c.secrets(ctx, api, namespace)
	if err != nil {
		return err
	}
	claims, err := c.claims(ctx, api, made, wanted)
	if err != nil {
		return err
	}
	return c.finish(ctx, api, claims)
}

// alsoWorkers names the workers of a message.
func (c *clusterCreate) alsoWorkers() string {
	if c.workers == 0 {
		return ""
	}
	return fmt.Sprintf(" and %s of class %s", count(c.workers, "worker"), cmp.Or(c.workerClass, c.class))
}

// count is a number with its word.
func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// finish waits, if it is asked to, and says what to do next.
func (c *clusterCreate) finish(ctx context.Context, api client.WithWatch, claims []metal.ServerClaim) error {
	out := c.env.Streams.Out
	if !c.wait {
		fmt.Fprintf(out, "See how far it is: ingot cluster list -n %s\n", claims[0].Namespace)
		return nil
	}
	for i := range claims {
		left, err := c.left("cluster/" + c.name)
		if err != nil {
			return err
		}
		follower := &claim{env: c.env, timeout: left}
		if err := follower.follow(ctx, api, &claims[i]); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "cluster/%s runs: %s%s\n  ingot cluster kubeconfig %s -n %s > %s.kubeconfig && kubectl --kubeconfig %s.kubeconfig get nodes\n",
		c.name, count(c.controlPlanes, "control plane"), c.alsoWorkers(), c.name, claims[0].Namespace, c.name, c.name)
	return nil
}

// left is what is left of the time to wait; 0 has no limit.
func (c *clusterCreate) left(what string) (time.Duration, error) {
	if c.timeout <= 0 {
		return 0, nil
	}
	if left := c.timeout - c.env.Now().Sub(c.began); left > 0 {
		return left, nil
	}
	return 0, &ExitError{Code: CodeTimeout, Err: fmt.Errorf("%s did not come within %s; the same command again goes on with it", what, c.timeout)}
}
