package main

import (
	"slices"
	"strings"
	"testing"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

// TestFrugal: the API server keeps no second copy of Servers and their inventories, of which there are thousands; of what is few it does.
func TestFrugal(t *testing.T) {
	api := clientset(t, testapi.Config(t).AdminConfig).Discovery().RESTClient()
	for _, resource := range []string{"servers", "serverinventories", "serverclasses"} {
		if err := api.Get().AbsPath("/apis/metal.ingot.dev/v1alpha1", resource).Do(t.Context()).Error(); err != nil {
			t.Fatal(err) // a resource's storage, and its cache, are made when it is first asked for
		}
	}
	text, err := api.Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cached := func(resource string) bool {
		return slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
			return strings.HasPrefix(line, "apiserver_watch_cache_") && strings.Contains(line, `group="metal.ingot.dev"`) && strings.Contains(line, `resource="`+resource+`"`)
		})
	}
	for resource, want := range map[string]bool{"servers": false, "serverinventories": false, "serverclasses": true} {
		if got := cached(resource); got != want {
			t.Errorf("a watch cache of %s: %v, want %v", resource, got, want)
		}
	}
}
