// Package outage is what misbehaving web servers of tests share: an address where nobody answers for a while, and a line that is slow or breaks.
//
// Layer 2: the standard library only.
package outage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Listener serves on one address, which it keeps while it is stopped. It is safe for concurrent use.
type Listener struct {
	handler http.Handler

	mu      sync.Mutex
	address string
	stop    func()
}

// New does not listen yet. An address is such as 192.0.2.1:0.
func New(address string, h http.Handler) *Listener { return &Listener{handler: h, address: address} }

// Address is where it listens, or did.
func (l *Listener) Address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.address
}

// Resume listens, at the first time and after Stop. The address stays the same.
func (l *Listener) Resume() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		return nil
	}
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		return fmt.Errorf("listening for a test: %w", err)
	}
	l.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: l.handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with the listener
	}()
	l.stop = func() {
		cancel()
		_ = server.Close()
		<-done
	}
	return nil
}

// Stop ends all transfers and refuses connections.
func (l *Listener) Stop() {
	l.mu.Lock()
	stop := l.stop
	l.stop = nil
	l.mu.Unlock()
	if stop != nil {
		stop()
	}
}

var errCut = errors.New("the transfer was cut")

// Line is the way to a client. An error of Write makes net/http close the connection, since fewer bytes came than were promised.
type Line struct {
	http.ResponseWriter
	// Context is the request's.
	Context context.Context
	// CutAfter ends the transfer after so many bytes; 0 does not.
	CutAfter int64
	// BytesPerSecond is its speed; 0 is as fast as it goes.
	BytesPerSecond int64

	begin time.Time
	sent  int64
}

// Sent is how many bytes of the body left.
func (l *Line) Sent() int64 { return l.sent }

// Write implements io.Writer.
func (l *Line) Write(p []byte) (int, error) {
	if l.begin.IsZero() {
		l.begin = time.Now()
	}
	done := 0
	for done < len(p) {
		n, err := l.some(p[done:])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// some sends as much as may go at once.
func (l *Line) some(p []byte) (int, error) {
	if most := l.CutAfter; most > 0 {
		if l.sent >= most {
			return 0, errCut
		}
		p = p[:min(int64(len(p)), most-l.sent)]
	}
	if speed := l.BytesPerSecond; speed > 0 {
		p = p[:min(int64(len(p)), max(1, speed/20))]
		due := l.begin.Add(time.Duration(float64(l.sent+int64(len(p))) / float64(speed) * float64(time.Second)))
		if err := l.wait(time.Until(due)); err != nil {
			return 0, err
		}
		defer func() { _ = http.NewResponseController(l.ResponseWriter).Flush() }()
	}
	n, err := l.ResponseWriter.Write(p)
	l.sent += int64(n)
	return n, err
}

func (l *Line) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.Context.Done():
		return context.Cause(l.Context)
	}
}
