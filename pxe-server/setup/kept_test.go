package setup

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// term is one start of a pxe-server, as far as it keeps anything.
type term struct {
	*kept
	log bytes.Buffer
}

// folder is a state folder over several starts.
type folder struct {
	cfg Config
	now time.Time
}

func newFolder(t *testing.T) *folder {
	s := &folder{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	s.cfg = Config{StateDir: t.TempDir(), Origin: "ingot://x/site/a", Now: func() time.Time { return s.now }}
	return s
}

func (s *folder) start() *term {
	r := &term{}
	cfg := s.cfg
	cfg.Log = slog.New(slog.NewTextHandler(&r.log, nil))
	client := controller.New(nil, cfg.Log)
	client.Clock = cfg.Now
	r.kept = openKept(cfg, client, httpboot.NewEvents(cfg.Now))
	return r
}

// heard lets a term hear a view from a controller that goes away at once.
func (s *folder) heard(t *testing.T, r *term, v *protocol.View) {
	t.Helper()
	f := &fakeController{view: v}
	client := controller.New(f, slog.New(slog.DiscardHandler))
	client.Clock = s.cfg.Now
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- client.Run(ctx) }()
	<-client.Connected()
	<-client.Changed()
	r.client = client
	ok(t, r.save())
	cancel()
	ok(t, <-done)
}

func (s *folder) path(name string) string { return filepath.Join(s.cfg.StateDir, name) }

func installed(target string) *protocol.View {
	return &protocol.View{UnknownPolicy: "register-once", Revision: 3, Servers: []*protocol.Server{
		{Name: "a", Macs: []string{machineMAC.String()}, Accepted: true, Registered: true, Target: target, BootId: "secret-boot", Os: &protocol.OSBoot{Args: []string{"secret"}}},
	}}
}

// TestKeptOverRestart: a pxe-server that starts while its controller is away knows what was said before, and no secret is on its disk.
func TestKeptOverRestart(t *testing.T) {
	s := newFolder(t)
	first := s.start()
	if _, known := first.client.View(); known || first.log.Len() != 0 {
		t.Errorf("a new folder knows something: %s", first.log.String())
	}
	s.heard(t, first, installed("LocalDisk"))
	text, err := os.ReadFile(s.path(viewFile))
	ok(t, err)
	if strings.Contains(string(text), "secret") {
		t.Error("a secret is on the disk")
	}
	s.now = s.now.Add(controller.MaxAge)
	second := s.start()
	v, known := second.client.View()
	if !known || !v.Isolated || len(v.Servers) != 1 || v.Servers[0].Target != boot.LocalDisk {
		t.Errorf("after a restart: %+v, %v\n%s", v, known, second.log.String())
	}
	s.now = s.now.Add(time.Second)
	third := s.start()
	if _, known := third.client.View(); known || !strings.Contains(third.log.String(), "does not count") || !strings.Contains(third.log.String(), "counts for 720h") {
		t.Errorf("too old, and known %v: %s", known, third.log.String())
	}
}

// TestKeptRefused: what is damaged, of another site or of a newer program does not count, is told with the file's name, and is written anew.
func TestKeptRefused(t *testing.T) {
	for want, change := range map[string]func(*testing.T, *folder){
		"": func(*testing.T, *folder) {},
		"it is damaged": func(t *testing.T, s *folder) {
			text, err := os.ReadFile(s.path(viewFile))
			ok(t, err)
			text[len(text)-1] ^= 1
			ok(t, os.WriteFile(s.path(viewFile), text, 0o600))
		},
		"its digest is another": func(t *testing.T, s *folder) { ok(t, os.Truncate(s.path(viewFile), 120)) },
		"it is no file of kind": func(t *testing.T, s *folder) { ok(t, os.Truncate(s.path(viewFile), 0)) },
		"is of ingot://x/site/b now": func(_ *testing.T, s *folder) {
			s.cfg.Origin = "ingot://x/site/b"
		},
		"a newer program wrote it": func(t *testing.T, s *folder) {
			text, err := os.ReadFile(s.path(viewFile))
			ok(t, err)
			ok(t, os.WriteFile(s.path(viewFile), bytes.Replace(text, []byte("view 1 "), []byte("view 2 "), 1), 0o600))
		},
	} {
		s := newFolder(t)
		s.heard(t, s.start(), installed("LocalDisk"))
		change(t, s)
		r := s.start()
		_, known := r.client.View()
		if known != (want == "") || !strings.Contains(r.log.String(), want) || known == strings.Contains(r.log.String(), "does not count") {
			t.Errorf("%q: known %v: %s", want, known, r.log.String())
		}
		if want != "" && !strings.Contains(r.log.String(), s.path(viewFile)) {
			t.Errorf("%q: the file is not named: %s", want, r.log.String())
		}
		s.heard(t, r, installed("Idle"))
		if v, known := s.start().client.View(); !known || v.Servers[0].Target != boot.Idle {
			t.Errorf("%q: it was not written anew: %+v", want, v)
		}
	}
}

