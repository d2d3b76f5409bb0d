package ingotcluster_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotcluster"
)

// TestDecide: the infrastructure is there once the endpoint is known, from here or from the Cluster; half an endpoint is none.
func TestDecide(t *testing.T) {
	own := func(host string, port int32) *infra.IngotCluster {
		return &infra.IngotCluster{Spec: infra.IngotClusterSpec{ControlPlaneEndpoint: infra.APIEndpoint{Host: host, Port: port}}}
	}
	cluster := func(host string, port int32) *clusterv1.Cluster {
		return &clusterv1.Cluster{Spec: clusterv1.ClusterSpec{ControlPlaneEndpoint: clusterv1.APIEndpoint{Host: host, Port: port}}}
	}
	for name, c := range map[string]struct {
		own    *infra.IngotCluster
		owner  *clusterv1.Cluster
		reason string
	}{
		"nobody owns it":        {own("a", 6443), nil, reasons.ClusterMissing},
		"no endpoint":           {own("", 0), cluster("", 0), reasons.EndpointMissing},
		"a host alone":          {own("a", 0), cluster("", 0), reasons.EndpointMissing},
		"a port alone":          {own("", 6443), cluster("b", 0), reasons.EndpointMissing},
		"its own":               {own("a", 6443), cluster("", 0), reasons.EndpointKnown},
		"that of the Cluster":   {own("", 0), cluster("b", 6443), reasons.EndpointKnown},
		"both of them, in part": {own("a", 0), cluster("b", 6443), reasons.EndpointKnown},
	} {
		got := ingotcluster.Decide(c.own, c.owner)
		if got.Reason != c.reason || got.Message == "" || (got.Status == metav1.ConditionTrue) != (c.reason == reasons.EndpointKnown) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
