package cli

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// shaky is an API server that answers each read with the next step: a generation of the object, 0 for none, or an error. Its watches end at once.
type shaky struct {
	client.WithWatch
	steps []any
}

func (s *shaky) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	step := s.steps[0]
	s.steps = s.steps[1:]
	if err, ok := step.(error); ok {
		return err
	}
	items := []metal.Server{}
	if g, _ := step.(int); g > 0 {
		items = append(items, metal.Server{ObjectMeta: metav1.ObjectMeta{Generation: int64(g)}})
	}
	list.(*metal.ServerList).Items = items
	return nil
}

func (s *shaky) Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
	w := watch.NewFake()
	go w.Stop()
	return w, nil
}

// TestWatchOneSurvives ends of watches and an API server that goes away, but not one that was never there, or forbids it.
func TestWatchOneSurvives(t *testing.T) {
	away, forbidden := errors.New("connection refused"), apierrors.NewForbidden(metal.GroupVersion.WithResource("servers").GroupResource(), "s", nil)
	for name, c := range map[string]struct {
		steps []any
		seen  int64 // the last generation; -1 when it was told that the object is gone
		err   error
		took  time.Duration
	}{
		"it ends when enough is seen": {[]any{3}, 3, nil, 0},
		"watches that end":            {[]any{1, 2, 3}, 3, nil, 2 * watchPause},
		"away for a while":            {[]any{1, away, away, 3}, 3, nil, 3 * watchPause},
		"gone in between":             {[]any{1, 0}, -1, nil, watchPause},
		"never there":                 {[]any{away}, 0, away, 0},
		"forbidden afterwards":        {[]any{1, forbidden}, 1, forbidden, watchPause},
	} {
		synctest.Test(t, func(t *testing.T) {
			began, last := time.Now(), int64(0)
			err := watchOne(t.Context(), &shaky{steps: c.steps}, &metal.ServerList{}, client.ObjectKey{Name: "s"}, func(o client.Object) (bool, error) {
				if o == nil {
					last = -1
					return true, nil
				}
				last = o.GetGeneration()
				return last == 3, nil
			})
			if last != c.seen || (err == nil) != (c.err == nil) || time.Since(began) != c.took {
				t.Errorf("%s: saw %d after %s, %v", name, last, time.Since(began), err)
			}
		})
	}
}
