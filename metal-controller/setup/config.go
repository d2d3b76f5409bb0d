package setup

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bmc/drivers"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/pxe-server/boot"
)

// withDefaults fills in what was left out and refuses what cannot work.
func (c Config) withDefaults() (Config, error) {
	if c.REST == nil || c.AgentListen == "" {
		return c, errors.New("the controller needs an API server and --agent-listen")
	}
	if c.AgentURL == "" {
		return c, errors.New("--agent-url is missing: say how machines reach --agent-listen, for instance https://192.0.2.1:7443")
	}
	u, err := url.Parse(c.AgentURL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return c, fmt.Errorf("--agent-url %q: it must look like https://192.0.2.1:7443, an address that the machines can reach", c.AgentURL)
	}
	c.AgentSANs = append([]string{u.Hostname()}, c.AgentSANs...)
	if c, err = c.withConfigPorts(); err != nil {
		return c, err
	}
	switch c.UnknownPolicy {
	case "":
		c.UnknownPolicy = boot.RegisterOnce
	case boot.RegisterOnce, boot.Ignore, boot.Hold:
	default:
		return c, fmt.Errorf("--unknown-policy %q: it is register-once, ignore or hold", c.UnknownPolicy)
	}
	if c.limit, err = server.ParseLimit(c.DestructiveLimit); err != nil {
		return c, err
	}
	if c.REST.QPS == 0 {
		// client-go's own limit of 5 requests a second for each kind would let a few strangers who enrol hold up everything; the API server
		// limits by its priority and fairness.
		c.REST = rest.CopyConfig(c.REST)
		c.REST.QPS = -1
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.OpenBMC == nil {
		c.OpenBMC = drivers.Open
	}
	return c, nil
}

// checkAPI says in plain words what is wrong with the API server before anything starts.
func checkAPI(cfg *rest.Config) error {
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return fmt.Errorf("reading the configuration of the API server: %w", err)
	}
	_, err = d.ServerVersion()
	if apierrors.IsUnauthorized(err) {
		return fmt.Errorf("reaching the API server %s: it does not know who we are; check the credentials in the kubeconfig, a token may have ended", cfg.Host)
	}
	if err != nil {
		return fmt.Errorf("reaching the API server %s: %w; check --kubeconfig", cfg.Host, err)
	}
	for _, version := range []string{metal.GroupVersion.String(), infra.GroupVersion.String()} {
		if !serves(d, version) {
			return fmt.Errorf("the API server %s does not serve %s: install Ingot's CRDs first: kubectl apply --server-side -f crds/manifests/crd -f crds/manifests/policy -f crds/manifests/rbac",
				cfg.Host, version)
		}
	}
	return nil
}

// serves says that the API server has kinds of ours in this version; other providers of Cluster API share its group.
func serves(d discovery.DiscoveryInterface, version string) bool {
	list, err := d.ServerResourcesForGroupVersion(version)
	return err == nil && slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == "Server" || r.Kind == "IngotMachine" })
}

// uncached are kinds that are read one by one from the API server: the rights to list and watch them are neither needed nor wanted.
func uncached() []client.Object {
	return []client.Object{&corev1.Secret{}, &corev1.Namespace{}, &corev1.ConfigMap{}}
}

// orNone is the address, or what controller-runtime takes for none.
func orNone(addr string) string {
	if addr == "" {
		return "0"
	}
	return addr
}
