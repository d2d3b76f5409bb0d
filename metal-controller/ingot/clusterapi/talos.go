package clusterapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/metal-controller/ingot/clusterapi/launcher"
	"ingot.dev/ingot/metal-controller/ingot/clusterapi/upstream"
)

// talosProgram is the program of the Talos providers. It lies beside this one: it is built of an older Cluster API, which one program cannot have twice.
const talosProgram = "talos-providers"

// releaseLimit is how long it may take to write what its providers install.
const releaseLimit = time.Minute

// talosProviders is the row of the Talos providers; none where their program is not beside this one.
func talosProviders(ctx context.Context, dir string) ([]launcher.Program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("looking for %s beside this program: %w", talosProgram, err)
	}
	path := filepath.Join(filepath.Dir(self), talosProgram)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	p := launcher.Program{Name: talosProgram, Run: launcher.Child(path, talosArgs)}
	releases, err := releasesOf(ctx, path, filepath.Join(dir, talosProgram, "releases"))
	if err != nil {
		return nil, err
	}
	var refuse []func(context.Context, client.Client) error
	for _, x := range []launcher.Provider{
		{Label: "bootstrap-talos", Namespace: "cabpt-system", Deployment: "cabpt-controller-manager", Account: "default", Service: "cabpt-webhook-service"},
		{Label: "control-plane-talos", Namespace: "cacppt-system", Deployment: "cacppt-controller-manager", Account: "default", Service: "cacppt-webhook-service"},
	} {
		var objects []*unstructured.Unstructured
		if objects, x.Version, err = upstream.Other(releases, x.Label, x.Namespace); err != nil {
			return nil, fmt.Errorf("reading the release of %s: %w", x.Label, err)
		}
		p.Providers, p.Objects, refuse = append(p.Providers, x), append(p.Objects, objects...), append(refuse, refusal(objects, x))
	}
	p.Refuse = func(ctx context.Context, c client.Client) error {
		var errs []error
		for _, r := range refuse {
			errs = append(errs, r(ctx, c))
		}
		return errors.Join(errs...)
	}
	return []launcher.Program{p}, nil
}

// releasesOf lets the program write the releases of its providers, so that what is installed is what runs.
func releasesOf(ctx context.Context, path, dir string) (fs.FS, error) {
	if err := os.RemoveAll(dir); err != nil { // those of another build
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	if out, err := exec.CommandContext(ctx, path, "release", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("asking %s what it installs: %w: %s", path, err, out)
	}
	return os.DirFS(dir), nil
}

// talosArgs are the program's arguments at its places, which are in the order of its providers.
func talosArgs(places []launcher.Place) (args []string) {
	for i, name := range []string{"bootstrap", "control-plane"} {
		p := places[i]
		args = append(args, "--"+name+"-kubeconfig", p.Kubeconfig, "--"+name+"-webhook-address", p.Address.String(), "--"+name+"-webhook-certs", p.CertDir)
	}
	return args
}
