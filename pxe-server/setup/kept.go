package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/pxe-server/state"
)

// Files of the state folder that let a pxe-server begin while its controller cannot be heard.
const (
	viewFile   = "view"
	eventsFile = "events"
	maxEvents  = 8 << 20 // bytes; the queue's bound is far below
)

// What is kept is looked at every keepPause, and written when it is another. While the controller is there, that it is there is noted every heardPause.
const (
	keepPause  = 5 * time.Second
	heardPause = time.Hour
)

// kept keeps what the controller said last, and what it was not told yet. A nil one keeps nothing.
type kept struct {
	origin       string
	view, events state.File
	log          *slog.Logger
	client       *controller.Client
	queue        *httpboot.Events

	said    *protocol.View // that was written last
	data    []byte         // what was written of it
	heard   time.Time      // as it was written
	changes uint64         // of the events that were written last
	some    bool           // the file of events is there
}

// openKept reads what was kept. What cannot be used is told, and no reason not to serve.
func openKept(cfg Config, client *controller.Client, queue *httpboot.Events) *kept {
	if cfg.Origin == "" {
		return nil
	}
	k := &kept{
		origin: cfg.Origin, log: cfg.Log, client: client, queue: queue,
		view:   state.File{Path: filepath.Join(cfg.StateDir, viewFile), Kind: "view", Max: controller.MaxKept},
		events: state.File{Path: filepath.Join(cfg.StateDir, eventsFile), Kind: "events", Max: maxEvents},
	}
	if err := k.resume(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.log.Warn("what the controller said before this start does not count; until it is heard, machines wait two minutes and then get their own disk", "error", err)
	}
	if err := k.restore(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.log.Warn("what was seen before this start, and not told, is lost", "error", err)
	}
	return k
}

// read reads a file of this origin.
func (k *kept) read(f state.File) (state.Record, error) {
	r, err := f.Load()
	if err == nil && r.Origin != k.origin {
		err = fmt.Errorf("reading %s: it is of %s, and this pxe-server is of %s now", f.Path, r.Origin, k.origin)
	}
	return r, err
}

func (k *kept) resume() error {
	r, err := k.read(k.view)
	if err != nil {
		return err
	}
	if err := k.client.Resume(r.Data, r.At); err != nil {
		return fmt.Errorf("reading %s: %w", k.view.Path, err)
	}
	k.said, k.data, k.heard = k.client.Word().View, r.Data, r.At
	return nil
}

func (k *kept) restore() error {
	r, err := k.read(k.events)
	if err != nil {
		return err
	}
	k.some = true
	m := &protocol.ReportRequest{}
	if err := proto.Unmarshal(r.Data, m); err != nil {
		return fmt.Errorf("reading %s: %w", k.events.Path, err)
	}
	k.queue.Restore(m.GetEvents())
	k.log.Info("boots that were seen before this start wait to be told", "events", len(m.GetEvents()))
	return nil
}

// run keeps until ctx ends.
func (k *kept) run(ctx context.Context) error {
	if k == nil {
		return nil
	}
	tick := time.NewTicker(keepPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := k.save(); err != nil {
			k.log.Error("what the controller said cannot be kept: a restart while it is away begins without it", "error", err)
		}
	}
}

// close keeps what there is at the end.
func (k *kept) close() error {
	if k == nil {
		return nil
	}
	return k.save()
}

func (k *kept) save() error { return errors.Join(k.saveView(), k.saveEvents()) }

// saveView writes what the controller said last, unless the file says so already.
func (k *kept) saveView() error {
	w := k.client.Word()
	if w.View == nil || w.View == k.said && !k.stale(w) {
		return nil
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(controller.Kept(w.View))
	if err != nil {
		return fmt.Errorf("encoding the view: %w", err)
	}
	if bytes.Equal(data, k.data) && !k.stale(w) {
		k.said = w.View
		return nil
	}
	if err := k.view.Save(state.Record{Origin: k.origin, At: w.Heard, Data: data}); err != nil {
		return err
	}
	k.said, k.data, k.heard = w.View, data, w.Heard
	return nil
}

// stale says that the time in the file is too old to go on with: a view counts by when the controller was there last.
func (k *kept) stale(w controller.Word) bool {
	if w.Connected {
		return w.Heard.Sub(k.heard) >= heardPause
	}
	return !w.Heard.Equal(k.heard)
}

// saveEvents writes what the controller was not told yet. What it took within a moment is never written.
func (k *kept) saveEvents() error {
	events, changes := k.queue.Waiting()
	switch {
	case len(events) == 0 && !k.some, len(events) > 0 && changes == k.changes:
		return nil
	case len(events) == 0:
		k.some = false
		return k.events.Remove()
	}
	data, err := proto.Marshal(&protocol.ReportRequest{Events: events})
	if err != nil {
		return fmt.Errorf("encoding boot events: %w", err)
	}
	if err := k.events.Save(state.Record{Origin: k.origin, At: k.client.Clock(), Data: data}); err != nil {
		return err
	}
	k.changes, k.some = changes, true
	return nil
}
