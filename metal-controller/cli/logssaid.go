package cli

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machinelog"
)

// said is what a machine said of itself.
type said struct {
	lines []machinelog.Line
	// from is the version of the list; empty when the lines cannot be read.
	from string
}

// said reads what a machine said. Who may not read it is told so in one line, and gets the rest of the log.
func (e *Env) said(ctx context.Context, c client.Client, name string) said {
	var list corev1.ConfigMapList
	err := c.List(ctx, &list, client.InNamespace(metal.SystemNamespace), client.MatchingLabels{machinelog.Label: name})
	switch {
	case apierrors.IsForbidden(err):
		fmt.Fprintf(e.Streams.ErrOut, "What the machine said is not shown: you have no right to list ConfigMaps in %s.\n", metal.SystemNamespace)
		return said{}
	case err != nil:
		fmt.Fprintf(e.Streams.ErrOut, "What the machine said is not shown: %v.\n", err)
		return said{}
	}
	var writes [][]machinelog.Line
	for i := range list.Items {
		writes = append(writes, e.unpack(&list.Items[i]))
	}
	return said{machinelog.Merge(writes...), list.ResourceVersion}
}

// unpack reads the lines of one ConfigMap.
func (e *Env) unpack(m *corev1.ConfigMap) []machinelog.Line {
	lines, err := machinelog.Decode(m.BinaryData[machinelog.Key])
	if err != nil {
		fmt.Fprintf(e.Streams.ErrOut, "The ConfigMap %s in %s is left out: %v.\n", m.Name, m.Namespace, err)
	}
	return lines
}

// saidEntry marks a line by its source, so that nobody takes it for Ingot's word.
func saidEntry(l machinelog.Line) entry {
	return entry{l.At.Local(), fmt.Sprintf("%-6s  %s", l.Source, l.Text)}
}

// fresh are the lines that were not known, which become known.
func (s *said) fresh(lines []machinelog.Line) []machinelog.Line {
	known := map[machinelog.Line]bool{}
	for _, l := range s.lines {
		known[l] = true
	}
	var out []machinelog.Line
	for _, l := range lines {
		if !known[l] {
			out = append(out, l)
		}
	}
	s.lines = machinelog.Merge(s.lines, out)
	s.lines = s.lines[max(0, len(s.lines)-keepKnown):]
	return out
}

// keepKnown is how many lines are remembered while following: more than all ConfigMaps of a server hold.
const keepKnown = 10 * machinelog.MaxLines

// follow prints new events, and new lines of the machine, until ctx ends.
func (e *Env) follow(ctx context.Context, c client.WithWatch, name, from string, s said) error {
	events, err := c.Watch(ctx, &corev1.EventList{}, client.InNamespace(eventNamespace), about(name), since(from))
	if err != nil {
		return explain(err)
	}
	defer events.Stop()
	lines, stop, err := e.watchSaid(ctx, c, name, s.from)
	if err != nil {
		return err
	}
	defer stop()
	return e.printNew(ctx, events.ResultChan(), lines, &s)
}

// watchSaid watches what a machine says. Where it could not be read before, or cannot be watched, nothing ever comes.
func (e *Env) watchSaid(ctx context.Context, c client.WithWatch, name, from string) (<-chan watch.Event, func(), error) {
	if from == "" {
		return nil, func() {}, nil
	}
	w, err := c.Watch(ctx, &corev1.ConfigMapList{}, client.InNamespace(metal.SystemNamespace), client.MatchingLabels{machinelog.Label: name}, since(from))
	if apierrors.IsForbidden(err) {
		fmt.Fprintf(e.Streams.ErrOut, "What the machine says from now on is not shown: you have no right to watch ConfigMaps in %s.\n", metal.SystemNamespace)
		return nil, func() {}, nil
	}
	if err != nil {
		return nil, nil, explain(err)
	}
	return w.ResultChan(), w.Stop, nil
}

func since(version string) *client.ListOptions {
	return &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}}
}

// printNew prints what two watches tell.
func (e *Env) printNew(ctx context.Context, events, lines <-chan watch.Event, s *said) error {
	for ctx.Err() == nil {
		var happened watch.Event
		var open bool
		select {
		case <-ctx.Done():
			return nil
		case happened, open = <-events:
		case happened, open = <-lines:
		}
		if !open && ctx.Err() == nil {
			return errors.New("the API server ended the watch; run the command again")
		}
		switch o := happened.Object.(type) {
		case *corev1.Event:
			e.printEntry(eventEntry(o))
		case *corev1.ConfigMap:
			if happened.Type == watch.Deleted {
				continue
			}
			for _, l := range s.fresh(e.unpack(o)) {
				e.printEntry(saidEntry(l))
			}
		}
	}
	return nil
}
