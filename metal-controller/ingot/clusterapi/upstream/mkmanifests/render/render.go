// Package render makes the manifests of Cluster API's core from its module, by its own kustomization.
package render

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// module is where the manifests come from.
const module = "sigs.k8s.io/cluster-api"

// The image in the module's manifests is that of its main branch; releases name their own.
const branchImage, releaseImage = "gcr.io/k8s-staging-cluster-api/cluster-api-controller:main", "registry.k8s.io/cluster-api/cluster-api-controller:"

const notice = "# Generated from the module " + module + " %s (Apache-2.0, Copyright The Kubernetes Authors) by mkmanifests. DO NOT EDIT.\n"

// Files are the generated files by name.
func Files() (map[string][]byte, error) {
	dir, version, err := Module()
	if err != nil {
		return nil, err
	}
	core, err := kustomize(filepath.Join(dir, "core", "config", "default"))
	if err != nil {
		return nil, err
	}
	if !strings.Contains(core, branchImage) {
		return nil, fmt.Errorf("the manifests of %s %s do not name the image %s any more", module, version, branchImage)
	}
	inventory, err := os.ReadFile(filepath.Join(dir, "cmd", "clusterctl", "config", "manifest", "clusterctl-api.yaml"))
	if err != nil {
		return nil, err
	}
	metadata, err := os.ReadFile(filepath.Join(dir, "metadata.yaml"))
	head := fmt.Sprintf(notice, version)
	return map[string][]byte{
		"core-components.yaml": []byte(head + strings.ReplaceAll(core, branchImage, releaseImage+version)),
		"clusterctl-api.yaml":  append([]byte(head), inventory...),
		"metadata.yaml":        append([]byte(head), metadata...),
	}, err
}

// Module is where the sources of Cluster API are, and their version.
func Module() (dir, version string, err error) {
	out, err := exec.Command("go", "list", "-m", "-json", module).Output()
	if err != nil {
		return "", "", fmt.Errorf("looking for %s: %w", module, err)
	}
	var m struct{ Dir, Version string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", "", err
	}
	if m.Dir == "" {
		return "", "", fmt.Errorf("the sources of %s are not there: go mod download %s", module, module)
	}
	return m.Dir, m.Version, nil
}

func kustomize(dir string) (string, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return "", fmt.Errorf("making the manifests in %s: %w", dir, err)
	}
	text, err := resources.AsYaml()
	return string(text), err
}
