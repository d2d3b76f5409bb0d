package launcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/metal-controller/ingot/controlplane"
	"ingot.dev/ingot/metal-controller/ingot/statedir"
)

const (
	// certLife is how long a certificate of webhooks is valid, certCheck how often it is looked at, and probes of the webhooks are as often as probeEvery.
	certLife   = 30 * 24 * time.Hour
	certCheck  = time.Hour
	probeEvery = 30 * time.Second
	// silences is after how many probes without an answer a program is ended, to be run again.
	silences = 3
)

// site is where programs run.
type site struct {
	config Config
	client client.Client
}

func (s *site) say(format string, args ...any) { s.config.Say(format, args...) }

// run prepares a program's places and runs it there.
func (s *site) run(ctx context.Context, p Program, n int, ready func()) error {
	if p.Refuse != nil {
		if err := p.Refuse(ctx, s.client); err != nil {
			return err
		}
	}
	places, err := s.places(p)
	if err != nil {
		return fmt.Errorf("preparing %s: %w", p.Name, err)
	}
	defer s.leave(p)
	if err := s.apply(ctx, p); err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	isReady := make(chan struct{})
	go func() {
		select {
		case <-isReady:
			ready()
			s.watch(ctx, p, places, end)
		case <-ctx.Done():
		}
	}()
	err = p.Run(ctx, n, places, sync.OnceFunc(func() { close(isReady) }))
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

// apply applies a program's objects, with the authority of webhooks in them from the start.
func (s *site) apply(ctx context.Context, p Program) error {
	if len(p.Objects) == 0 {
		return nil
	}
	authority, _ := s.config.ControlPlane.Webhooks()
	objects, err := withAuthority(p.Objects, authority.Bundle())
	if err != nil {
		return err
	}
	if err := controlplane.Apply(ctx, s.config.ControlPlane.AdminConfig(), objects); err != nil {
		return fmt.Errorf("applying the manifests of %s: %w", p.Name, err)
	}
	return nil
}

// places makes a place for each provider, and leads the API server there.
func (s *site) places(p Program) ([]Place, error) {
	_, endpoints := s.config.ControlPlane.Webhooks()
	var all []Place
	for _, x := range p.Providers {
		place, err := s.place(filepath.Join(s.config.Dir, p.Name, x.Label), x)
		if err != nil {
			return nil, err
		}
		if x.Service != "" {
			endpoints.Set(x.Namespace, x.Service, place.Address)
		}
		all = append(all, place)
	}
	return all, nil
}

// leave says that nothing is at the places any more.
func (s *site) leave(p Program) {
	_, endpoints := s.config.ControlPlane.Webhooks()
	for _, x := range p.Providers {
		endpoints.Remove(x.Namespace, x.Service)
	}
}

func (s *site) place(dir string, p Provider) (Place, error) {
	place := Place{Dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig"), Log: s.config.Log}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return place, err
	}
	var err error
	if place.REST, err = s.config.ControlPlane.AccountConfig(p.Namespace, p.Account, place.Kubeconfig); err != nil || p.Service == "" {
		return place, err
	}
	place.name, place.CertDir = p.Service+"."+p.Namespace+".svc", filepath.Join(dir, "certificate")
	if place.Address, err = freeAddress(); err != nil {
		return place, err
	}
	if err := os.MkdirAll(place.CertDir, 0o700); err != nil {
		return place, err
	}
	return place, s.renew(place)
}

// freeAddress is one that nothing listens on. Where somebody else takes it first, the run fails and the next one gets another.
func freeAddress() (netip.AddrPort, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	return netip.ParseAddrPort(l.Addr().String())
}

// renew writes a new certificate where there is no good one.
func (s *site) renew(p Place) error {
	if p.CertDir == "" {
		return nil
	}
	authority, _ := s.config.ControlPlane.Webhooks()
	if fresh(p, authority.Bundle(), s.config.Now()) {
		return nil
	}
	cert, key, err := authority.Serving([]string{p.name}, s.config.Now(), certLife)
	if err != nil {
		return err
	}
	return errors.Join(
		statedir.WriteFile(filepath.Join(p.CertDir, keyFile), key, 0o600),
		statedir.WriteFile(filepath.Join(p.CertDir, certFile), cert, 0o600),
		statedir.WriteFile(filepath.Join(p.CertDir, caFile), authority.Bundle(), 0o600))
}

// watch renews certificates, and ends a program whose webhooks do not answer any more.
func (s *site) watch(ctx context.Context, p Program, places []Place, end context.CancelCauseFunc) {
	probe, check := time.NewTicker(probeEvery), time.NewTicker(certCheck)
	defer probe.Stop()
	defer check.Stop()
	silent := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
			for _, place := range places {
				if err := s.renew(place); err != nil {
					s.say("the certificate of %s cannot be renewed: %v", p.Name, err)
				}
			}
		case <-probe.C:
			err := answer(ctx, places)
			if silent++; err == nil {
				silent = 0
			}
			if silent >= silences {
				end(fmt.Errorf("its webhooks did not answer %d times: %w", silent, err))
				return
			}
		}
	}
}
