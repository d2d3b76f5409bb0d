// Package clusterapi gives tests the real core of Cluster API: its CRDs, webhooks, rights and controllers, as its own release makes them, against the API server
// of the package testapi. The program is built from its module (the nested module core, which holds nothing else), and runs as a child.
//
// Layer 5, proof. Only what a test environment has to decide differs from the release: webhooks are reached by address rather than through a Service, with a
// certificate of this run. The program has the rights of its ServiceAccount, gathered from roles by their label, as it would in a cluster.
package clusterapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/crds/manifests"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const (
	namespace = "capi-system"
	account   = "system:serviceaccount:" + namespace + ":capi-manager"
	host      = "127.0.0.1"
	patience  = 2 * time.Minute
)

// Core is a running core of Cluster API.
type Core struct {
	*testapi.Process
	api           *testapi.API
	client        client.Client
	source        fs.FS
	dir           string
	webhook, port int
	ca            []byte
}

// Start installs Cluster API into an API server, and runs its controllers until Kill. dir is a folder for what it needs.
func Start(ctx context.Context, api *testapi.API, dir string) (*Core, error) {
	core, err := built()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := &Core{api: api, source: os.DirFS(core.source), dir: dir}
	if c.client, err = client.New(api.AdminConfig, client.Options{}); err != nil {
		return nil, err
	}
	if c.webhook, c.port, err = freePorts(); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{c.certificate, c.install, c.kubeconfig} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return c, c.run(ctx, core.bin)
}

// module is the nested module that names the programs, from the root of the repository.
const module = "sfyra-tests/clusterapi/core"

// built is the core, and where its sources are: once in a test binary, for asking whether it is up to date takes seconds in each of a dozen tests.
var built = sync.OnceValues(func() (b struct{ bin, source string }, err error) {
	if b.bin, err = tool("capi-core", "sigs.k8s.io/cluster-api/core"); err == nil {
		b.source, err = sources()
	}
	return b, err
})

// tool builds a program of the nested module into the folder of programs.
func tool(name, path string) (bin string, err error) {
	return build(module, name, path)
}

// build builds a program of a module into that folder.
func build(module, name, path string) (bin string, err error) {
	root, err := testapi.Repository()
	if err != nil {
		return "", err
	}
	bin = filepath.Join(root, "build", "bin", name)
	unlock, err := testapi.Lock(bin)
	if err != nil {
		return "", err
	}
	defer unlock()
	if out, err := run(filepath.Join(root, filepath.FromSlash(module)), "go", "build", "-ldflags", "-s -w", "-o", bin, path); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return bin, nil
}

