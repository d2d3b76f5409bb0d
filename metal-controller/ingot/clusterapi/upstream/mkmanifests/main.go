// Program mkmanifests writes the manifests of Cluster API's core and of clusterctl's inventory from the module in go.mod. `make generate` runs it, and the test of the
// package upstream compares.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"ingot.dev/ingot/metal-controller/ingot/clusterapi/upstream/mkmanifests/render"
)

func main() {
	out := flag.String("out", ".", "`folder` to write to")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "mkmanifests:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	files, err := render.Files()
	if err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil { //nolint:gosec // sources are for everybody to read
			return err
		}
	}
	return nil
}
