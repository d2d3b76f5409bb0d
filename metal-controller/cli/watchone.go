package cli

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// watchPause is the wait before a watch that ended is begun again: API servers end watches from time to time, and some at once.
const watchPause = time.Second

// seen is told what became of one object; nil when it is gone. It says whether that is the end.
type seen func(client.Object) (done bool, err error)

// watchOne tells see what one object is and becomes, until see has seen enough or the context ends. It survives the end of watches and an API server
// that is away for a while: what happened in between is read again.
func watchOne(ctx context.Context, c client.WithWatch, list client.ObjectList, key client.ObjectKey, see seen) error {
	one := []client.ListOption{
		client.InNamespace(key.Namespace), client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", key.Name)},
	}
	for first := true; ctx.Err() == nil; first = false {
		done, err := readAndWatch(ctx, c, list, one, see)
		if done || err != nil && ctx.Err() == nil && (first || apierrors.IsForbidden(err)) {
			return err
		}
		idle(ctx, watchPause)
	}
	return ctx.Err()
}

// idle waits, or less when the context ends.
func idle(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// readAndWatch tells what the object is now and what it becomes until the watch ends.
func readAndWatch(ctx context.Context, c client.WithWatch, list client.ObjectList, one []client.ListOption, see seen) (done bool, err error) {
	if err := c.List(ctx, list, one...); err != nil {
		return false, explain(err)
	}
	now, err := only(list)
	if err != nil {
		return true, err
	}
	if done, err := see(now); done || err != nil {
		return true, err
	}
	from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
	w, err := c.Watch(ctx, list, append([]client.ListOption{from}, one...)...)
	if err != nil {
		return false, explain(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		o, ok := e.Object.(client.Object)
		switch {
		case !ok || e.Type == watch.Bookmark:
			continue // an error, such as an expired version: read again when the channel is closed
		case e.Type == watch.Deleted:
			o = nil
		}
		if done, err := see(o); done || err != nil {
			return true, err
		}
	}
	return false, nil
}

// only is the one object of a list, nil when it is empty.
func only(list client.ObjectList) (client.Object, error) {
	all, err := meta.ExtractList(list)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	o, ok := all[0].(client.Object)
	if !ok {
		return nil, fmt.Errorf("the API server answered with a list of %T", all[0])
	}
	return o, nil
}

// within bounds a wait; 0 has no limit.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// stoppedWaiting is the end of a wait that was not fulfilled: what is so, and what goes on although nobody waits any more.
func stoppedWaiting(ctx context.Context, limit time.Duration, what, last, look string) error {
	if ctx.Err() != nil {
		return &ExitError{Code: CodeInterrupted, Err: fmt.Errorf("no longer waiting for %s (%s); Ingot goes on with it, see `%s`", what, last, look)}
	}
	return &ExitError{Code: CodeTimeout, Err: fmt.Errorf("%s did not come within %s (%s); Ingot goes on with it, see `%s`", what, limit, last, look)}
}
