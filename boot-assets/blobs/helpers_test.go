package blobs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ingot.dev/ingot/boot-assets/blobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content is a file of n bytes that repeats nothing.
func content(n int) []byte {
	out := make([]byte, 0, n+sha256.Size)
	for i := 0; len(out) < n; i++ {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		out = append(out, sum[:]...)
	}
	return out[:n]
}

func sha(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// source is a web server with one file, which a test may make hostile.
type source struct {
	*httptest.Server
	mu     sync.Mutex
	handle http.HandlerFunc
	asked  []http.Header
	sent   int64
}

func newSource(t *testing.T, h http.HandlerFunc) *source {
	t.Helper()
	s := &source{handle: h}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *source) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Header.Clone())
	h := s.handle
	s.mu.Unlock()
	h(&counted{w, s}, r)
}

func (s *source) turn(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = h
}

// requests are the headers of all requests so far, and the bytes that were sent for them.
func (s *source) requests() ([]http.Header, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked), s.sent
}

type counted struct {
	http.ResponseWriter
	source *source
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.source.mu.Lock()
	c.source.sent += int64(n)
	c.source.mu.Unlock()
	return n, err
}

func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// whole serves data as a good web server does, with ranges.
func whole(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+sha(data)[:16]+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// broken sends the first n bytes of data and then cuts the connection.
func broken(data []byte, n int, tag string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		if tag != "" {
			w.Header().Set("ETag", tag)
		}
		_, _ = w.Write(data[:n])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// kept is a cache in a folder, with its log.
type kept struct {
	*blobs.Cache
	dir string
	log *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *logBuffer) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

// soon does not wait: a test that fails a thousand times is ended by its own condition.
func soon(ctx context.Context, _ time.Duration) bool { return ctx.Err() == nil }

// open opens a cache in dir; run runs one that was changed by then.
func open(t *testing.T, dir string, change func(*blobs.Config)) *kept {
	t.Helper()
	k := &kept{dir: dir, log: &logBuffer{}}
	cfg := blobs.Config{Dir: dir, Wait: soon, Log: slog.New(slog.NewTextHandler(k.log, nil))}
	if change != nil {
		change(&cfg)
	}
	c, err := blobs.Open(cfg)
	ok(t, err)
	k.Cache = c
	return k
}

// run runs the cache until the returned function is called, or the test ends.
func (k *kept) run(t *testing.T, want ...blobs.Wanted) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	k.Want(want)
	go func() { done <- k.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		ok(t, <-done)
		ok(t, k.Close())
	})
	t.Cleanup(stop)
	return stop
}

func started(t *testing.T, want ...blobs.Wanted) *kept {
	t.Helper()
	k := open(t, t.TempDir(), nil)
	k.run(t, want...)
	return k
}

// until waits for a state of the only wanted file.
func (k *kept) until(t *testing.T, what string, fits func(blobs.State) bool) blobs.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		states := k.States()
		if len(states) == 1 && fits(states[0]) {
			return states[0]
		}
		select {
		case <-k.Changed():
		case <-ctx.Done():
			t.Fatalf("%s: it stays %+v\n%s", what, states, k.log.text())
		}
	}
}

func (k *kept) untilPhase(t *testing.T, p blobs.Phase) blobs.State {
	t.Helper()
	return k.until(t, p, func(s blobs.State) bool { return s.Phase == p })
}

func (k *kept) read(t *testing.T, digest string) []byte {
	t.Helper()
	a, err := k.Open(digest)
	ok(t, err)
	defer a.Close()
	data, err := io.ReadAll(a)
	ok(t, err)
	return data
}

// names lists the folder.
func (k *kept) names(t *testing.T) string {
	t.Helper()
	list, err := os.ReadDir(k.dir)
	ok(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func (k *kept) path(name string) string { return filepath.Join(k.dir, name) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
