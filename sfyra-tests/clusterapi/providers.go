package clusterapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/crds/manifests"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// Providers is the running program of the Talos providers.
type Providers struct {
	*testapi.Process
	bin    string
	places []*place
}

// place is where one of them runs: with the rights of its ServiceAccount, and a folder. It does what a Core does.
type place struct {
	*Core
	name, account string
}

// StartProviders installs the Talos providers into an API server that has a core, as their program writes their releases, and runs them until Kill. dir is a folder
// for what they need.
func StartProviders(ctx context.Context, api *testapi.API, dir string) (*Providers, error) {
	bin, err := build("metal-controller/talos-providers", "talos-providers", ".")
	if err != nil {
		return nil, err
	}
	if out, err := run(dir, bin, "release", dir); err != nil {
		return nil, fmt.Errorf("writing the releases of the Talos providers: %w\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := &Providers{bin: bin}
	for name, namespace := range map[string]string{"bootstrap": "cabpt-system", "control-plane": "cacppt-system"} {
		at, err := settle(ctx, api, dir, name, "system:serviceaccount:"+namespace+":default")
		if err != nil {
			return nil, err
		}
		p.places = append(p.places, at)
	}
	return p, p.Run(ctx)
}

// settle installs one of them.
func settle(ctx context.Context, api *testapi.API, dir, name, account string) (*place, error) {
	p := &place{Core: &Core{api: api, dir: filepath.Join(dir, name)}, name: name, account: account}
	err := os.Mkdir(p.dir, 0o700)
	if err == nil {
		p.client, err = client.New(api.AdminConfig, client.Options{})
	}
	if err == nil {
		p.webhook, p.port, err = freePorts()
	}
	if err != nil {
		return nil, err
	}
	if err := p.certificate(ctx); err != nil {
		return nil, err
	}
	if err := p.install(ctx, os.DirFS(dir)); err != nil {
		return nil, err
	}
	return p, p.kubeconfig()
}

// install applies what a release installs, but for what a cluster would run it by. Webhooks lead to the program.
func (p *place) install(ctx context.Context, releases fs.FS) error {
	objects, err := manifests.Read(releases, p.name+"-talos/*/"+p.name+"-components.yaml")
	if err != nil {
		return err
	}
	for _, o := range objects {
		switch o.GetKind() {
		case "Deployment", "Service", "Certificate", "Issuer":
			continue
		case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
			if err := p.lead(o); err != nil {
				return err
			}
		}
		if err := p.apply(ctx, o); err != nil {
			return err
		}
	}
	return p.established(ctx, objects)
}

// kubeconfig lets the program be a ServiceAccount.
func (p *place) kubeconfig() error {
	config, err := clientcmd.LoadFromFile(p.api.Kubeconfig)
	if err != nil {
		return err
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = p.account
	}
	return clientcmd.WriteToFile(*config, filepath.Join(p.dir, "kubeconfig"))
}

func (p *place) address() string { return net.JoinHostPort(host, strconv.Itoa(p.webhook)) }

// Run starts the program, once more after it ended, and waits until its webhooks answer.
func (p *Providers) Run(ctx context.Context) (err error) {
	var args []string
	for _, at := range p.places {
		args = append(args, "--"+at.name+"-kubeconfig", filepath.Join(at.dir, "kubeconfig"), "--"+at.name+"-webhook-address", at.address(), "--"+at.name+"-webhook-certs", at.dir)
	}
	if p.Process, err = testapi.Spawn(exec.Command(p.bin, args...)); err != nil {
		return err
	}
	for _, at := range p.places {
		if err := poll(ctx, at.serves); err != nil {
			p.Kill()
			return fmt.Errorf("waiting for the Talos providers: %w\n%s", err, p.Stderr())
		}
	}
	return nil
}

// serves says whether webhooks are served, with the certificate that the API server expects.
func (p *place) serves() bool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.ca)
	conn, err := tls.Dial("tcp", p.address(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
