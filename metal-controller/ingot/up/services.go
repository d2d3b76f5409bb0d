package up

import (
	"context"
	"errors"
	"fmt"
)

// running is a started Service.
type running struct {
	name  string
	stop  context.CancelFunc
	ended chan struct{}
	err   error // valid once ended is closed
}

// beside starts the services, tells the user what to do next, and returns when ctx ends or a part fails, with all services ended.
func beside(ctx context.Context, services []Service, env Env, p *progress) error {
	failed := make(chan error, len(services)+1)
	var started []*running
	for _, s := range services {
		r, err := start(ctx, s, env, failed)
		if err != nil {
			return errors.Join(err, stopAll(started))
		}
		started = append(started, r)
		if !s.Quiet {
			p.stage(s.Name)
		}
	}
	p.ready(env)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-env.ControlPlane.Done():
		err = errors.New("the control plane ended")
	}
	return errors.Join(err, stopAll(started))
}

// start starts one service under a context of its own, so that services end one after the other rather than all at once.
func start(ctx context.Context, s Service, env Env, failed chan<- error) (*running, error) {
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	wait, err := s.Start(own, env)
	if err != nil {
		stop()
		return nil, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	r := &running{name: s.Name, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = wait()
		if own.Err() == nil {
			failed <- fmt.Errorf("%s ended by itself", s.Name)
		}
	}()
	return r, nil
}

// stopAll ends the services, the last started first.
func stopAll(started []*running) error {
	var errs []error
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		r.stop()
		<-r.ended
		if r.err != nil {
			errs = append(errs, fmt.Errorf("running %s: %w", r.name, r.err))
		}
	}
	return errors.Join(errs...)
}
