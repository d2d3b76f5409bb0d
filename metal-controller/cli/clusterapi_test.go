package cli

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/config/clusterctl"
)

// TestWay: a cluster stays what it was made as; a new one is made by Cluster API where that is, unless nobody named an endpoint or somebody said otherwise.
func TestWay(t *testing.T) {
	for name, v := range map[string]struct {
		s          surroundings
		clusterAPI bool
		says       string
	}{
		"nothing here":                       {surroundings{endpoint: true}, false, ""},
		"Cluster API here":                   {surroundings{served: true, endpoint: true}, true, ""},
		"and no endpoint":                    {surroundings{served: true}, false, "without --endpoint"},
		"and a person wants none":            {surroundings{served: true, endpoint: true, standAlone: true}, false, ""},
		"a stand-alone one goes on":          {surroundings{served: true, endpoint: true, claims: true}, false, ""},
		"one of Cluster API goes on":         {surroundings{served: true, cluster: true}, true, ""},
		"and is never made of claims":        {surroundings{served: true, cluster: true, standAlone: true}, false, "leave --stand-alone out"},
		"not even when Cluster API went off": {surroundings{cluster: true, endpoint: true}, true, ""},
		"two of one name":                    {surroundings{served: true, cluster: true, claims: true}, false, "two clusters"},
	} {
		got, note, err := way("lab", v.s)
		if err != nil {
			note = err.Error()
		}
		if got != v.clusterAPI || !strings.Contains(note, v.says) || (v.says == "") != (note == "") {
			t.Errorf("%s: by Cluster API %t, says %q", name, got, note)
		}
	}
}

// TestClusterObjects: the objects are those of the release's template, kind by kind and name by name, with what the flags say.
func TestClusterObjects(t *testing.T) {
	disk := &metal.InstallDisk{Prefer: metal.PreferSmallest}
	small := metal.ServerClaimSpec{ClassName: "small", InstallDisk: disk, Patches: []string{"machine: {}\n"}}
	large := metal.ServerClaimSpec{ClassName: "large", EnvironmentName: "os-b"}
	all, err := clusterObjects("lab", "team", "https://api.example.org:6443", "v1.13.0", "1.36.2", machines{3, small}, machines{2, large})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	text := ""
	for _, o := range all {
		if o.GetNamespace() != "team" || o.GetLabels()[metal.ClusterLabel] != "lab" {
			t.Errorf("%s %s is in %s with %v", o.GetKind(), o.GetName(), o.GetNamespace(), o.GetLabels())
		}
		names = append(names, o.GetAPIVersion()+" "+o.GetKind()+" "+o.GetName())
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		text += string(data)
	}
	for _, want := range []string{
		"host: api.example.org", "port: 6443", "replicas: 3", "replicas: 2", "version: v1.36.2", "talosVersion: v1.13.0", "className: small", "className: large",
		"environmentName: os-b", "prefer: ", "machine: {}", "installer:v1.13.0", "generateType: controlplane", "generateType: join",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	want := ofTemplate(t)
	slices.Sort(names)
	if slices.Sort(want); !slices.Equal(names, want) {
		t.Errorf("it makes %v, the template %v", names, want)
	}
	few, err := clusterObjects("lab", "team", "https://[2001:db8::1]", "v1.13.0", "1.36.2", machines{1, small}, machines{0, large})
	if host, _, _ := unstructured.NestedString(few[1].Object, "spec", "controlPlaneEndpoint", "host"); err != nil || len(few) != 4 || host != "2001:db8::1" {
		t.Errorf("without workers: %d objects, the endpoint is on %s: %v", len(few), host, err)
	}
}

// variable is one of clusterctl's, with its default.
var variable = regexp.MustCompile(`\$\{[^}]*\}`)

// ofTemplate are the objects of the release's template.
func ofTemplate(t *testing.T) (names []string) {
	t.Helper()
	files, err := clusterctl.Release("image")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(files["cluster-template.yaml"]), "\n---\n") {
		o := &unstructured.Unstructured{}
		document = variable.ReplaceAllString(strings.ReplaceAll(document, "${CLUSTER_NAME}", "lab"), "1")
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		names = append(names, o.GetAPIVersion()+" "+o.GetKind()+" "+o.GetName())
	}
	return names
}

// TestClusterPrinted: without Cluster API nothing can be printed, and stand-alone is what is made; the flags are checked.
func TestClusterPrinted(t *testing.T) {
	team(t)
	line := "create k9 --class small --endpoint https://192.0.2.10:6443"
	clusterRun(t, line+" -o yaml").want(t, CodeUsage, "--dry-run -o yaml")
	clusterRun(t, line+" --dry-run -o json").want(t, CodeUsage, "--dry-run -o yaml")
	clusterRun(t, line+" --dry-run -o yaml").want(t, CodeRefused, "only the objects of Cluster API can be printed")
	clusterRun(t, line+" --dry-run --stand-alone").want(t, CodeOK, "would take 1 control plane of class small", "dry run")
}
