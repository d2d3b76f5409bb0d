// clusterctl-release writes a release of Ingot as clusterctl reads it from a folder: OUT/infrastructure-ingot/VERSION.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"ingot.dev/ingot/metal-controller/config/clusterctl"
)

func main() {
	out := flag.String("out", "", "the folder of the repository")
	version := flag.String("version", "", "the release, such as v0.1.0")
	image := flag.String("image", "", "the container image of metal-controller")
	flag.Parse()
	if err := write(*out, *version, *image); err != nil {
		fmt.Fprintln(os.Stderr, "clusterctl-release:", err)
		os.Exit(1)
	}
}

func write(out, version, image string) error {
	if out == "" || version == "" || image == "" {
		return errors.New("--out, --version and --image are needed")
	}
	files, err := clusterctl.Release(image)
	if err != nil {
		return err
	}
	dir := filepath.Join(out, clusterctl.Label, version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
