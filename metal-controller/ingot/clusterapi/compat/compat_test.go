package compat_test

import (
	"strings"
	"testing"

	"ingot.dev/ingot/metal-controller/ingot/clusterapi/compat"
)

// TestRefusal: newer is left alone, older is taken over unless its objects could not be read any more.
func TestRefusal(t *testing.T) {
	kind := func(versions, stored string) map[string]compat.Kind {
		return map[string]compat.Kind{"clusters.cluster.x-k8s.io": {Versions: strings.Fields(versions), Stored: strings.Fields(stored)}}
	}
	own := kind("v1beta1 v1beta2", "")
	for _, c := range []struct {
		name, release string
		there         map[string]compat.Kind
		want          string
	}{
		{name: "nothing is there"},
		{name: "the same", release: "v1.14.2", there: kind("v1beta1 v1beta2", "v1beta2")},
		{name: "older by its release, and stored in a version that goes on", release: "v1.9.4", there: kind("v1beta1", "v1beta1")},
		{name: "older, with a version that was never stored", there: kind("v1alpha4 v1beta1", "v1beta1")},
		{name: "older, and stored in a version that is gone", release: "v1.2.0", there: kind("v1alpha4 v1beta1", "v1alpha4 v1beta1"), want: "v1alpha4"},
		{name: "newer by its release", release: "v1.14.3", there: kind("v1beta1 v1beta2", "v1beta2"), want: "contains the older v1.14.2"},
		{name: "newer by its minor release", release: "v1.15.0", want: "v1.15.0"},
		{name: "newer by a version that nobody installed with clusterctl", there: kind("v1beta2 v1", "v1beta2"), want: "the version v1,"},
		{name: "a release that is no version", release: "main", there: kind("v1beta1 v1beta2", "v1beta2")},
		{name: "somebody else's kind", there: map[string]compat.Kind{"x.example.org": {Versions: []string{"v9"}, Stored: []string{"v9"}}}},
	} {
		got := compat.Refusal(c.release, "v1.14.2", c.there, own)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
