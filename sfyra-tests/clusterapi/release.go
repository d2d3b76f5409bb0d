package clusterapi

import (
	"fmt"
	"os"
	"path/filepath"
)

// Version of Cluster API that the nested module builds.
const Version = "v1.14.2"

// Clusterctl builds the program clusterctl.
func Clusterctl() (string, error) {
	return tool("clusterctl", "sigs.k8s.io/cluster-api/cmd/clusterctl")
}

// Release writes the core's release into a repository folder, as clusterctl reads it: its components made by its own kustomization, and its metadata.
func Release(repository string) (components string, err error) {
	kustomize, err := tool("kustomize", "sigs.k8s.io/kustomize/kustomize/v5")
	if err != nil {
		return "", err
	}
	source, err := sources()
	if err != nil {
		return "", err
	}
	text, err := run(source, kustomize, "build", filepath.Join(source, "core", "config", "default"))
	if err != nil {
		return "", fmt.Errorf("making the core's components: %w\n%s", err, text)
	}
	metadata, err := os.ReadFile(filepath.Join(source, "metadata.yaml"))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(repository, "cluster-api", Version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "metadata.yaml"), metadata, 0o600); err != nil {
		return "", err
	}
	components = filepath.Join(dir, "core-components.yaml")
	return components, os.WriteFile(components, []byte(text), 0o600)
}
