package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/taloscheck"
	"ingot.dev/ingot/metal-controller/taloscluster"
)

const (
	// secretsSuffix and talosconfigSuffix are what the names of a cluster's Secrets end with, after its own. They are those of Cluster API's providers for Talos.
	secretsSuffix     = "-talos"
	talosconfigSuffix = "-talosconfig"
	talosconfigKey    = "talosconfig"
	// bundleKey and planKey are the keys of the first: what taloscluster made, and what the cluster is to be.
	bundleKey = "bundle"
	planKey   = "cluster"
)

func newCluster(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Make Kubernetes clusters of Talos out of servers",
		Long: `Make Kubernetes clusters of Talos out of servers: by Cluster API where it is, as in ` + "`ingot up`" + `, and the cluster has an endpoint that outlives its
machines; otherwise of claims alone. One command takes servers of a class and makes a cluster of them; kubeconfig and talosconfig are handed over
for both kinds, and delete gives the servers of both back.`,
	}
	group(cmd)
	cmd.AddCommand(newClusterCreate(env), newClusterList(env), newClusterKubeconfig(env), newClusterTalosconfig(env), newClusterDelete(env))
	return cmd
}

// clusterPlan is what a cluster is to be, as its Secret keeps it.
type clusterPlan struct {
	// Endpoint is empty until the first control plane has a server, when nobody named one.
	Endpoint          string `json:"endpoint,omitempty"`
	TalosVersion      string `json:"talosVersion"`
	KubernetesVersion string `json:"kubernetesVersion"`
	// Founder is the UID of the claim that begins etcd. No other one ever may, so it stays when the claim is gone.
	Founder types.UID `json:"founder,omitempty"`
}

// cluster is a cluster with its Secret.
type cluster struct {
	name, namespace string
	secret          *corev1.Secret
	plan            clusterPlan
	secrets         taloscluster.Secrets
}

func (c *cluster) spec() taloscluster.Cluster {
	return taloscluster.Cluster{Name: c.name, Endpoint: c.plan.Endpoint, TalosVersion: c.plan.TalosVersion, KubernetesVersion: c.plan.KubernetesVersion}
}

// cluster reads a cluster that exists.
func (e *Env) cluster(ctx context.Context, api client.Client, name string) (*cluster, error) {
	namespace, err := e.namespace()
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{}
	err = api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name + secretsSuffix}, secret)
	if apierrors.IsNotFound(err) {
		return nil, refused("there is no cluster %s in %s: `ingot cluster list -A` lists them", name, namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the secrets of cluster %s: %w", name, explain(err))
	}
	if secret.Labels[metal.ClusterAPILabel] == name && secret.Labels[metal.ClusterLabel] == "" {
		return e.parseOther(ctx, api, secret, name)
	}
	return parseCluster(secret, name, e.Now())
}

// parseOther reads the Secret that Cluster API's provider for Talos made, which has the same form. The endpoint is that of the Cluster. Credentials depend on no version.
func (e *Env) parseOther(ctx context.Context, api client.Client, secret *corev1.Secret, name string) (*cluster, error) {
	o, err := clusterObject(ctx, api, secret.Namespace, name)
	if err != nil {
		return nil, err
	}
	c := &cluster{name: name, namespace: secret.Namespace, secret: secret}
	c.plan = clusterPlan{Endpoint: endpointOf(o), TalosVersion: taloscheck.Version, KubernetesVersion: taloscluster.KubernetesVersion}
	if c.secrets, err = taloscluster.Parse(secret.Data[bundleKey], e.Now()); err != nil {
		return nil, fmt.Errorf("reading the Secret %s in %s: %w", secret.Name, secret.Namespace, err)
	}
	return c, nil
}

// parseCluster reads what the Secret of a cluster keeps. Errors hold nothing of it.
func parseCluster(secret *corev1.Secret, name string, now time.Time) (*cluster, error) {
	c := &cluster{name: name, namespace: secret.Namespace, secret: secret}
	if secret.Labels[metal.ClusterLabel] != name || json.Unmarshal(secret.Data[planKey], &c.plan) != nil {
		return nil, refused("the Secret %s in %s is not one that `ingot cluster create` made; choose another name for the cluster", secret.Name, secret.Namespace)
	}
	var err error
	if c.secrets, err = taloscluster.Parse(secret.Data[bundleKey], now); err != nil {
		return nil, fmt.Errorf("reading the Secret %s in %s: %w", secret.Name, secret.Namespace, err)
	}
	return c, nil
}

// completeCluster completes the name of one cluster.
func (e *Env) completeCluster(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	api, err := e.Client()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	rows, err := e.summaries(cmd.Context(), api, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, r := range rows {
		if strings.HasPrefix(r.name, prefix) {
			names = append(names, r.name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// machinesOf are the claims of a cluster that was made either way, control planes first, by name.
func machinesOf(ctx context.Context, api client.Client, namespace, name string) ([]metal.ServerClaim, error) {
	list := &metal.ServerClaimList{}
	if err := api.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("reading the claims of cluster %s: %w", name, explain(err))
	}
	all := slices.DeleteFunc(list.Items, func(c metal.ServerClaim) bool { return c.Cluster() != name })
	sortByRole(all)
	return all, nil
}

func sortByRole(all []metal.ServerClaim) {
	slices.SortFunc(all, func(a, b metal.ServerClaim) int {
		return strings.Compare(a.Labels[metal.ClusterRoleLabel]+a.Name, b.Labels[metal.ClusterRoleLabel]+b.Name) // control-plane sorts before worker
	})
}

// members are the claims of a cluster that was made of claims, control planes first, by name.
func members(ctx context.Context, api client.Client, namespace, name string) ([]metal.ServerClaim, error) {
	list := &metal.ServerClaimList{}
	if err := api.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{metal.ClusterLabel: name}); err != nil {
		return nil, fmt.Errorf("reading the claims of cluster %s: %w", name, explain(err))
	}
	sortByRole(list.Items)
	return list.Items, nil
}

// address is the one that a server is best reached at: IPv4 before IPv6, and none that is only good on its link.
func address(all []string) (best netip.Addr, ok bool) {
	for _, text := range all {
		a, err := netip.ParseAddr(text)
		if a = a.Unmap(); err != nil || !a.IsGlobalUnicast() {
			continue
		}
		if !ok || a.Is4() && !best.Is4() {
			best, ok = a, true
		}
	}
	return best, ok
}

// owners are the claims, for a Secret that is to go with the last of them.
func owners(claims []metal.ServerClaim) []metav1.OwnerReference {
	var all []metav1.OwnerReference
	for i := range claims {
		all = append(all, ownedBy(&claims[i]))
	}
	return all
}

func ownedBy(c *metal.ServerClaim) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: metal.GroupVersion.String(), Kind: "ServerClaim", Name: c.Name, UID: c.UID}
}
