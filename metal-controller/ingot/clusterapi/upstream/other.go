package upstream

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ingot.dev/ingot/crds/manifests"
)

// types are those of clusterctl's inventory, by what begins a provider's label.
var types = []struct{ prefix, file, name string }{
	{"bootstrap-", "bootstrap-components.yaml", "BootstrapProvider"},
	{"control-plane-", "control-plane-components.yaml", "ControlPlaneProvider"},
}

// Other are the objects of another provider, as clusterctl would install them from a repository in its layout, LABEL/VERSION/COMPONENTS, with its entry in the inventory.
// The repository has one version of it.
func Other(repository fs.FS, label, namespace string) (objects []*unstructured.Unstructured, version string, err error) {
	for _, t := range types {
		name, ok := strings.CutPrefix(label, t.prefix)
		if !ok {
			continue
		}
		found, err := fs.Glob(repository, path.Join(label, "*", t.file))
		if err != nil {
			return nil, "", err
		}
		if len(found) != 1 {
			return nil, "", fmt.Errorf("there are %d files %s/VERSION/%s, not one", len(found), label, t.file)
		}
		version = path.Base(path.Dir(found[0]))
		if objects, err = manifests.Read(repository, found[0]); err != nil {
			return nil, "", err
		}
		labels := map[string]string{"clusterctl.cluster.x-k8s.io": "", "cluster.x-k8s.io/provider": label}
		entry := entryOf(label, namespace, name, t.name, version, labels)
		return append(installable(objects, labels), entry), version, nil
	}
	return nil, "", fmt.Errorf("%s is no label of a provider", label)
}

// installable are objects with their variables' defaults, and the labels of an installation.
func installable(all []*unstructured.Unstructured, labels map[string]string) []*unstructured.Unstructured {
	for _, o := range all {
		o.SetLabels(merge(o.GetLabels(), labels))
		o.Object = expand(o.Object).(map[string]any) //nolint:forcetypeassert // expand keeps the type
		if o.GetKind() == "Deployment" {             // how many is for who stops it to say; it is one unless somebody does
			unstructured.RemoveNestedField(o.Object, "spec", "replicas")
		}
	}
	return all
}

// entryOf is an entry of clusterctl's inventory.
func entryOf(label, namespace, provider, typ, version string, labels map[string]string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "clusterctl.cluster.x-k8s.io/v1alpha3", "kind": "Provider", "providerName": provider, "type": typ, "version": version, "watchedNamespace": "",
	}}
	o.SetNamespace(namespace)
	o.SetName(label)
	o.SetLabels(merge(map[string]string{"clusterctl.cluster.x-k8s.io/core": "inventory"}, labels))
	return o
}
