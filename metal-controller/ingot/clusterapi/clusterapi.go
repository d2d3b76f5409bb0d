// Package clusterapi puts Cluster API beside the embedded control plane: its core in this process, certificates for webhooks without cert-manager, and the launcher
// of what clusterctl installs. Layer 4, wiring.
package clusterapi

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/ingot/clusterapi/core"
	"ingot.dev/ingot/metal-controller/ingot/clusterapi/launcher"
	"ingot.dev/ingot/metal-controller/ingot/clusterapi/upstream"
	"ingot.dev/ingot/metal-controller/ingot/up"
)

// folder of Cluster API in the state folder.
const folder = "providers"

// Service is Cluster API as a part of `ingot up`. It starts after what machines need to boot. alone says that Ingot's own controllers do not run in this process.
func Service(alone bool) up.Service {
	return up.Service{Name: "Cluster API", Quiet: true, Start: func(ctx context.Context, env up.Env) (func() error, error) { return start(ctx, env, alone) }}
}

func start(ctx context.Context, env up.Env, alone bool) (func() error, error) {
	dir := filepath.Join(env.StateDir, folder)
	all, err := programs(alone)
	if err != nil {
		return nil, err
	}
	talos, err := talosProviders(ctx, dir)
	if err != nil { // what is broken beside this program is no reason not to boot machines
		env.Say("%s does not run: %v", talosProgram, err)
	}
	all = append(all, talos...)
	kinds, err := upstream.Inventory()
	if err != nil {
		return nil, err
	}
	logger := logr.FromSlogHandler(slog.NewTextHandler(env.Log, nil))
	ctrl.SetLogger(logger) // controller-runtime has one logger for the whole process; it is the same that the controllers have
	return launcher.Start(ctx, launcher.Config{
		ControlPlane: env.ControlPlane, Programs: all, Kinds: kinds, Dir: dir, Log: env.Log, Say: env.Say, Stage: env.Stage, Now: time.Now,
	}, logger)
}

// programs are what the launcher can run. A provider that is not among them is left alone.
func programs(alone bool) ([]launcher.Program, error) {
	objects, err := upstream.Core()
	if err != nil {
		return nil, fmt.Errorf("reading the manifests of Cluster API: %w", err)
	}
	own := launcher.Provider{
		Label: upstream.Label, Version: upstream.Version, Namespace: upstream.Namespace, Deployment: upstream.Deployment, Account: upstream.Account, Service: upstream.Service,
	}
	all := []launcher.Program{{
		Name: "cluster-api", Objects: objects, Refuse: refusal(objects, own), Providers: []launcher.Provider{own},
		Run: func(ctx context.Context, n int, places []launcher.Place, ready func()) error {
			return core.Run(ctx, places[0], n, ready)
		},
	}}
	if !alone {
		all = append(all, launcher.Program{
			Name:      "ingot",
			Providers: []launcher.Provider{{Label: "infrastructure-ingot", Version: version.Version, Namespace: v1alpha1.SystemNamespace, Deployment: "metal-controller"}},
		})
	}
	return all, nil
}
