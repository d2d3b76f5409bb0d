package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"ingot.dev/ingot/metal-controller/ingot/clusterapi/certificates"
	"ingot.dev/ingot/metal-controller/ingot/controlplane"
)

// ControlPlane is what the launcher needs of it.
type ControlPlane interface {
	AdminConfig() *rest.Config
	AccountConfig(namespace, name, kubeconfig string) (*rest.Config, error)
	Webhooks() (*controlplane.Authority, *controlplane.Endpoints)
}

// Config says what to run, and where.
type Config struct {
	ControlPlane ControlPlane
	Programs     []Program
	// Kinds are CRDs that are there before anything runs.
	Kinds []*unstructured.Unstructured
	// Dir is a folder of the launcher's own.
	Dir string
	Log io.Writer
	// Say tells a person what they have to know.
	Say func(format string, args ...any)
	// Stage tells that a program is ready, of those that run without clusterctl.
	Stage func(name string)
	Now   func() time.Time
}

// Start returns once each program that runs without clusterctl is ready, or has failed or been refused for the first time: both are told, and neither ends the
// launcher, which runs until ctx ends. The returned function waits for its end.
func Start(ctx context.Context, c Config, logger logr.Logger) (wait func() error, err error) {
	cfg := c.ControlPlane.AdminConfig()
	cfg.QPS = -1 // the API server is in this process
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	direct, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making the launcher's client: %w", err)
	}
	if err := prepare(ctx, c, cfg, direct); err != nil {
		return nil, err
	}
	m, err := newManager(cfg, scheme, logger)
	if err != nil {
		return nil, fmt.Errorf("making the launcher's manager: %w", err)
	}
	authority, _ := c.ControlPlane.Webhooks()
	if err := certificates.Add(m, authority, c.Now); err != nil {
		return nil, err
	}
	l := newLauncher(c, direct)
	if err := (&deployments{client: m.GetClient(), launcher: l, events: m.GetEventRecorder("ingot-launcher"), now: c.Now}).add(m); err != nil {
		return nil, fmt.Errorf("adding the controller of Deployments: %w", err)
	}
	if err := l.recall(ctx, direct); err != nil {
		return nil, err
	}
	wait, err = l.start(ctx, m)
	if err != nil {
		return nil, err
	}
	for _, s := range l.programs {
		if len(s.program.Objects) > 0 && s.now().phase == running {
			c.Stage(s.program.Name + " " + s.program.Providers[0].Version)
		}
	}
	return wait, nil
}

// prepare applies the kinds that the controllers watch.
func prepare(ctx context.Context, c Config, cfg *rest.Config, direct client.Client) error {
	kinds, err := certificates.CRDs(ctx, direct)
	if err != nil {
		return err
	}
	if err := controlplane.Apply(ctx, cfg, append(kinds, c.Kinds...)); err != nil {
		return fmt.Errorf("preparing for providers of Cluster API: %w", err)
	}
	return nil
}

func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(clientgoscheme.AddToScheme(s), apiextensionsv1.AddToScheme(s))
}

func newManager(cfg *rest.Config, scheme *runtime.Scheme, logger logr.Logger) (ctrl.Manager, error) {
	again := true
	return ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme, Logger: logger, Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &again},
		Client: client.Options{Cache: &client.CacheOptions{Unstructured: true, DisableFor: uncached()}},
	})
}

// launcher is the running programs.
type launcher struct {
	programs []*supervisor
	changed  chan struct{} // wakes the controller of Deployments
}

func newLauncher(c Config, direct client.Client) *launcher {
	l := &launcher{changed: make(chan struct{}, 1)}
	for _, p := range c.Programs {
		l.programs = append(l.programs, newSupervisor(p, &site{config: c, client: direct}, l.wake))
	}
	return l
}

func (l *launcher) wake() {
	select {
	case l.changed <- struct{}{}:
	default: // it is awake already
	}
}

// find is the program and the provider of a Deployment.
func (l *launcher) find(key client.ObjectKey) (*supervisor, *Provider) {
	for _, s := range l.programs {
		for i, p := range s.program.Providers {
			if p.Namespace == key.Namespace && p.Deployment == key.Name {
				return s, &s.program.Providers[i]
			}
		}
	}
	return nil, nil
}

// start runs everything: first the programs that need no Deployment, so that what they refuse is told before their Deployments are judged.
func (l *launcher) start(ctx context.Context, m ctrl.Manager) (func() error, error) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, s := range l.programs {
		wg.Go(func() { s.run(ctx) })
	}
	for _, s := range l.programs {
		select {
		case <-s.settled:
		case <-ctx.Done():
			stop()
			wg.Wait()
			return nil, errors.New("the launcher ended while it started")
		}
	}
	var managerErr error
	wg.Go(func() {
		defer stop() // programs without the launcher would be told of by nobody
		managerErr = m.Start(ctx)
	})
	return func() error {
		wg.Wait()
		return managerErr
	}, nil
}

// recall stops programs from the start whose Deployments somebody scaled to zero before.
func (l *launcher) recall(ctx context.Context, direct client.Client) error {
	for _, s := range l.programs {
		for _, p := range s.program.Providers {
			var d appsv1.Deployment
			err := direct.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: p.Deployment}, &d)
			if client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("looking for the Deployment %s: %w", p.Deployment, err)
			}
			if err == nil && d.Spec.Replicas != nil && *d.Spec.Replicas == 0 && s.program.Run != nil {
				s.observe(p.Deployment, false)
				s.settle()
			}
		}
	}
	return nil
}
