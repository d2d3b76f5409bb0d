package disks_test

import (
	"context"
	"maps"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/disks"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

// TestElsewhere: the index and the plain list give the same answer, with spellings, the own report and shared disks of three Servers.
func TestElsewhere(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := metal.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cfg := testapi.Config(t).ControllerConfig
	api, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	for name, wwids := range map[string][]string{"s1": {"eui.own", "naa.shared", ""}, "s2": {"NAA.SHARED", "naa.two"}, "s3": {"naa.shared", "naa.three"}} {
		i := &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, w := range wwids {
			i.Spec.Disks = append(i.Spec.Disks, metal.Disk{Name: "sda", WWID: w})
		}
		if err := api.Create(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = api.Delete(context.Background(), i) })
	}
	cached := testapi.Cache(t, scheme, disks.Index)
	for _, c := range []struct {
		server string
		wwids  []string
		want   map[string]string
	}{
		{"s1", []string{"eui.own", "naa.shared", "", "absent"}, map[string]string{"naa.shared": "s2"}},
		{"s2", []string{"NAA.SHARED", "naa.two"}, map[string]string{"NAA.SHARED": "s1"}},
		{"new", []string{"naa.three", "naa.two"}, map[string]string{"naa.three": "s3", "naa.two": "s2"}},
		{"s3", nil, nil},
	} {
		for kind, f := range map[string]disks.Finder{"index": {Reader: cached, Indexed: true}, "list": {Reader: api}} {
			if got, err := f.Elsewhere(t.Context(), c.server, c.wwids); err != nil || !maps.Equal(got, c.want) {
				t.Errorf("%s, by %s: %v, %v; want %v", c.server, kind, got, err, c.want)
			}
		}
	}
	if _, err := (disks.Finder{Reader: api, Indexed: true}).Elsewhere(t.Context(), "s1", []string{"x"}); err == nil {
		t.Error("control: a reader without the index answered as if it had one")
	}
}
