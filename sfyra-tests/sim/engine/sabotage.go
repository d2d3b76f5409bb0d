package engine

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// Sabotage breaks the product on purpose, so that tests can see each rule being broken and noticed. It works by lies to the product's code: what it
// reads of Servers, inventories and BMCs is not what is there.
type Sabotage struct {
	// Server and Inventory change what the product reads.
	Server    func(*metal.Server)
	Inventory func(*metal.ServerInventory)
	Claim     func(*metal.ServerClaim)
	// ForClaims changes what the claim reconciler reads of Servers; ForConfigs, what the port for machine configs reads.
	ForClaims, ForConfigs func(*metal.Server)
	// Ghosts lets claims that are gone look like ones that are being deleted.
	Ghosts bool
	// Reading changes what the BMC plane says.
	Reading func(*metal.Server, *lifecycle.PowerReading)
	// Hint does more with what a machine says of itself.
	Hint func(seen *sightings.Store, server string)
	// Replica changes a replica's parts at its start.
	Replica func(*server.Reconciler)
}

// apply puts the lies into a replica that starts.
func (s *Sabotage) apply(p *process) {
	p.desk.Client, p.desk.Live = liar{p.desk.Client, s}, liarReader{p.desk.Live, s}
	p.reconciler.Client, p.reconciler.Live = liar{p.reconciler.Client, s}, liarReader{p.reconciler.Live, s}
	if s.Ghosts {
		p.reconciler.Live = ghosts{p.reconciler.Live, p.w}
	}
	forClaims := &Sabotage{Server: s.ForClaims, Claim: s.Claim}
	p.claims.Client, p.claims.Live = liar{p.claims.Client, forClaims}, liarReader{p.claims.Live, forClaims}
	p.records.Live = liarReader{p.records.Live, &Sabotage{Server: s.ForConfigs}}
	p.reconciler.Plane = liarPlane{p.plane, s}
	if s.Replica != nil {
		s.Replica(p.reconciler)
	}
}

// lie changes one object that was read.
func (s *Sabotage) lie(o client.Object) {
	switch o := o.(type) {
	case *metal.Server:
		if s.Server != nil {
			s.Server(o)
		}
	case *metal.ServerClaim:
		if s.Claim != nil {
			s.Claim(o)
		}
	case *metal.ServerInventory:
		if s.Inventory != nil {
			s.Inventory(o)
		}
	}
}

// liar is a client that reads lies.
type liar struct {
	client.Client
	s *Sabotage
}

// Get reads a lie.
func (l liar) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	err := l.Client.Get(ctx, key, o, opts...)
	if err == nil {
		l.s.lie(o)
	}
	return err
}

// liarReader is liar for readers.
type liarReader struct {
	client.Reader
	s *Sabotage
}

// Get reads a lie.
func (l liarReader) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	err := l.Reader.Get(ctx, key, o, opts...)
	if err == nil {
		l.s.lie(o)
	}
	return err
}

// ghosts is a reader that finds claims which are gone.
type ghosts struct {
	client.Reader
	w *World
}

// Get reads a ghost.
func (g ghosts) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	err := g.Reader.Get(ctx, key, o, opts...)
	c, ok := o.(*metal.ServerClaim)
	if !ok || !apierrors.IsNotFound(err) {
		return err
	}
	for _, s := range store.All[metal.Server](g.w.store) {
		if r := recordOf(s).Claim; r != nil && r.Namespace == key.Namespace && r.Name == key.Name {
			c.Namespace, c.Name, c.Finalizers = key.Namespace, key.Name, []string{metal.ReleaseFinalizer}
			c.DeletionTimestamp = &metav1.Time{Time: g.w.time()}
			c.Spec.Binding = &metal.Binding{Server: s.Name, BindingID: r.BindingID}
			return nil
		}
	}
	return err
}

// liarPlane is a BMC plane that tells lies.
type liarPlane struct {
	*plane
	s *Sabotage
}

// Latest is a lie.
func (l liarPlane) Latest(name string) lifecycle.PowerReading {
	r := l.plane.Latest(name)
	if s := store.Peek[metal.Server](l.p.w.store, "", name); l.s.Reading != nil && s != nil {
		l.s.Reading(s, &r)
	}
	return r
}
