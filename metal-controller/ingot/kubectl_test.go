package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

// kubectl is the real one, built from its module, on the administrator's kubeconfig.
type kubectl struct{ bin, kubeconfig, namespace string }

func buildKubectl(t *testing.T) kubectl {
	t.Helper()
	k := kubectl{filepath.Join(t.TempDir(), "kubectl"), testapi.Config(t).Kubeconfig, testapi.Namespace(t)}
	cmd := exec.Command("go", "build", "-o", k.bin, "k8s.io/kubernetes/cmd/kubectl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building kubectl: %v\n%s", err, out)
	}
	return k
}

// run runs kubectl with stdin and returns what it says.
func (k kubectl) run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.bin, append([]string{"--kubeconfig", k.kubeconfig, "--cache-dir", filepath.Dir(k.bin), "-n", k.namespace}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// says runs kubectl, which has to succeed and to say all parts.
func (k kubectl) says(t *testing.T, stdin string, args []string, parts ...string) {
	t.Helper()
	out, err := k.run(t, stdin, args...)
	if err != nil {
		t.Errorf("kubectl %v: %v\n%s", args, err, out)
		return
	}
	want(t, out, parts...)
}

const serverManifest = `
apiVersion: metal.ingot.dev/v1alpha1
kind: Server
metadata: {name: NAME, labels: {row: a}}
spec: {accepted: ACCEPTED}
`

func manifest(name, accepted string) string {
	return strings.NewReplacer("NAME", name, "ACCEPTED", accepted).Replace(serverManifest)
}

func TestKubectl(t *testing.T) {
	k := buildKubectl(t)
	name := "kubectl-" + k.namespace
	k.says(t, "", []string{"create", "configmap", "c", "--from-literal=a=b"}, "created")
	k.says(t, "", []string{"get", "configmap", "c", "-o", "jsonpath={.data.a}"}, "b")
	k.says(t, manifest(name, "false"), []string{"apply", "--server-side", "-f", "-"}, "serverside-applied")
	k.says(t, manifest(name, "true"), []string{"apply", "--server-side", "-f", "-"}, "serverside-applied")
	k.says(t, "", []string{"get", "servers", "-l", "row=a"}, "NAME", name)
	k.says(t, "", []string{"get", "server", name, "-o", "jsonpath={.spec.accepted}"}, "true")
	k.says(t, "", []string{"wait", "server", name, "--for=jsonpath={.spec.accepted}=true", "--timeout=20s"}, "condition met")
	k.says(t, "", []string{"explain", "server.spec.accepted"}, "KIND:", "Server", "DESCRIPTION:")
	k.says(t, "", []string{"delete", "server", name}, "deleted")
	k.says(t, "", []string{"delete", "configmap", "c", "--wait"}, "deleted")
	if out, err := k.run(t, "", "get", "server", name); err == nil || !strings.Contains(out, "NotFound") {
		t.Errorf("control: after the deletion: %v\n%s", err, out)
	}
	if out, err := k.run(t, manifest(name, "perhaps"), "apply", "--server-side", "-f", "-"); err == nil {
		t.Errorf("control: a wrong type was accepted:\n%s", out)
	}
}

// The upstream controllers work: owners take what they own along, namespaces their content, service accounts get tokens.
func TestUpstreamControllers(t *testing.T) {
	k := buildKubectl(t)
	k.says(t, "", []string{"wait", "serviceaccount/default", "--for=create", "--timeout=30s"}, "")
	k.says(t, "", []string{"create", "token", "default"}, "ey")
	k.says(t, "", []string{"create", "configmap", "owner"}, "created")
	uid, err := k.run(t, "", "get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
	if err != nil {
		t.Fatal(uid, err)
	}
	owned := `{apiVersion: v1, kind: ConfigMap, metadata: {name: owned, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: ` + uid + `}]}}`
	k.says(t, owned, []string{"create", "-f", "-"}, "created")
	k.says(t, "", []string{"get", "configmap", "owned"}, "owned")
	k.says(t, "", []string{"delete", "configmap", "owner"}, "deleted")
	k.says(t, "", []string{"wait", "configmap/owned", "--for=delete", "--timeout=50s"}, "")
	k.says(t, "", []string{"create", "namespace", k.namespace + "-x"}, "created")
	k.says(t, "", []string{"delete", "namespace", k.namespace + "-x", "--timeout=50s"}, "deleted")
}

// TestKubectlAppliesTheManifestsAgain: moving to a management cluster, or back, applies the same files over each other.
func TestKubectlAppliesTheManifestsAgain(t *testing.T) {
	k := buildKubectl(t)
	apply := []string{"apply", "--server-side", "-f", "../../crds/manifests/crd", "-f", "../../crds/manifests/policy"}
	k.says(t, "", apply, "servers.metal.ingot.dev serverside-applied", "record.metal.ingot.dev serverside-applied")
	changed := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: servers.metal.ingot.dev}\nspec: {group: metal.ingot.dev, scope: Namespaced}"
	if out, err := k.run(t, changed, "apply", "--server-side", "-f", "-"); err == nil || !strings.Contains(out, "conflict") { // control
		t.Errorf("another content did not conflict: %v\n%s", err, out)
	}
}
