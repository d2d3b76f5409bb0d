package launcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// story is a runner that does what a test says, and writes down when.
type story struct {
	mu    sync.Mutex
	began time.Time
	lines []string
	next  func(ctx context.Context, n int, ready func()) error
}

func (s *story) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%v ", time.Since(s.began))+fmt.Sprintf(format, args...))
}

func (s *story) say(format string, args ...any) { s.note(format, args...) }

func (s *story) run(ctx context.Context, _ Program, n int, ready func()) error {
	s.note("run %d", n)
	return s.next(ctx, n, ready)
}

func (s *story) told() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func supervise(t *testing.T, p Program, next func(context.Context, int, func()) error) (*supervisor, *story) {
	t.Helper()
	w := &story{began: time.Now(), next: next}
	p.Name = "p"
	if p.Run == nil {
		p.Run = func(context.Context, int, []Place, func()) error { return nil }
	}
	s := newSupervisor(p, w, func() {})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	return s, w
}

func untilEnd(ctx context.Context, _ int, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}

var always = []*unstructured.Unstructured{{}}

// TestRunsAgain: a program that ends is run again, later each time up to a minute, and each end is told. One that ran for long begins anew.
func TestRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := supervise(t, Program{Objects: always, Providers: []Provider{{Deployment: "d"}}}, func(ctx context.Context, n int, ready func()) error {
			ready()
			if n == 9 {
				select {
				case <-time.After(steady + time.Second):
				case <-ctx.Done():
				}
			}
			if n == 10 {
				return untilEnd(ctx, n, ready)
			}
			return errors.New("broken")
		})
		<-time.After(30 * time.Minute)
		synctest.Wait()
		for _, line := range []string{
			"0s run 1", "0s p ended: broken; it is run again in 1s", "1s run 2", "3s run 3", "7s run 4", "31s run 6", "1m3s run 7", "2m3s run 8", "3m3s run 9",
			"13m4s p ended: broken; it is run again in 1s", "13m5s run 10",
		} {
			if !strings.Contains(w.told()+"\n", line+"\n") {
				t.Errorf("no %q in\n%s", line, w.told())
			}
		}
		if got := s.now(); got.phase != running {
			t.Errorf("at last it is %+v", got)
		}
	})
}

// TestWanted: a program without objects of its own runs once all its Deployments want it, and stops when one does not.
func TestWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := supervise(t, Program{Providers: []Provider{{Deployment: "a"}, {Deployment: "b"}}}, untilEnd)
		<-s.settled // nobody waits for it
		s.observe("a", true)
		synctest.Wait()
		if got := s.now(); got.phase != waiting || w.told() != "" {
			t.Errorf("with one of two: %+v, %s", got, w.told())
		}
		s.observe("b", true)
		synctest.Wait()
		if got := s.now(); got.phase != running {
			t.Errorf("with both: %+v", got)
		}
		s.observe("a", false)
		synctest.Wait()
		if got := s.now(); got.phase != stopped {
			t.Errorf("with one gone: %+v", got)
		}
		s.observe("a", true)
		synctest.Wait()
		if got := s.now(); got.phase != running || strings.Count(w.told(), "0s run ") != 2 || strings.Count(w.told(), "p is stopped: ") != 1 {
			t.Errorf("with both again: %+v, %s", got, w.told())
		}
	})
}

// TestRefused: what must not be touched is told once, and asked again.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := supervise(t, Program{Objects: always, Providers: []Provider{{Deployment: "d"}}}, func(context.Context, int, func()) error { return RefusedError("too new") })
		<-s.settled
		<-time.After(5 * time.Minute)
		synctest.Wait()
		if got := s.now(); got.phase != refused || got.message != "too new" {
			t.Errorf("%+v", got)
		}
		if n := strings.Count(w.told(), "does not run: too new"); n != 1 || strings.Count(w.told(), "run ") < 5 {
			t.Errorf("told %d times: %s", n, w.told())
		}
	})
}

// TestRunsAnyhow: what somebody else runs is running, whatever its Deployment says.
func TestRunsAnyhow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSupervisor(Program{Name: "p", Providers: []Provider{{Deployment: "d"}}}, &story{}, func() {})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.run(ctx); close(ended) }()
		<-s.settled
		s.observe("d", false)
		synctest.Wait()
		if got := s.now(); got.phase != running {
			t.Errorf("%+v", got)
		}
		stop()
		<-ended
	})
}
