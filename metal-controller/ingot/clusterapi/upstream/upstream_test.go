package upstream_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ingot.dev/ingot/metal-controller/ingot/clusterapi/upstream"
	"ingot.dev/ingot/metal-controller/ingot/clusterapi/upstream/mkmanifests/render"
)

// TestUpToDate: the files are what the module in go.mod makes.
func TestUpToDate(t *testing.T) {
	files, err := render.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		have, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is stale (%v): run make generate", name, err)
		}
	}
	if _, version, err := render.Module(); err != nil || version != upstream.Version {
		t.Errorf("Version is %s, the module's %s, %v", upstream.Version, version, err)
	}
}

// TestCore: nothing is left for clusterctl to replace, and what the launcher and clusterctl look for by name is there.
func TestCore(t *testing.T) {
	objects, err := upstream.Core()
	if err != nil {
		t.Fatal(err)
	}
	named := func(kind, name string) *unstructured.Unstructured {
		i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })
		if i < 0 {
			t.Fatalf("there is no %s %s", kind, name)
		}
		return objects[i]
	}
	for kind, name := range map[string]string{
		"Deployment": upstream.Deployment, "ServiceAccount": upstream.Account, "Service": upstream.Service, "Namespace": upstream.Namespace, "Provider": upstream.Label,
	} {
		if o := named(kind, name); o.GetLabels()["cluster.x-k8s.io/provider"] != upstream.Label {
			t.Errorf("%s %s has the labels %v", kind, name, o.GetLabels())
		}
	}
	text, err := named("Deployment", upstream.Deployment).MarshalJSON()
	if err != nil || strings.Contains(string(text), "${") || !strings.Contains(string(text), "ClusterTopology=true") || !strings.Contains(string(text), "MachinePool=true") {
		t.Errorf("%v: %s", err, text)
	}
	components, err := upstream.Components()
	if err != nil || !bytes.Contains(components, []byte("${CLUSTER_TOPOLOGY:=false}")) {
		t.Error("control: the release has its variables still", err)
	}
}
