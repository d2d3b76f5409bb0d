// Package clusterctl makes what clusterctl installs Ingot from: the same manifests as for kubectl, in one file, the metadata of its releases, templates of clusters,
// and a ClusterClass.
//
// Layer 0: data.
package clusterctl

import (
	"bytes"
	"embed"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"ingot.dev/ingot/crds/manifests"
	"ingot.dev/ingot/metal-controller/config"
)

//go:embed *.yaml
var files embed.FS

// Label is what clusterctl knows the provider's objects by, and its folder in a repository is named.
const Label = "infrastructure-ingot"

// image is what the manifests name for somebody to replace.
const image = "ingot/metal-controller"

// Release are the files of a release by name, with the container image that runs metal-controller.
func Release(controller string) (map[string][]byte, error) {
	components, err := components(controller)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{"infrastructure-components.yaml": components}
	for _, name := range []string{"metadata.yaml", "cluster-template.yaml", "cluster-template-topology.yaml", "clusterclass-ingot.yaml"} {
		if out[name], err = files.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// components is the file infrastructure-components.yaml.
func components(controller string) ([]byte, error) {
	objects, err := objects()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, o := range objects {
		labels := o.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels["cluster.x-k8s.io/provider"] = Label
		o.SetLabels(labels)
		if err := run(o, controller); err != nil {
			return nil, err
		}
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, fmt.Errorf("writing %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.Bytes(), nil
}

// objects are all manifests in an order in which they can be applied.
func objects() ([]*unstructured.Unstructured, error) {
	all, err := config.Objects()
	if err != nil {
		return nil, err
	}
	kinds, err := manifests.Objects()
	if err != nil {
		return nil, err
	}
	settings, err := manifests.Read(files, "talos.yaml", "settings.yaml")
	return append(append(all, kinds...), settings...), err
}

// run replaces the image of a Deployment.
func run(o *unstructured.Unstructured, controller string) error {
	if o.GetKind() != "Deployment" {
		return nil
	}
	containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if err != nil {
		return fmt.Errorf("reading the containers of %s: %w", o.GetName(), err)
	}
	for _, c := range containers {
		if m, ok := c.(map[string]any); ok && m["image"] == image {
			m["image"] = controller
		}
	}
	return unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
}
