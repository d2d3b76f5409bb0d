package distributed

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/config"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// cluster is the management cluster with metal-controller/config applied.
type cluster struct {
	client.Client        // as the administrator
	kubeconfig    string // of the ServiceAccount
	adminConfig   string // of the administrator
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	api := testapi.Config(t)
	c := &cluster{Client: clientFor(t, api.AdminConfig), adminConfig: api.Kubeconfig}
	strict := client.WithFieldValidation(c.Client, metav1.FieldValidationStrict)
	objects, err := config.Objects()
	ok(t, err)
	for _, o := range objects {
		err := strict.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("kubectl"), client.ForceOwnership)
		if err != nil {
			t.Fatalf("applying %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	c.kubeconfig = tokenKubeconfig(t, api, "ingot-controller")
	t.Cleanup(func() {
		for _, kind := range []client.Object{&metal.Server{}, &metal.ServerInventory{}} {
			if err := c.DeleteAllOf(context.Background(), kind); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

func clientFor(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	scheme, err := setup.Scheme()
	ok(t, err)
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	ok(t, err)
	return c
}

// tokenKubeconfig writes a kubeconfig with a token of a ServiceAccount in the system namespace.
func tokenKubeconfig(t *testing.T, api *testapi.API, account string) string {
	t.Helper()
	cs, err := kubernetes.NewForConfig(api.AdminConfig)
	ok(t, err)
	token, err := cs.CoreV1().ServiceAccounts(metal.SystemNamespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	ok(t, err)
	return kubeconfigWith(t, api, token.Status.Token)
}

func kubeconfigWith(t *testing.T, api *testapi.API, token string) string {
	t.Helper()
	file, err := clientcmd.LoadFromFile(api.Kubeconfig)
	ok(t, err)
	for _, c := range file.Contexts {
		file.AuthInfos = map[string]*clientcmdapi.AuthInfo{c.AuthInfo: {Token: token}}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	ok(t, clientcmd.WriteToFile(*file, path))
	return path
}

// create makes objects that go with the test.
func (c *cluster) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		ok(t, c.Create(t.Context(), o))
		t.Cleanup(func() { _ = c.Delete(context.Background(), o) }) // the test may have deleted it
	}
}

// server waits until a Server is as wanted.
func (c *cluster) server(t *testing.T, name, what string, yes func(*metal.Server) bool) *metal.Server {
	t.Helper()
	var s metal.Server
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Server %s: spec %+v status %+v", name, s.Spec, s.Status)
		}
	})
	await(t, name+" "+what, func() bool {
		s = metal.Server{}
		return c.Get(t.Context(), client.ObjectKey{Name: name}, &s) == nil && yes(&s)
	})
	return &s
}

// rewrite is a copy of a file with one text replaced.
func rewrite(t *testing.T, path, from, to string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	ok(t, err)
	if !strings.Contains(string(text), from) {
		t.Fatalf("%s does not hold %q", path, from)
	}
	out := filepath.Join(t.TempDir(), "rewritten")
	ok(t, os.WriteFile(out, []byte(strings.ReplaceAll(string(text), from, to)), 0o600))
	return out
}
