package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what is made, rather than compare with it")

// kubectl is where a module names that program, which has kustomize in it and of which nothing else is wanted here.
const kubectl = "../ingot"

// TestManifests: what is committed is what the modules' own kustomization makes of the versions in go.mod. With -rewrite it is written.
func TestManifests(t *testing.T) {
	for name, module := range modules {
		dir, version := source(t, module)
		metadata, err := os.ReadFile(filepath.Join(dir, "config", "metadata", "metadata.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string][]byte{"components": components(t, dir, version), "metadata": metadata} {
			file := filepath.Join("manifests", name+"-"+what+".yaml")
			text = append(head(module, version), text...)
			if *rewrite {
				if err := os.WriteFile(file, text, 0o644); err != nil { //nolint:gosec // a file of the source tree
					t.Fatal(err)
				}
			}
			if kept, err := os.ReadFile(file); err != nil || !bytes.Equal(kept, text) {
				t.Errorf("%s is not what %s %s makes (%v): `make generate` writes it", file, module, version, err)
			}
		}
	}
}

// head says where a file is from. Their licence covers what is made of their files.
func head(module, version string) []byte {
	return fmt.Appendf(nil, "# Made by `make generate` from the files of https://%s, %s.\n"+
		"# This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0 (https://mozilla.org/MPL/2.0/).\n", module, version)
}

// source is where a module's files are.
func source(t *testing.T, module string) (dir, version string) {
	t.Helper()
	out, err := command(".", "go", "list", "-m", "-f", "{{.Dir}} {{.Version}}", module)
	if err != nil {
		t.Fatal(err)
	}
	dir, version, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if !ok || dir == "" {
		t.Fatalf("%s has no folder", module)
	}
	return dir, version
}

// components are the objects of a release, with the image of that release, as its own build sets it.
func components(t *testing.T, dir, version string) []byte {
	t.Helper()
	out, err := command(kubectl, "go", "tool", "kubectl", "kustomize", filepath.Join(dir, "config", "default"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(out, []byte("controller:latest\n")); n != 1 {
		t.Fatalf("%d images, not one", n)
	}
	return bytes.Replace(out, []byte("controller:latest\n"), []byte("controller:"+version+"\n"), 1)
}

// command is what a program prints.
func command(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var said bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return out, nil
}
