package cli

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
)

// view shows objects as they change.
type view interface {
	// replace is told all there is; a watch that ended may have missed changes.
	replace(object runtime.Object) error
	// change is told of one object that came, changed or went.
	change(event watch.EventType, object runtime.Object) error
}

// follow shows what there is and what it becomes until the context ends. API servers end watches from time to time, and restart.
func (g *get) follow(ctx context.Context, query func() *resource.Result, p printers.ResourcePrinter, table bool) error {
	v := g.view(p, table)
	lost := false
	for first := true; ctx.Err() == nil; first = false {
		err := g.round(ctx, query(), v, first)
		switch {
		case err == nil:
			lost = false
		case first, apierrors.IsNotFound(err), errors.As(err, new(*ExitError)), apierrors.IsForbidden(err):
			return explain(err)
		case !lost:
			lost = true
			fmt.Fprintf(g.env.Streams.ErrOut, "The API server is away (%v); trying again.\n", err)
		}
		idle(ctx, watchPause)
	}
	return nil
}

// view is a table that is kept up to date on a terminal, or changed lines elsewhere.
func (g *get) view(p printers.ResourcePrinter, table bool) view {
	if !table {
		return &objectView{printer: p, out: g.env.Streams.Out, versions: map[string]string{}}
	}
	options := printers.PrintOptions{Wide: g.output == "wide", NoHeaders: g.noHeaders, WithNamespace: g.all}
	return &tableView{options: options, screen: newScreen(g.env.Streams.Out), env: g.env, out: printers.GetNewTabWriter(g.env.Streams.Out), rows: map[string]metav1.TableRow{}}
}

// round reads everything once and watches from there to the end of the watch.
func (g *get) round(ctx context.Context, result *resource.Result, v view, first bool) error {
	infos, err := result.Infos()
	if err != nil {
		return err
	}
	if len(infos) != 1 {
		return misused("--watch shows the objects of one kind, or one of them")
	}
	object, err := decodeTable(infos[0].Object)
	if err != nil {
		return err
	}
	if t, ok := object.(*metav1.Table); ok && len(t.Rows) == 0 && first {
		fmt.Fprintln(g.env.Streams.ErrOut, emptyHint(infos[0].Mapping.Resource.Resource))
	}
	if err := v.replace(object); err != nil {
		return err
	}
	w, err := result.Watch(versionOf(infos[0].Object))
	if err != nil {
		return err
	}
	defer w.Stop()
	return showEvents(ctx, w, v)
}

// showEvents tells the view of events until the watch ends or cannot go on.
func showEvents(ctx context.Context, w watch.Interface, v view) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-w.ResultChan():
			switch {
			case !open, e.Type == watch.Error: // for instance an expired version: everything is read again
				return nil
			case e.Type == watch.Bookmark:
				continue
			}
			object, err := decodeTable(e.Object)
			if err != nil {
				return err
			}
			if err := v.change(e.Type, object); err != nil {
				return err
			}
		}
	}
}

// versionOf is the resourceVersion from which to watch.
func versionOf(object runtime.Object) string {
	o, err := meta.CommonAccessor(object)
	if err != nil {
		return ""
	}
	return o.GetResourceVersion()
}
