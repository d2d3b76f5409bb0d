// Package manifests embeds what an API server needs to serve Ingot's API: CustomResourceDefinitions, generated from the Go types, and
// ValidatingAdmissionPolicies and the rights of Cluster API, written by hand. It is layer 0: apimachinery only.
package manifests

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

//go:embed crd/*.yaml policy/*.yaml rbac/*.yaml
var files embed.FS

// Objects are all manifests in an order in which they can be applied: CustomResourceDefinitions first.
func Objects() ([]*unstructured.Unstructured, error) {
	return Read(files, "crd/*.yaml", "policy/*.yaml", "rbac/*.yaml")
}

// Read decodes the YAML documents of the files that the patterns match, in that order; files of one pattern are in the order of their names.
func Read(files fs.FS, patterns ...string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, pattern := range patterns {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			return nil, fmt.Errorf("looking for embedded manifests: %w", err)
		}
		for _, name := range names {
			objects, err := read(files, name)
			if err != nil {
				return nil, fmt.Errorf("reading embedded manifest %s: %w", name, err)
			}
			all = append(all, objects...)
		}
	}
	return all, nil
}

// read decodes the YAML documents of one file, skipping empty ones.
func read(files fs.FS, name string) ([]*unstructured.Unstructured, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096); ; {
		object := map[string]any{}
		switch err := d.Decode(&object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		case len(object) > 0:
			objects = append(objects, &unstructured.Unstructured{Object: object})
		}
	}
}