// TestKeptIsWrittenWhenNew: a view that says nothing new is not written again, but that the controller was there is noted every hour.
func TestKeptIsWrittenWhenNew(t *testing.T) {
	s := newFolder(t)
	r := s.start()
	s.heard(t, r, installed("LocalDisk"))
	written := func() bool {
		_, err := os.Stat(s.path(viewFile))
		ok(t, os.RemoveAll(s.path(viewFile)))
		return err == nil
	}
	again := installed("LocalDisk")
	again.Revision, again.Servers[0].BootId = 4, "another"
	written()
	for _, step := range []struct {
		after time.Duration
		view  *protocol.View
		want  bool
	}{
		{0, again, false}, {time.Minute, installed("Idle"), true}, {time.Minute, installed("Idle"), false}, {time.Hour, installed("Idle"), true}, {0, installed("Idle"), false},
	} {
		s.now = s.now.Add(step.after)
		s.heard(t, r, step.view)
		if got := written(); got != step.want {
			t.Errorf("after %v, %s: written %v", step.after, step.view.Servers[0].Target, got)
		}
	}
	ok(t, r.close()) // the controller left just now
	s.now = s.now.Add(time.Minute)
	ok(t, r.close())
	if r.client.Word().Connected {
		t.Error("control: the controller is still there")
	}
}

// TestEventsOverRestart: what was not told is told after a restart, and the file goes when it was.
func TestEventsOverRestart(t *testing.T) {
	s := newFolder(t)
	first := s.start()
	s.heard(t, first, installed("LocalDisk"))
	if _, err := os.Stat(s.path(eventsFile)); !os.IsNotExist(err) {
		t.Errorf("without events: %v", err)
	}
	first.queue.Restore([]*protocol.BootEvent{{BootId: "b1"}, {BootId: "b2"}})
	ok(t, first.close())
	second := s.start()
	list, _ := second.queue.Waiting()
	if len(list) != 2 || list[1].BootId != "b2" {
		t.Fatalf("after a restart %v wait: %s", list, second.log.String())
	}
	ok(t, second.save())
	told := make(chan []*protocol.BootEvent)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- second.queue.Run(ctx, func(_ context.Context, e []*protocol.BootEvent) error { told <- e; return nil })
	}()
	if got := <-told; len(got) != 2 {
		t.Errorf("told %v", got)
	}
	cancel()
	ok(t, <-done)
	ok(t, second.save())
	if _, err := os.Stat(s.path(eventsFile)); !os.IsNotExist(err) {
		t.Errorf("after all was told: %v", err)
	}
	ok(t, os.WriteFile(s.path(eventsFile), []byte("x"), 0o600))
	if third := s.start(); !strings.Contains(third.log.String(), "is lost") {
		t.Errorf("damaged: %s", third.log.String())
	}
}

// TestNothingKept: a controller in the same process is never away.
func TestNothingKept(t *testing.T) {
	s := newFolder(t)
	s.cfg.Origin = ""
	r := s.start()
	ok(t, r.run(t.Context()))
	ok(t, r.close())
	if left, err := os.ReadDir(s.cfg.StateDir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
