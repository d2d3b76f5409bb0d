// Package upstream holds the manifests of Cluster API's core, as its own kustomization makes them, and of clusterctl's inventory. They are generated from their module
// by the program in mkmanifests, since no package can embed files of another module. Layer 0: data.
package upstream

import (
	"embed"
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ingot.dev/ingot/crds/manifests"
)

//go:generate go run ./mkmanifests --out .

//go:embed core-components.yaml clusterctl-api.yaml
var files embed.FS

// Version is the release of Cluster API in this build. A test compares it with the module's.
const Version = "v1.14.2"

// What clusterctl knows the core by.
const (
	Namespace  = "capi-system"
	Label      = "cluster-api"
	Deployment = "capi-controller-manager"
	Account    = "capi-manager"
	Service    = "capi-webhook-service"
)

// clusterctlLabels are what clusterctl finds the objects of an installation by.
var clusterctlLabels = map[string]string{"clusterctl.cluster.x-k8s.io": "", "cluster.x-k8s.io/provider": Label}

// Components is the file core-components.yaml of a release, for clusterctl's repositories.
func Components() ([]byte, error) { return files.ReadFile("core-components.yaml") }

// Core are the core's objects, as clusterctl would install them with ClusterClasses switched on, and the entry of clusterctl's inventory that says so.
func Core() ([]*unstructured.Unstructured, error) {
	all, err := manifests.Read(files, "core-components.yaml")
	if err != nil {
		return nil, err
	}
	return append(installable(all, clusterctlLabels), entryOf(Label, Namespace, "cluster-api", "CoreProvider", Version, clusterctlLabels)), nil
}

// Inventory is the CRD of clusterctl's inventory.
func Inventory() ([]*unstructured.Unstructured, error) {
	return manifests.Read(files, "clusterctl-api.yaml")
}

func merge(a, b map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{a, b} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// variable is what clusterctl replaces: ${NAME:=DEFAULT}.
var variable = regexp.MustCompile(`\$\{(\w+):=([^}]*)\}`)

// chosen are values other than the defaults.
var chosen = map[string]string{"CLUSTER_TOPOLOGY": "true"}

// expand replaces the variables in all texts of a value.
func expand(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = expand(v[k])
		}
	case []any:
		for i := range v {
			v[i] = expand(v[i])
		}
	case string:
		return variable.ReplaceAllStringFunc(v, func(m string) string {
			parts := variable.FindStringSubmatch(m)
			if value, ok := chosen[parts[1]]; ok {
				return value
			}
			return parts[2]
		})
	}
	return v
}
