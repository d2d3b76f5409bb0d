package agentserver

import (
	"context"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
)

// register creates the Server of a machine that none describes.
//
// One machine may enrol twice at once, on one replica or on two. Within a replica one creation runs at a time, and ends when the cache shows it, so that the next one
// sees it. Across replicas each creates first and looks afterwards: the cache has Servers in the order of their creation, so that of two such creations at least the
// later one sees the other, and whoever sees another takes its own back and tells the agent to try again: at most one stays. The API server is not asked for all
// Servers, which a thousand machines that come at once would each do. What remains: a replica that dies between creating and looking, or that cannot take its own back,
// leaves two Servers with one identity. They then show IdentityConflict, get no tasks, and a person deletes one.
func (s *Server) register(ctx context.Context, id boot.Identity) (string, error) {
	if s.cfg.Policy != boot.RegisterOnce {
		return "", refuse(codeDenied, reasons.UnknownMachine, "no Server describes this machine, and unknown machines are not registered here; an operator declares it with spec.identity")
	}
	if err := s.room(ctx); err != nil { // nobody waits for nothing
		return "", err
	}
	select {
	case s.creates <- struct{}{}:
		defer func() { <-s.creates }()
	case <-ctx.Done():
		return "", refuse(codeUnavailable, "", "too many enrolments: try again")
	}
	table, err := s.near(ctx, id)
	if err != nil {
		return "", s.internal("looking for the Server of a machine", err)
	}
	if name, err := s.match(id, table); name != "" || err != nil {
		return name, err
	}
	if err := s.room(ctx); err != nil {
		return "", err
	}
	created, err := s.create(ctx, id)
	if err != nil {
		return "", s.internal("creating a Server", err)
	}
	return s.alone(ctx, id, created)
}

// room refuses when too many Servers wait for acceptance already: a flood of made-up machines must not fill the API.
func (s *Server) room(ctx context.Context) error {
	var all metal.ServerList
	if err := s.cfg.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return s.internal("listing Servers", err)
	}
	n := 0
	for i := range all.Items {
		if !all.Items[i].Spec.Accepted {
			n++
		}
	}
	if n < s.cfg.MaxUnaccepted {
		return nil
	}
	return refuse(codeExhausted, reasons.UnknownMachine, fmt.Sprintf("%d Servers wait for acceptance, which is the limit; an operator accepts or deletes some", n))
}

// create makes a Server with a random name that carries its evidence. Names are never derived from hardware.
func (s *Server) create(ctx context.Context, id boot.Identity) (*metal.Server, error) {
	for attempt := 0; ; attempt++ {
		name, err := randomName(s.cfg.Random)
		if err != nil {
			return nil, err
		}
		object := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Identity: &metal.Identity{
			MACs: id.MACs, Manufacturer: id.Manufacturer, Serial: id.Serial, UUID: id.UUID,
		}}}
		err = s.cfg.Client.Create(ctx, object)
		if err == nil || !apierrors.IsAlreadyExists(err) || attempt == 4 {
			return object, err
		}
	}
}

// alone keeps the new Server only if no other one was created for the same machine meanwhile.
func (s *Server) alone(ctx context.Context, id boot.Identity, created *metal.Server) (string, error) {
	err := s.shown(ctx, created)
	var table []server
	if err == nil {
		table, err = s.near(ctx, id)
	}
	if err == nil {
		if m := boot.Resolve(id, rows(table)); m.Server == created.Name {
			return created.Name, nil
		}
	}
	// The request may be over by now; taking our own back must not depend on it.
	undo := client.Preconditions{UID: &created.UID}
	if err := s.cfg.Client.Delete(context.WithoutCancel(ctx), created, undo); client.IgnoreNotFound(err) != nil {
		s.cfg.Log.Error(err, "Deleting a Server that was created twice", "server", created.Name)
	}
	if err != nil {
		return "", s.internal("looking for other Servers of a machine", err)
	}
	return "", refuse(codeUnavailable, "", "another enrolment of this machine is under way: try again")
}

// cacheLag is how long a cache may take to show what was written. It takes milliseconds; much longer when everything is busy.
const cacheLag = 15 * time.Second

// shown waits until the cache has a Server that was created just now, and with it all that were created before.
func (s *Server) shown(ctx context.Context, created *metal.Server) error {
	changed, stop := s.cfg.Changes.Subscribe(created.Name)
	defer stop()
	late := s.cfg.After(cacheLag)
	for {
		err := s.cfg.Client.Get(ctx, client.ObjectKeyFromObject(created), &metal.Server{})
		if !apierrors.IsNotFound(err) {
			return err
		}
		select {
		case <-changed:
		case <-late:
			return fmt.Errorf("the cache does not show Server %s after %v", created.Name, cacheLag)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// letters of random names: no vowels and no characters that look alike.
const letters = "bcdfghjkmnpqrstvwxz23456789"

// randomName is srv- and six letters: 27^6 is about 387 million.
func randomName(random io.Reader) (string, error) {
	name := []byte("srv-")
	for b := make([]byte, 1); len(name) < 10; {
		if _, err := io.ReadFull(random, b); err != nil {
			return "", fmt.Errorf("drawing a name: %w", err)
		}
		if int(b[0]) < 256-256%len(letters) { // keeps all letters equally likely
			name = append(name, letters[int(b[0])%len(letters)])
		}
	}
	return string(name), nil
}
