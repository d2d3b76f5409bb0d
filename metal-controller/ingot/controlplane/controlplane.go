// Package controlplane runs the Kubernetes API in this process: etcd, the full kube-apiserver and the few upstream controllers that an API
// without nodes needs. Layer 2: it knows nothing of servers, DHCP or BMCs.
//
// Invariants: what the API acknowledged is on the disk (fsync is on); Secrets reach the disk only sealed; etcd can be reached only through a
// folder of mode 0700; the CA that signs the API server's certificate and the one that signs its clients are apart; key material on which data
// depends is never replaced silently. The libraries keep global state, so that a process can start this once.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
)

// Options say where and how to run.
type Options struct {
	// Dir is the state folder. The caller holds its lock (package statedir).
	Dir string
	// BindAddress is the address to listen on; the zero value means 127.0.0.1.
	BindAddress netip.Addr
	// Port to listen on; 0 lets the kernel choose.
	Port int
	// ExtraSANs are further names and addresses in the API server's certificate.
	ExtraSANs []string
	// Log receives what the libraries log. It holds no Secrets.
	Log io.Writer
	// Stage is called when a part is ready: "etcd", "API server", "manifests". May be nil.
	Stage func(name string)
	// Now is the clock for certificates; nil means time.Now.
	Now func() time.Time
}

// ControlPlane is a running one.
type ControlPlane struct {
	dir                string
	admin, controller  *rest.Config
	serverCA, clientCA *pair
	webhooks           *Authority
	endpoints          *Endpoints
	now                func() time.Time
	etcd               *etcd
	stop               context.CancelCauseFunc
	served, done       chan struct{} // closed when the API server has ended; when everything has
	err                error         // valid once served is closed
}

var errStopped = errors.New("control plane stopped")

// Start returns when the API is ready: /readyz is good, Ingot's CRDs are served and its policies applied. ctx bounds the start only; the control
// plane runs until Stop.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	o = o.withDefaults()
	if o.Port < 0 || o.Port > 65535 {
		return nil, fmt.Errorf("%d is no port", o.Port)
	}
	redirectLogs(o.Log)
	listener, err := listen(ctx, netip.AddrPortFrom(o.BindAddress, uint16(o.Port)))
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{dir: o.Dir, now: o.Now, endpoints: &Endpoints{}, served: make(chan struct{}), done: make(chan struct{})}
	keys, err := c.prepare(o, listener.Addr())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if c.etcd, err = startEtcd(ctx, o.Dir, o.Log); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	o.Stage("etcd")
	if err := c.startAPI(ctx, o, keys, listener); err != nil {
		return nil, err
	}
	return c, nil
}

func (o Options) withDefaults() Options {
	if !o.BindAddress.IsValid() {
		o.BindAddress = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if o.Stage == nil {
		o.Stage = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o
}

// prepare makes keys and kubeconfigs.
func (c *ControlPlane) prepare(o Options, bound net.Addr) (*pki, error) {
	established, err := hasData(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("looking for data: %w", err)
	}
	n, err := certNames(o.BindAddress, o.ExtraSANs)
	if err != nil {
		return nil, err
	}
	keys, err := preparePKI(filepath.Join(o.Dir, "pki"), established, n, o.Now())
	if err != nil {
		return nil, err
	}
	c.serverCA, c.clientCA = keys.serverCA, keys.clientCA
	if c.webhooks, err = webhookAuthority(filepath.Join(o.Dir, "pki"), o.Now()); err != nil {
		return nil, err
	}
	url, err := serverURL(bound)
	if err != nil {
		return nil, err
	}
	if c.admin, err = restConfig(url, keys.serverCA, keys.admin); err != nil {
		return nil, err
	}
	if c.controller, err = restConfig(url, keys.serverCA, keys.controller); err != nil {
		return nil, err
	}
	return keys, errors.Join(
		writeKubeconfig(c.Kubeconfig(), adminUser, c.admin),
		writeKubeconfig(filepath.Join(o.Dir, ControllerKubeconfig), controllerUser, c.controller))
}

// AdminConfig is for a client that may do everything.
func (c *ControlPlane) AdminConfig() *rest.Config { return rest.CopyConfig(c.admin) }

// ControllerConfig is for Ingot's controllers: user ingot:controller in group ingot:controllers, with the rights of that group only.
func (c *ControlPlane) ControllerConfig() *rest.Config { return rest.CopyConfig(c.controller) }

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *ControlPlane) Kubeconfig() string { return filepath.Join(c.dir, AdminKubeconfig) }

// Done is closed when the control plane has ended.
func (c *ControlPlane) Done() <-chan struct{} { return c.done }

// Err says why it ended: nil after Stop. It may be called once Done is closed.
func (c *ControlPlane) Err() error { return c.err }

// Stop ends the API server after the requests in flight, then etcd. It returns when both have ended.
func (c *ControlPlane) Stop() error {
	c.stop(errStopped)
	<-c.done
	return c.err
}
