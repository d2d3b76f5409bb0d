package up

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress tells a person what has happened, a line per stage with the time it took.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	now   func() time.Time
	first time.Time
	last  time.Time
	brief bool
	task  bool
}

func newProgress(w io.Writer, now func() time.Time) *progress {
	t := now()
	return &progress{w: w, now: now, first: t, last: t}
}

// stage says that a part is ready and how long it took since the part before.
func (p *progress) stage(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.now()
	p.line("%s ready (%.1fs)", name, t.Sub(p.last).Seconds())
	p.last = t
}

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(format, args...)
}

// ready says what to do next.
func (p *progress) ready(env Env) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.task {
		return
	}
	if p.brief {
		p.line("Ingot is ready (%.1fs)", p.now().Sub(p.first).Seconds())
		return
	}
	p.line("Ingot is ready (%.1fs). State is in %s. In another terminal:", p.now().Sub(p.first).Seconds(), env.StateDir)
	p.line("  export KUBECONFIG=%s", env.ControlPlane.Kubeconfig())
	p.line("  kubectl get servers")
	p.line("Ctrl-C stops it; nothing is lost.")
}

// line writes one line. A terminal that is gone is no reason to stop.
func (p *progress) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.w, format+"\n", args...)
}
