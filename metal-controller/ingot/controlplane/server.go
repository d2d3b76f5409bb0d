package controlplane

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/compatibility"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	ingotversion "ingot.dev/ingot/crds/version"
)

// serviceCIDR is where Services would get their addresses. Nothing routes it; the API server insists on having one.
const serviceCIDR = "10.96.0.0/16"

// watchGrace is how long clients have to end their watches when the API server stops.
const watchGrace = 2 * time.Second

// issuer names who issues service account tokens.
const issuer = "https://kubernetes.default.svc"

// newServer builds the full kube-apiserver, with one more condition for /readyz, but does not run it.
func newServer(ctx context.Context, o *options.ServerRunOptions, ready healthz.HealthChecker) (*aggregator.APIAggregator, error) {
	var err error
	if err := withoutSnapshots(); err != nil {
		return nil, err
	}
	if o.InformerName, err = cache.NewInformerName("kube-apiserver"); err != nil {
		return nil, fmt.Errorf("naming informers: %w", err)
	}
	completed, err := o.Complete(ctx)
	if err != nil {
		return nil, fmt.Errorf("completing API server options: %w", err)
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return nil, fmt.Errorf("checking API server options: %w", utilerrors.NewAggregate(errs))
	}
	config, err := app.NewConfig(completed)
	if err != nil {
		return nil, fmt.Errorf("configuring API server: %w", err)
	}
	overrideVersion(config)
	done, err := config.Complete()
	if err != nil {
		return nil, fmt.Errorf("completing API server configuration: %w", err)
	}
	server, err := app.CreateServerChain(done)
	if err != nil {
		return nil, fmt.Errorf("creating API server: %w", err)
	}
	if err := server.GenericAPIServer.AddReadyzChecks(ready); err != nil {
		return nil, fmt.Errorf("adding readiness check: %w", err)
	}
	return server, nil
}

// serverOptions are the flags that a kube-apiserver program would get.
func serverOptions(dir string, listener net.Listener, etcdURL string, keys *pki) *options.ServerRunOptions {
	o := options.NewServerRunOptions()
	o.SecureServing.Listener = listener
	if a, ok := listener.Addr().(*net.TCPAddr); ok {
		o.SecureServing.BindAddress, o.SecureServing.BindPort = a.IP, a.Port
		// Otherwise it looks for the address of the default route, and there may be none: a rack's network often leads nowhere.
		o.GenericServerRunOptions.AdvertiseAddress = a.IP
	}
	o.SecureServing.ServerCert.CertDirectory = filepath.Join(dir, "pki")
	o.SecureServing.ServerCert.CertKey.CertFile = keys.serverFile
	o.SecureServing.ServerCert.CertKey.KeyFile = keys.serverFile
	o.Etcd.StorageConfig.Transport.ServerList = []string{etcdURL}
	o.Etcd.WatchCacheSizes = uncached
	o.Etcd.EncryptionProviderConfigFilepath = keys.encFile
	o.Authentication.ClientCert.ClientCA = keys.clientCAFile
	// Nobody needs to ask without a name: health is served beside the metrics, too. Else a slip in RBAC would give rights to the whole network.
	o.Authentication.Anonymous.Allow = false
	o.Authentication.ServiceAccounts.Issuers = []string{issuer}
	o.Authentication.ServiceAccounts.KeyFiles = []string{keys.signerFile}
	o.ServiceAccountSigningKeyFile = keys.signerFile
	o.Authorization.Modes = []string{"RBAC"}
	o.ServiceClusterIPRanges = serviceCIDR
	o.EndpointReconcilerType = "none" // else a loopback address to advertise is refused
	o.Features.EnableProfiling = false
	// Watches are ended rather than waited for: a client that watches would otherwise hold the stop up for a minute.
	o.GenericServerRunOptions.ShutdownSendRetryAfter = true
	o.GenericServerRunOptions.ShutdownWatchTerminationGracePeriod = watchGrace
	return o
}

// builtVersion makes /version answer with the version of the modules in this build: their own answer needs linker flags.
type builtVersion struct{ compatibility.EffectiveVersion }

func (v builtVersion) Info() *version.Info {
	i := *v.EffectiveVersion.Info()
	i.GitVersion, i.GitCommit, i.GitTreeState = ingotversion.Kubernetes, "", ""
	var major, minor int
	if _, err := fmt.Sscanf(ingotversion.Kubernetes, "v%d.%d.", &major, &minor); err == nil {
		i.Major, i.Minor = fmt.Sprint(major), fmt.Sprint(minor)
	}
	return &i
}

func overrideVersion(c *app.Config) {
	for _, v := range []*compatibility.EffectiveVersion{
		&c.KubeAPIs.ControlPlane.Generic.EffectiveVersion,
		&c.ApiExtensions.GenericConfig.EffectiveVersion,
		&c.Aggregator.GenericConfig.EffectiveVersion,
	} {
		*v = builtVersion{*v}
	}
}
