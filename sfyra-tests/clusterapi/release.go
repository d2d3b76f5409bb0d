package clusterapi

import (
	"os"
	"path/filepath"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

// Version of Cluster API that the nested module builds.
const Version = "v1.14.2"

// manifestsDir is the folder of the core's manifests, which a test of the program's module keeps equal to what Cluster API's own kustomization makes.
const manifestsDir = "metal-controller/ingot/clusterapi/upstream"

// Clusterctl builds the program clusterctl.
func Clusterctl() (string, error) {
	return tool("clusterctl", "sigs.k8s.io/cluster-api/cmd/clusterctl")
}

// Release writes the core's release into a repository folder, as clusterctl reads it: its components and its metadata.
func Release(repository string) (components string, err error) {
	root, err := testapi.Repository()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(repository, "cluster-api", Version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"metadata.yaml", "core-components.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(manifestsDir), name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "core-components.yaml"), nil
}
