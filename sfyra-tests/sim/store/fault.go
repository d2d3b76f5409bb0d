package store

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// Op is one call of a client.
type Op struct {
	Who  string
	Verb Verb
	Kind string
	// Key has no name in a List and in a Create with generateName.
	Key types.NamespacedName
	// Status is whether it goes to the status subresource.
	Status bool
	// Cached is whether a view answers.
	Cached bool
}

// Outcome is what happens to a call. Views answer from memory: for a cached Op only None and Unavailable mean anything.
type Outcome int

const (
	// None lets the call through.
	None Outcome = iota
	// Conflict answers a write as if another one had come first. Reads are let through.
	Conflict
	// TimeoutBefore loses the request: nothing happens, and the caller cannot know.
	TimeoutBefore
	// TimeoutAfter loses the answer: the call takes effect if it is good, and the caller cannot know.
	TimeoutAfter
	// Unavailable answers 503; nothing happens.
	Unavailable
	// InternalError answers 500; nothing happens.
	InternalError
)

// begin asks for the outcome of a call. err is for one that ends here.
func (s *Store) begin(ctx context.Context, k *kind, op Op) (Outcome, error) {
	if err := ctx.Err(); err != nil {
		return None, fmt.Errorf("%s %s: %w", op.Verb, op.Kind, err)
	}
	if s.Fault == nil {
		return None, nil
	}
	o := s.Fault(op)
	return o, o.refuse(k, op)
}

// refuse is the error of an outcome that lets nothing happen.
func (o Outcome) refuse(k *kind, op Op) error {
	read := op.Verb == Get || op.Verb == List
	switch {
	case o == Unavailable:
		return apierrors.NewServiceUnavailable("simulated: the API server is not available")
	case op.Cached:
		return nil
	case o == Conflict && !read && op.Verb != Create:
		return apierrors.NewConflict(k.resource, op.Key.Name, errModified)
	case o == TimeoutBefore || o == TimeoutAfter && read:
		return timeout(op)
	case o == InternalError:
		return apierrors.NewInternalError(errors.New("simulated"))
	}
	return nil
}

// answer is the error of an outcome that hides what happened.
func (o Outcome) answer(op Op) error {
	if o == TimeoutAfter {
		return timeout(op)
	}
	return nil
}

func timeout(op Op) error {
	return apierrors.NewTimeoutError("simulated: no answer to "+string(op.Verb)+" "+op.Kind, 0)
}

var errModified = errors.New("the object has been modified; please apply your changes to the latest version and try again")