// sources is the folder of Cluster API's module.
func sources() (string, error) {
	root, err := testapi.Repository()
	if err != nil {
		return "", err
	}
	out, err := run(filepath.Join(root, filepath.FromSlash(module)), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/cluster-api")
	if err != nil {
		return "", fmt.Errorf("looking for Cluster API's sources: %w\n%s", err, out)
	}
	return strings.TrimSpace(out), nil
}

func run(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// freePorts are two ports that nothing listens on.
func freePorts() (a, b int, err error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return 0, 0, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}

// certificate makes that of the webhooks.
func (c *Core) certificate(context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "webhooks of a test"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(host)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	c.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	if err := os.WriteFile(filepath.Join(c.dir, "tls.crt"), c.ca, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}

// install applies CRDs and rights.
func (c *Core) install(ctx context.Context) error {
	ns := &unstructured.Unstructured{}
	ns.SetAPIVersion("v1")
	ns.SetKind("Namespace")
	ns.SetName(namespace)
	objects, err := manifests.Read(c.source, "core/config/crd/bases/*.yaml", "core/config/rbac/role.yaml", "core/config/rbac/aggregated_role.yaml", "core/config/rbac/role_binding.yaml")
	if err != nil {
		return err
	}
	for _, o := range append([]*unstructured.Unstructured{ns}, objects...) {
		if err := c.localise(o); err != nil {
			return err
		}
		if err := c.apply(ctx, o); err != nil {
			return err
		}
	}
	return c.established(ctx, objects)
}

// Kinds installs more CRDs of Cluster API's module, of a provider that nobody runs.
func (c *Core) Kinds(ctx context.Context, patterns ...string) error {
	objects, err := manifests.Read(c.source, patterns...)
	if err != nil {
		return err
	}
	for _, o := range objects {
		o.SetLabels(contractLabels())
	}
	return c.Define(ctx, objects)
}

// Define installs CRDs, and waits until the API server serves their kinds.
func (c *Core) Define(ctx context.Context, crds []*unstructured.Unstructured) error {
	for _, o := range crds {
		if err := c.apply(ctx, o); err != nil {
			return err
		}
	}
	return c.established(ctx, crds)
}

// contractLabels are what the release, and clusterctl, which moves nothing of other kinds, put on them.
func contractLabels() map[string]string {
	return map[string]string{"cluster.x-k8s.io/provider": "cluster-api", "clusterctl.cluster.x-k8s.io": "", "cluster.x-k8s.io/v1beta1": "v1beta1", "cluster.x-k8s.io/v1beta2": "v1beta2"}
}

func (c *Core) apply(ctx context.Context, o *unstructured.Unstructured) error {
	if err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test"), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// localise does what the release's kustomization does, for a program that runs here.
func (c *Core) localise(o *unstructured.Unstructured) error {
	switch o.GetKind() {
	case "CustomResourceDefinition":
		o.SetLabels(contractLabels())
		return unstructured.SetNestedMap(o.Object, map[string]any{"strategy": "Webhook", "webhook": map[string]any{
			"conversionReviewVersions": []any{"v1", "v1beta1"}, "clientConfig": c.clientConfig("/convert"),
		}}, "spec", "conversion")
	case "ClusterRole":
		if o.GetName() == "manager-role" {
			o.SetLabels(map[string]string{"cluster.x-k8s.io/aggregate-to-manager": "true"})
		}
	case "ClusterRoleBinding":
		if err := unstructured.SetNestedField(o.Object, "aggregated-manager-role", "roleRef", "name"); err != nil {
			return err
		}
		return unstructured.SetNestedSlice(o.Object, []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": account}}, "subjects")
	}
	return nil
}

func (c *Core) clientConfig(path string) map[string]any {
	return map[string]any{"url": "https://" + net.JoinHostPort(host, strconv.Itoa(c.webhook)) + path, "caBundle": base64.StdEncoding.EncodeToString(c.ca)}
}

// established waits until the CRDs are served.
func (c *Core) established(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		err := poll(ctx, func() bool {
			crd := o.DeepCopy()
			if c.client.Get(ctx, client.ObjectKey{Name: o.GetName()}, crd) != nil {
				return false
			}
			conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
			for _, x := range conditions {
				if m := x.(map[string]any); m["type"] == "Established" && m["status"] == "True" {
					return true
				}
			}
			return false
		})
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", o.GetName(), err)
		}
	}
	return nil
}

// kubeconfig lets the program be its ServiceAccount.
func (c *Core) kubeconfig(context.Context) error {
	config, err := clientcmd.LoadFromFile(c.api.Kubeconfig)
	if err != nil {
		return err
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = account
	}
	return clientcmd.WriteToFile(*config, filepath.Join(c.dir, "kubeconfig"))
}

// run starts the program, and switches the webhooks on once it serves them.
func (c *Core) run(ctx context.Context, bin string) error {
	health := net.JoinHostPort(host, strconv.Itoa(c.port))
	p, err := testapi.Spawn(exec.Command(bin, "--kubeconfig", filepath.Join(c.dir, "kubeconfig"), "--webhook-port", strconv.Itoa(c.webhook), "--webhook-cert-dir", c.dir,
		"--diagnostics-address", "0", "--health-addr", health, "--feature-gates", "ClusterTopology=true"))
	if err != nil {
		return err
	}
	c.Process = p
	if err := poll(ctx, func() bool { return answers("http://" + health + "/readyz") }); err != nil {
		p.Kill()
		return fmt.Errorf("waiting for the core of Cluster API: %w\n%s", err, p.Stderr())
	}
	return c.webhooks(ctx)
}

func (c *Core) webhooks(ctx context.Context) error {
	objects, err := manifests.Read(c.source, "core/config/webhook/manifests.yaml")
	if err != nil {
		return err
	}
	for _, o := range objects {
		o.SetName("capi-" + o.GetName())
		if err := c.lead(o); err != nil {
			return err
		}
		if err := c.apply(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// lead lets the webhooks of a configuration lead to the program rather than to a Service.
func (c *Core) lead(o *unstructured.Unstructured) error {
	hooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, h := range hooks {
		hook := h.(map[string]any)
		path, _, _ := unstructured.NestedString(hook, "clientConfig", "service", "path")
		hook["clientConfig"] = c.clientConfig(path)
	}
	return unstructured.SetNestedSlice(o.Object, hooks, "webhooks")
}

// answers says whether an address answers, and well.
func answers(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// poll asks until the answer is yes or ctx ends.
func poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
