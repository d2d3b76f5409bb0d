package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// manifests are what the releases of the providers install, and what clusterctl wants to know of them, as TestManifests makes them from their modules.
//
//go:embed manifests
var manifests embed.FS

// modules of the providers.
var modules = map[string]string{
	bootstrapName:    "github.com/siderolabs/cluster-api-bootstrap-provider-talos",
	controlPlaneName: "github.com/siderolabs/cluster-api-control-plane-provider-talos",
}

// other does what is not running them.
func other(out io.Writer, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "release":
		return release(args[1])
	case len(args) == 1 && args[0] == "licence":
		return licence(out)
	}
	return fmt.Errorf("%q is no command; --help lists what there is", strings.Join(args, " "))
}

// release writes both releases into a folder, in the layout of clusterctl's local repositories: LABEL/VERSION/COMPONENTS.
func release(dir string) error {
	built, err := versions()
	if err != nil {
		return err
	}
	for name, module := range modules {
		folder := filepath.Join(dir, name+"-talos", built[module])
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return err
		}
		for from, to := range map[string]string{name + "-components.yaml": name + "-components.yaml", name + "-metadata.yaml": "metadata.yaml"} {
			text, err := manifests.ReadFile("manifests/" + from)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, to), text, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// versions of the modules that this program was built of.
func versions() (map[string]string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("this program was built without a list of its modules")
	}
	all := map[string]string{}
	for _, m := range info.Deps {
		all[m.Path] = m.Version
	}
	return all, nil
}

// licence tells what section 3.2 of the licence wants whoever gets the program to be told.
func licence(out io.Writer) error {
	built, err := versions()
	if err != nil {
		return err
	}
	fmt.Fprint(out, "The providers within this program, and the parts of Talos that they use, are the work of Sidero Labs and contributors, under the Mozilla Public\n"+
		"License, version 2.0 (https://mozilla.org/MPL/2.0/). They are unchanged. The sources of the versions that were built:\n")
	for _, path := range slices.Sorted(maps.Keys(built)) {
		if strings.HasPrefix(path, "github.com/siderolabs/") {
			fmt.Fprintf(out, "  https://%s  %s\n", path, built[path])
		}
	}
	return nil
}
