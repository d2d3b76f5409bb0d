package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"

	"k8s.io/client-go/rest"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// startAPI runs the API server and the controllers on a running etcd. When it fails, everything has ended again.
func (c *ControlPlane) startAPI(ctx context.Context, o Options, keys *pki, listener net.Listener) error {
	run, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	c.stop = stop
	var ready manifestsReady
	defer app.SetServiceResolverForTests(c.endpoints)() // the way in that there is, whatever its name says; it is read while the server is built
	server, err := newServer(run, serverOptions(o.Dir, listener, c.etcd.url, keys), ready.check())
	if err != nil {
		stop(err)
		c.etcd.stop()
		return errors.Join(err, listener.Close())
	}
	go c.serve(run, server)
	wait, err := c.bringUp(ctx, run, o, keys, server.GenericAPIServer.LoopbackClientConfig)
	go c.finish(wait)
	if err != nil {
		stop(err)
		<-c.done
		return err
	}
	ready.Store(true)
	return nil
}

// bringUp waits for the API server, starts the controllers and applies the manifests; it gives up when the server ends or ctx does.
// The function that it returns waits for the end of the controllers, also after an error.
func (c *ControlPlane) bringUp(ctx, run context.Context, o Options, keys *pki, loopback *rest.Config) (func(), error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-c.served:
			cancel(errors.New("the API server ended"))
		case <-ctx.Done():
		}
	}()
	none := func() {}
	if err := waitServing(ctx, loopback); err != nil {
		return none, fmt.Errorf("waiting for the API server: %w", err)
	}
	o.Stage("API server")
	wait, err := startControllers(run, loopback, keys.signerFile, keys.serverCA.certPEM())
	if err != nil {
		return none, err
	}
	if err := applyAll(ctx, loopback); err != nil {
		return wait, err
	}
	o.Stage("manifests")
	return wait, nil
}

// serve runs the API server until Stop or a failure.
func (c *ControlPlane) serve(run context.Context, server *aggregator.APIAggregator) {
	defer close(c.served)
	go c.watchEtcd(run)
	prepared, err := server.PrepareRun()
	if err == nil {
		err = prepared.Run(run)
	}
	cause := context.Cause(run)
	switch {
	case err != nil:
		c.err = fmt.Errorf("running the API server: %w", err)
	case cause == nil:
		c.err = errors.New("the API server ended by itself; see the log")
	case !errors.Is(cause, errStopped):
		c.err = cause
	}
}

// finish ends the rest once the API server has ended: controllers, then etcd.
func (c *ControlPlane) finish(waitControllers func()) {
	defer close(c.done)
	<-c.served
	c.stop(errStopped)
	waitControllers()
	c.etcd.stop()
}

// watchEtcd ends the API server when etcd ends first, for example because the disk is full or broken.
func (c *ControlPlane) watchEtcd(run context.Context) {
	var err error
	select {
	case <-run.Done():
		return
	case err = <-c.etcd.Err():
	case <-c.etcd.Server.StopNotify():
		err = errors.New("it stopped; see the log")
	}
	c.stop(fmt.Errorf("etcd ended: %w", err))
}
