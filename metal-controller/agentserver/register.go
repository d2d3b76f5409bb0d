package agentserver

import (
	"context"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
)

// register creates the Server of a machine that none describes.
//
// One machine may enrol twice at once, on one replica or on two. Within a replica one creation runs at a time and looks at the API server itself
// first. Across replicas each creates first and looks afterwards: of two such creations at least one sees the other, and whoever sees another
// takes its own back and tells the agent to try again, so at most one stays. What remains: a replica that dies between creating and looking,
// or that cannot take its own back, leaves two Servers with one identity. They then show IdentityConflict, get no tasks, and a person deletes one.
//
// When the cache is full of new Servers already, nobody waits and the API server is not asked.
func (s *Server) register(ctx context.Context, id boot.Identity) (string, error) {
	if s.cfg.Policy != boot.RegisterOnce {
		return "", refuse(codeDenied, reasons.UnknownMachine, "no Server describes this machine, and unknown machines are not registered here; an operator declares it with spec.identity")
	}
	seen, err := s.table(ctx, s.cfg.Client)
	if err != nil {
		return "", s.internal("listing Servers", err)
	}
	if err := s.room(seen); err != nil {
		return "", err
	}
	select {
	case s.creates <- struct{}{}:
		defer func() { <-s.creates }()
	case <-ctx.Done():
		return "", refuse(codeUnavailable, "", "too many enrolments: try again")
	}
	table, err := s.table(ctx, s.cfg.Live)
	if err != nil {
		return "", s.internal("listing Servers", err)
	}
	if name, err := s.match(id, table); name != "" || err != nil {
		return name, err
	}
	if err := s.room(table); err != nil {
		return "", err
	}
	created, err := s.create(ctx, id)
	if err != nil {
		return "", s.internal("creating a Server", err)
	}
	return s.alone(ctx, id, created)
}

// room refuses when too many Servers wait for acceptance already: a flood of made-up machines must not fill the API.
func (s *Server) room(table []server) error {
	n := 0
	for _, t := range table {
		if !t.row.Accepted {
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
	table, err := s.table(ctx, s.cfg.Live)
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
		return "", s.internal("listing Servers", err)
	}
	return "", refuse(codeUnavailable, "", "another enrolment of this machine is under way: try again")
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
