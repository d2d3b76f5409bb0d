// Package source is a web server with boot files, as an Image Factory or a mirror is one: it can be stopped, slow, break transfers off, and flip a byte.
//
// Layer 2. What it misbehaves in is set by a test, and is off otherwise.
package source

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"ingot.dev/ingot/sfyra-tests/outage"
)

// Fault is how a source misbehaves. The zero value is an honest one.
type Fault struct {
	// Flip changes one bit in the middle of every file.
	Flip bool
	// CutAfter ends every transfer after so many bytes; 0 does not.
	CutAfter int64
	// BytesPerSecond is the speed of a transfer; 0 is as fast as it goes.
	BytesPerSecond int64
}

// Source is a running one.
type Source struct {
	*outage.Listener
	root *os.Root

	mu       sync.Mutex
	fault    Fault
	requests []Request
}

// Request is one that came.
type Request struct {
	Path, Range string
	// Bytes of the body that were sent.
	Bytes int64
}

// Start serves the files of a folder on an address such as 192.0.2.1:0, until Close.
func Start(address, folder string) (*Source, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("opening the folder with boot files: %w", err)
	}
	s := &Source{root: root}
	s.Listener = outage.New(address, s)
	if err := s.Resume(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// URL of a file.
func (s *Source) URL(name string) string { return "http://" + s.Address() + "/" + name }

// Set replaces the fault. Transfers under way keep theirs.
func (s *Source) Set(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Requests that ended, in that order.
func (s *Source) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Close ends the source.
func (s *Source) Close() error {
	s.Stop()
	return s.root.Close()
}

// ServeHTTP serves one file, or a range of it.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	file, err := s.root.Open(r.URL.Path[1:])
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		http.NotFound(w, r)
		return
	}
	var content io.ReadSeeker = file
	if fault.Flip {
		content = &flipped{file: file, at: info.Size() / 2}
	}
	line := &outage.Line{ResponseWriter: w, Context: r.Context(), CutAfter: fault.CutAfter, BytesPerSecond: fault.BytesPerSecond}
	http.ServeContent(line, r, info.Name(), info.ModTime(), content)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{Path: r.URL.Path, Range: r.Header.Get("Range"), Bytes: line.Sent()})
}
