package distributed

import (
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// agentURL is on every command line here, so that only one thing is wrong.
var agentURL = []string{"--agent-url", "https://192.0.2.1:7443"}

// TestMistakes: each mistake ends the program, and its words name what to do.
func TestMistakes(t *testing.T) {
	c, api := newCluster(t), testapi.Config(t)
	c.create(t, &corev1.ServiceAccount{ObjectMeta: inSystem("nobody")})
	for want, args := range map[string][]string{
		"--kubeconfig or $KUBECONFIG":               agentURL,
		"name another file with --kubeconfig":       append([]string{"--kubeconfig", filepath.Join(t.TempDir(), "none")}, agentURL...),
		"connection refused; check --kubeconfig":    append([]string{"--kubeconfig", unserved(t, api)}, agentURL...),
		"check the credentials":                     append([]string{"--kubeconfig", kubeconfigWith(t, api, "not-a-token")}, agentURL...),
		"-f metal-controller/config":                append([]string{"--kubeconfig", tokenKubeconfig(t, api, "nobody")}, agentURL...),
		"--agent-url is missing":                    {"--kubeconfig", c.kubeconfig},
		`--agent-url "http://192.0.2.1:7443"`:       {"--kubeconfig", c.kubeconfig, "--agent-url", "http://192.0.2.1:7443"},
		"--unknown-policy \"capture\"":              append([]string{"--kubeconfig", c.kubeconfig, "--unknown-policy", "capture"}, agentURL...),
		"listening for --agent-listen":              append([]string{"--kubeconfig", c.kubeconfig, "--agent-listen", "203.0.113.1:1"}, agentURL...),
		"--site \"a b\": it has 1 to 63 lower-case": {"issue-pxe-certificate", "--kubeconfig", c.adminConfig, "--site", "a b", "--out", t.TempDir()},
	} {
		if said := failure(t, "metal-controller", args...); !strings.Contains(said, want) {
			t.Errorf("metal-controller %q said %q; want %q", args, said, want)
		}
	}
}

// unserved is a kubeconfig for a port where nobody listens.
func unserved(t *testing.T, api *testapi.API) string {
	t.Helper()
	other := *api
	other.Kubeconfig = kubeconfigWith(t, api, "x")
	return rewrite(t, other.Kubeconfig, api.AdminConfig.Host, "https://127.0.0.1:1")
}

// TestWithoutCRDs: on an API server without Ingot's kinds the error is the command that installs them. Every other test here is the control.
func TestWithoutCRDs(t *testing.T) {
	ingot, err := testapi.Binary()
	ok(t, err)
	p, err := testapi.Start(ingot, filepath.Join(t.TempDir(), "state"))
	ok(t, err)
	t.Cleanup(p.Kill)
	scheme := clientFor(t, p.AdminConfig).Scheme()
	ok(t, apiextensionsv1.AddToScheme(scheme))
	c, err := client.New(p.AdminConfig, client.Options{Scheme: scheme})
	ok(t, err)
	var crds apiextensionsv1.CustomResourceDefinitionList
	ok(t, c.List(t.Context(), &crds))
	for i := range crds.Items { // unserved rather than deleted: an API server that has just begun to serve a kind is slow to delete it
		const unserved = `[{"op":"replace","path":"/spec/versions/0/served","value":false}]`
		ok(t, c.Patch(t.Context(), &crds.Items[i], client.RawPatch(types.JSONPatchType, []byte(unserved))))
	}
	cs, err := kubernetes.NewForConfig(p.AdminConfig)
	ok(t, err)
	await(t, "the kinds are gone", func() bool {
		left, err := cs.Discovery().ServerResourcesForGroupVersion(metal.GroupVersion.String())
		return err != nil || len(left.APIResources) == 0
	})
	said := failure(t, "metal-controller", append([]string{"--kubeconfig", p.Kubeconfig}, agentURL...)...)
	if !strings.Contains(said, "kubectl apply --server-side -f crds/manifests/crd -f crds/manifests/policy") {
		t.Errorf("it said %q", said)
	}
	if _, err := cs.CoreV1().Secrets(metal.SystemNamespace).Get(t.Context(), "ingot-agent-ca", metav1.GetOptions{}); err == nil {
		t.Error("it made an authority before it looked")
	}
}
