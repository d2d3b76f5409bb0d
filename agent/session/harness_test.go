package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"ingot.dev/ingot/agent/protocol"
)

// clock is the agent's: it moves only by hand, and says which waits were begun.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []timer
	// begun hears of each wait.
	begun chan time.Duration
	// beats hears of each wait for the next telling of progress.
	beats chan struct{}
}

type timer struct {
	at time.Time
	c  chan time.Time
}

func newClock() *clock {
	return &clock{now: time.Now(), begun: make(chan time.Duration, 500), beats: make(chan struct{}, 100)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := timer{c.now.Add(d), make(chan time.Time, 1)}
	c.timers = append(c.timers, t)
	switch d {
	case callTime, progressTime: // of no interest here
	case progressPause:
		c.beats <- struct{}{}
	default:
		c.begun <- d
	}
	return t.c
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var rest []timer
	for _, t := range c.timers {
		if t.at.After(c.now) {
			rest = append(rest, t)
			continue
		}
		t.c <- c.now
	}
	c.timers = rest
}

// wait returns the length of the next wait that the agent begins.
func (c *clock) wait(t *testing.T) time.Duration {
	t.Helper()
	select {
	case d := <-c.begun:
		return d
	case <-time.After(20 * time.Second):
		t.Fatal("the agent began no wait")
	}
	return 0
}

// beat lets progress be told once more: it waits until the agent waits for the next time.
func (c *clock) beat(t *testing.T) {
	t.Helper()
	select {
	case <-c.beats:
	case <-time.After(20 * time.Second):
		t.Fatal("the agent tells no progress")
	}
	c.advance(progressPause)
}

// log is a console that tests can read.
type log struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	wait chan struct{}
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wait != nil {
		close(l.wait)
		l.wait = nil
	}
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// count is how often the console said text; next closes at the next line.
func (l *log) count(text string) (n int, next <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wait == nil {
		l.wait = make(chan struct{})
	}
	return bytes.Count(l.buf.Bytes(), []byte(text)), l.wait
}

// agent is a running session.
type agent struct {
	*clock
	*Session
	tasks   *scripted
	changed chan struct{}
	console *log
	cancel  context.CancelFunc
	done    chan struct{}
	leave   Leave
	err     error
}

func start(t *testing.T, address string, pin Pin) *agent {
	t.Helper()
	a := &agent{clock: newClock(), tasks: newScripted(), changed: make(chan struct{}, 1), console: &log{}, done: make(chan struct{})}
	s, err := New(Config{
		URL: "https://" + address, Pin: pin, BootID: "boot-1", AgentVersion: "v1",
		Inventory: func() *protocol.Inventory { return &protocol.Inventory{Kernel: "6.12"} },
		Evidence:  func() *protocol.Evidence { return &protocol.Evidence{Serial: "SN-1"} },
		Tasks:     a.tasks, Accounts: a.tasks, NetworkNext: func(context.Context) string { return "the network is next" },
		Changed: a.changed, Dial: (&net.Dialer{}).DialContext, Now: a.Now, After: a.After, Random: rand.Reader,
		Log: slog.New(slog.NewTextHandler(a.console, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Session = s
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	go func() {
		defer close(a.done)
		a.leave, a.err = s.Run(ctx)
	}()
	t.Cleanup(a.stop)
	return a
}

func (a *agent) stop() {
	a.cancel()
	<-a.done
}
