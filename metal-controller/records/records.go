// Package records reads a Server from the API server itself and writes its record, fenced by the resourceVersion of what was judged.
//
// It is an adapter (layer 2) over Kubernetes' client that everything shares that writes spec.record outside of the reconciler. It decides nothing.
package records

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Refusals. Every other error is trouble with the API server: the caller tries again.
var (
	// ErrGone: the Server does not exist.
	ErrGone = errors.New("the Server is gone")
	// ErrForeign: another installation manages the Server.
	ErrForeign = errors.New("another installation manages the Server")
)

// tries bounds how often a lost race is judged again. Writers of one Server are few: the reconciler, and machines that use its boot.
const tries = 5

// Store reads and writes the Servers of one installation. All fields are required.
type Store struct {
	// Client writes; Live reads from the API server itself, never from a cache.
	Client       client.Client
	Live         client.Reader
	Installation string
}

// Read reads a Server from the API server itself: nil, ErrGone or ErrForeign.
func (s Store) Read(ctx context.Context, name string) (*metal.Server, error) {
	var server metal.Server
	err := s.Live.Get(ctx, types.NamespacedName{Name: name}, &server)
	switch {
	case apierrors.IsNotFound(err):
		return nil, ErrGone
	case err != nil:
		return nil, fmt.Errorf("reading Server %s: %w", name, err)
	}
	if server.Spec.Record.Foreign(s.Installation) {
		return nil, ErrForeign
	}
	return &server, nil
}

// Update reads a Server uncached, lets judge make the record that shall be, and writes it if it is not nil. What judge refuses is returned after
// that. Whoever loses a race reads and judges again.
func (s Store) Update(ctx context.Context, name string, judge func(*metal.Server) (*metal.ServerRecord, error)) error {
	for try := 1; ; try++ {
		server, err := s.Read(ctx, name)
		if err != nil {
			return err
		}
		record, refusal := judge(server)
		if record == nil {
			return refusal
		}
		before := server.DeepCopy()
		server.Spec.Record = record
		err = s.Client.Patch(ctx, server, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		switch {
		case err == nil:
			return refusal
		case apierrors.IsNotFound(err):
			return ErrGone
		case !apierrors.IsConflict(err) || try == tries:
			return fmt.Errorf("writing the record of Server %s: %w", name, err)
		}
	}
}
