package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// TestGetKnowsTheWords that people type for kinds with long names.
func TestGetKnowsTheWords(t *testing.T) {
	boundClaim(t, "get-c1", "get-s1")
	run(t, "get", "claims", "-n", "team").want(t, CodeOK, "CLASS", "SERVER", "get-c1", "get-s1", "Running")
	run(t, "get", "claims", "-A").want(t, CodeOK, "NAMESPACE", "team")
	run(t, "get", "claim/get-c1", "-n", "team", "-o", "name").want(t, CodeOK, "serverclaim.metal.ingot.dev/get-c1")
	run(t, "get", "class", "small").want(t, CodeOK, "AVAILABLE", "os-a")
	run(t, "get", "inventory").want(t, CodeOK, "No serverinventories found")
	run(t, "get", "servers,claims", "-w").want(t, CodeUsage, "one kind")
	for in, want := range map[string]string{"claims": "serverclaims", "server class": "server class", "x claims/y": "x serverclaims/y", "envs": "envs", "servers,claims": "servers,serverclaims"} {
		if got := strings.Join(inFull(strings.Fields(in)), " "); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	runIn(t, t.Context(), "__complete", "--kubeconfig", testapi.Config(t).Kubeconfig, "get", "claims", "-n", "team", "get-").want(t, CodeOK, "get-c1\n")
	runIn(t, t.Context(), "__complete", "--kubeconfig", testapi.Config(t).Kubeconfig, "claim", "x", "--class", "sm").want(t, CodeOK, "small\n")
}

// breaking ends the body of the first watches after a while, as API servers do, and at once in between.
type breaking struct {
	base    http.RoundTripper
	watches atomic.Int64
	cut     chan struct{}
}

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.base.RoundTrip(r)
	if err == nil && r.URL.Query().Get("watch") != "" && b.watches.Add(1) == 1 {
		body := answer.Body
		answer.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
			<-b.cut
			return 0, io.EOF
		}))
		context.AfterFunc(r.Context(), func() { _ = body.Close() })
	}
	return answer, err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// watching runs `get … --watch` against the API server through a transport, until stop is called.
func watching(t *testing.T, out, errOut io.Writer, wrap func(http.RoundTripper) http.RoundTripper, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	env := &Env{Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut}, Now: time.Now, ID: nextID}
	root := New("ingot", env)
	if wrap != nil {
		env.config.WrapConfigFn = func(c *rest.Config) *rest.Config { c.Wrap(wrap); return c }
	}
	root.SetArgs(append([]string{"get", "--watch", "--kubeconfig", testapi.Config(t).Kubeconfig}, args...))
	done := make(chan int, 1)
	go func() { done <- Main(ctx, root, env) }()
	return func() {
		cancel()
		if code := <-done; code != CodeOK {
			t.Errorf("exit code %d", code)
		}
	}
}

// TestGetWatchSurvivesItsEnd: what changed while no watch was there is shown afterwards, once, and nothing else is told again.
func TestGetWatchSurvivesItsEnd(t *testing.T) {
	rackServer(t, "cut-1", func(s *metal.Server) { s.Labels = map[string]string{"cut": "yes"} })
	rackServer(t, "cut-2", func(s *metal.Server) { s.Labels = map[string]string{"cut": "yes"} })
	cut := &breaking{cut: make(chan struct{})}
	var out, errs lines
	stop := watching(t, &out, &errs, func(base http.RoundTripper) http.RoundTripper { cut.base = base; return cut }, "servers", "-l", "cut=yes")
	out.await(t, 3)
	change(t, "cut-1", nil, func(s *metal.Server) { s.Status.State = metal.StateAvailable }) // the first watch tells nothing
	close(cut.cut)
	if got := out.await(t, 4); !strings.Contains(got[3], "cut-1") || !strings.Contains(got[3], "Available") {
		t.Errorf("after the end of the watch:\n%s", strings.Join(got, "\n"))
	}
	eventually(t, "the second watch", func() bool { return cut.watches.Load() >= 2 })
	change(t, "cut-2", nil, func(s *metal.Server) { s.Status.Power.ObservedAt = &metav1.Time{Time: noon} }) // no column shows it
	change(t, "cut-2", nil, func(s *metal.Server) { s.Status.State = metal.StateWiping })
	if got := out.await(t, 5); len(got) != 5 || !strings.Contains(got[4], "Wiping") {
		t.Errorf("in the second watch:\n%s", strings.Join(got, "\n"))
	}
	if err := admin(t).Delete(t.Context(), fetch(t, "cut-2")); err != nil {
		t.Fatal(err)
	}
	if got := errs.await(t, 1); got[0] != "cut-2 is gone" {
		t.Errorf("errors: %q", got)
	}
	stop()
}

// TestGetWatchRedrawsOnATerminal: the table is drawn again over itself.
func TestGetWatchRedrawsOnATerminal(t *testing.T) {
	rackServer(t, "draw-1", func(s *metal.Server) { s.Labels = map[string]string{"draw": "yes"} })
	keyboard, screen := terminal(t)
	var seen lines
	go func() { _, _ = io.Copy(&seen, keyboard) }()
	stop := watching(t, screen, io.Discard, nil, "servers", "-l", "draw=yes")
	seen.await(t, 2)
	change(t, "draw-1", nil, func(s *metal.Server) { s.Status.State = metal.StateAvailable })
	got := seen.await(t, 4)
	stop()
	if !strings.Contains(got[1], "Discovered") || !strings.HasPrefix(got[2], "\x1b[2A\x1b[J") || !strings.Contains(got[2], "NAME") || !strings.Contains(got[3], "Available") {
		t.Errorf("on the terminal: %q", got)
	}
}

// TestFit: what does not fit on a terminal is cut, or taking it back would leave remains.
func TestFit(t *testing.T) {
	size := func() (int, int) { return 6, 4 }
	for text, want := range map[string][]string{
		"a\nb\n":               {"a", "b"},
		"a\nb\nc\n":            {"a", "b", "c"},
		"a\nb\nc\nd\ne\n":      {"a", "b", "... an"},
		"long line\nüüüüüüü\n": {"long l", "üüüüüü"},
		"":                     {""},
	} {
		if got := fit(text, size); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if newScreen(&bytes.Buffer{}) != nil {
		t.Error("a buffer is no terminal")
	}
	if f, err := os.Open(os.DevNull); err != nil || newScreen(f) != nil {
		t.Errorf("%s is no terminal: %v", os.DevNull, err)
	}
}

// counting is a view that counts.
type counting struct {
	view
	changes int
}

func (c *counting) change(watch.EventType, runtime.Object) error { c.changes++; return nil }

// TestExpiredWatchIsReadAgain: an error in the stream ends the round without an error, so that everything is read again.
func TestExpiredWatchIsReadAgain(t *testing.T) {
	w := watch.NewFakeWithChanSize(3, false)
	w.Modify(&metal.Server{})
	w.Action(watch.Bookmark, &metal.Server{})
	w.Error(&metav1.Status{Code: http.StatusGone, Reason: metav1.StatusReasonExpired})
	v := &counting{}
	if err := showEvents(t.Context(), w, v); err != nil || v.changes != 1 {
		t.Errorf("%v after %d changes", err, v.changes)
	}
}
