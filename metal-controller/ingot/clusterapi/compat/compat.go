// Package compat decides whether this build's Cluster API may take over what an API server holds already. Layer 1, pure.
package compat

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// Kind is what a CRD says of its versions.
type Kind struct {
	// Versions are those that it defines, Stored those that objects may be stored in (status.storedVersions).
	Versions, Stored []string
}

// Refusal says why what is there must neither be changed nor run on, and what to do; empty when it may. release is what clusterctl's inventory says is installed, empty
// when it has no entry; there are the CRDs that are there, own those of this build, by name.
//
// Newer is never overwritten: the older controllers would drop fields that they do not know. Older is taken over as clusterctl's upgrade does it, by applying the new
// CRDs; Cluster API then rewrites what is stored in versions that go. But a version in which objects are stored must be among those that this build knows.
func Refusal(release, ownRelease string, there, own map[string]Kind) string {
	if newer(release, ownRelease) {
		return fmt.Sprintf("Cluster API %s is installed, and this Ingot contains the older %s. Nothing was changed: run an Ingot that contains %s or newer, or give --cluster-api=false", release, ownRelease, release)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		known := own[name].Versions
		if len(known) == 0 {
			continue
		}
		if v := missing(there[name].Versions, known); v != "" && younger(v, known) {
			return fmt.Sprintf("the CRD %s has the version %s, which Cluster API %s of this Ingot does not know. Nothing was changed: run a newer Ingot, or give --cluster-api=false", name, v, ownRelease)
		}
		if v := missing(there[name].Stored, known); v != "" {
			return fmt.Sprintf("the CRD %s may have objects in the version %s, which Cluster API %s does not read any more. Nothing was changed: "+
				"upgrade Cluster API by `clusterctl upgrade` to a release that has both %s and %s first", name, v, ownRelease, v, strings.Join(known, " or "))
		}
	}
	return ""
}

// newer says whether release a is newer than b; unknown ones are not.
func newer(a, b string) bool {
	x, err := version.ParseSemantic(a)
	if err != nil {
		return false
	}
	y, err := version.ParseSemantic(b)
	return err == nil && y.LessThan(x)
}

// missing is the first of some versions that is not known, or empty.
func missing(some, known []string) string {
	for _, v := range some {
		if !slices.Contains(known, v) {
			return v
		}
	}
	return ""
}
