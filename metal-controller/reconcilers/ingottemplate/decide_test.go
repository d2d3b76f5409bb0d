package ingottemplate_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/reconcilers/ingottemplate"
)

// TestDecide: a template has the capacity of its class, and an architecture where there is one; nothing is made up for a class without servers.
func TestDecide(t *testing.T) {
	template := &infra.IngotMachineTemplate{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	capacity := map[string]resource.Quantity{"cpu": resource.MustParse("8"), "memory": resource.MustParse("16Gi")}
	class := func(capacity map[string]resource.Quantity, architectures ...string) *metal.ServerClass {
		return &metal.ServerClass{Status: metal.ServerClassStatus{Capacity: capacity, Architectures: architectures}}
	}
	for name, c := range map[string]struct {
		class        *metal.ServerClass
		reason, arch string
	}{
		"no class":          {nil, reasons.ClassMissing, ""},
		"no server":         {class(nil), reasons.NoMatchingServer, ""},
		"one architecture":  {class(capacity, "arm64"), reasons.ClassReady, "arm64"},
		"two architectures": {class(capacity, "amd64", "arm64"), reasons.ClassReady, ""},
	} {
		s, ready := ingottemplate.Decide(template, c.class)
		known := c.reason == reasons.ClassReady
		if ready.Reason != c.reason || (ready.Status == metav1.ConditionTrue) != known || s.NodeInfo.Architecture != c.arch || s.ObservedGeneration != 2 {
			t.Errorf("%s: %+v %+v", name, s, ready)
		}
		if (len(s.Capacity) == 2) != known || (s.NodeInfo.OperatingSystem == "linux") != known {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
