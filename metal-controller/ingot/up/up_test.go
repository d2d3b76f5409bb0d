package up

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ingot.dev/ingot/metal-controller/ingot/controlplane"
)

// diary is written by services in the order of what happens.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, " ")
}

// service runs until its context ends, or ends by itself when told.
func service(d *diary, name string, end <-chan error) Service {
	return Service{Name: name, Start: func(ctx context.Context, _ Env) (func() error, error) {
		d.note("+" + name)
		return func() error {
			defer d.note("-" + name)
			select {
			case <-ctx.Done():
				return nil
			case err := <-end:
				return err
			}
		}, nil
	}}
}

func broken(err error) Service {
	return Service{Name: "broken", Start: func(context.Context, Env) (func() error, error) { return nil, err }}
}

// run runs services beside nothing.
func run(ctx context.Context, out *bytes.Buffer, services ...Service) error {
	return beside(ctx, services, Env{ControlPlane: &controlplane.ControlPlane{}}, newProgress(out, time.Now))
}

func TestServicesEndInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var d diary
		var out bytes.Buffer
		result := make(chan error)
		go func() { result <- run(ctx, &out, service(&d, "a", nil), service(&d, "b", nil), service(&d, "c", nil)) }()
		synctest.Wait()
		if got := d.String(); got != "+a +b +c" {
			t.Errorf("before the end: %s", got)
		}
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
		if got := d.String(); got != "+a +b +c -c -b -a" {
			t.Errorf("after the end: %s", got)
		}
		for _, line := range []string{"a ready", "b ready", "c ready", "export KUBECONFIG="} {
			if !strings.Contains(out.String(), line) {
				t.Errorf("progress lacks %q:\n%s", line, out.String())
			}
		}
	})
}

func TestServiceThatFailsEndsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("no such interface")
		for name, end := range map[string]error{"with an error": cause, "without one": nil} {
			var d diary
			ended := make(chan error, 1)
			ended <- end
			err := run(t.Context(), &bytes.Buffer{}, service(&d, "a", nil), service(&d, "b", ended))
			if err == nil || !strings.Contains(err.Error(), "b ended by itself") || (end != nil && !errors.Is(err, cause)) {
				t.Errorf("%s: %v", name, err)
			}
			if !strings.HasSuffix(d.String(), "-a") {
				t.Errorf("%s: %s: a still runs", name, d.String())
			}
		}
	})
}

func TestServiceThatDoesNotStart(t *testing.T) {
	cause := errors.New("port 67 is taken")
	var d diary
	var out bytes.Buffer
	err := run(t.Context(), &out, service(&d, "a", nil), broken(cause), service(&d, "c", nil))
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "starting broken") {
		t.Errorf("%v", err)
	}
	if d.String() != "+a -a" || strings.Contains(out.String(), "KUBECONFIG") {
		t.Errorf("%s\n%s", d.String(), out.String())
	}
}

func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal)
		var out bytes.Buffer
		exits := make(chan int, 1)
		ctx, stop := untilSignal(t.Context(), signals, &out, func(code int) { exits <- code })
		defer stop()
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatal("ended without a signal")
		}
		signals <- syscall.SIGTERM
		synctest.Wait()
		if ctx.Err() == nil || len(exits) != 0 || !strings.Contains(out.String(), "stopping") {
			t.Errorf("after the first: %v, %d exits, %q", ctx.Err(), len(exits), out.String())
		}
		signals <- syscall.SIGINT
		synctest.Wait()
		if len(exits) != 1 || <-exits != 130 {
			t.Error("the second signal did not end the process with 130")
		}
	})
}

// Nothing is left behind by a run that ended before any signal.
func TestNoSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := untilSignal(t.Context(), make(chan os.Signal), &bytes.Buffer{}, func(int) { t.Error("exit") })
		stop()
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("the context goes on")
		}
	})
}

func TestProgressTakesTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, time.Now)
		for _, s := range []struct {
			name string
			took time.Duration
		}{{"etcd", 400 * time.Millisecond}, {"API server", 2100 * time.Millisecond}} {
			<-time.After(s.took)
			p.stage(s.name)
		}
		if want := "etcd ready (0.4s)\nAPI server ready (2.1s)\n"; out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	})
}

func TestDefaultStateDir(t *testing.T) {
	if os.Geteuid() == 0 {
		if got := DefaultStateDir(); got != "/var/lib/ingot" {
			t.Errorf("root: %s", got)
		}
		return
	}
	t.Setenv("XDG_STATE_HOME", "/x/state")
	if got := DefaultStateDir(); got != "/x/state/ingot" {
		t.Errorf("with XDG_STATE_HOME: %s", got)
	}
	t.Setenv("XDG_STATE_HOME", "relative") // to be ignored, by the specification
	t.Setenv("HOME", "/home/ada")
	if got := DefaultStateDir(); got != "/home/ada/.local/state/ingot" {
		t.Errorf("without: %s", got)
	}
}
