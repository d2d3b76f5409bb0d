package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ingot.dev/ingot/boot-assets/pace"
)

func TestContentRange(t *testing.T) {
	for in, want := range map[string][2]int64{"bytes 5-9/10": {5, 10}, "bytes 0-0/1": {0, 1}, "bytes 5-9/*": {5, 0}} {
		if first, total, err := parseContentRange(in); err != nil || first != want[0] || total != want[1] {
			t.Errorf("%q: %d %d %v", in, first, total, err)
		}
	}
	for _, in := range []string{"", "bytes", "bytes 5-9", "bytes */10", "bytes 5-8/10", "bytes 9-5/10", "bytes -5-9/10", "bytes +5-9/10", "items 5-9/10", "bytes 5-9/10/11", "bytes 5-9/99999999999999999999", "bytes 5 -9/10"} {
		if _, _, err := parseContentRange(in); err == nil {
			t.Errorf("%q is taken", in)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 5-9/10", "bytes 5-9/*", "bytes 0-0/1", "bytes 9223372036854775807-9223372036854775807/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, total, err := parseContentRange(s)
		if err == nil && (first < 0 || total < 0 || total > 0 && first >= total) {
			t.Errorf("%q: first %d of %d", s, first, total)
		}
	})
}

// FuzzOrigin: whatever stands beside a part, what goes into a request is one line.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{`"v1"`, `W/"v1"`, "Sat, 01 Jan 2000 00:00:00 GMT", "a\r\nb", "ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := validatorOf(http.Header{"Etag": {s}, "Last-Modified": {s}})
		if len(v) > maxValidator || strings.ContainsAny(v, "\r\n\x00") {
			t.Errorf("%q is taken as %q", s, v)
		}
	})
}

// transport answers without a network, so that a test can own the clock.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(r *http.Request, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: body, Request: r}
}

// drip sends a few bytes each second until its request ends.
type drip struct {
	ctx   context.Context
	bytes int
}

func (d *drip) Read(b []byte) (int, error) {
	if !pace.Wait(d.ctx, time.Second) {
		return 0, d.ctx.Err()
	}
	return min(d.bytes, len(b)), nil
}
func (*drip) Close() error { return nil }

// TestDrips: a source that sends next to nothing holds its place for half a minute; a slow one that sends enough is left alone.
func TestDrips(t *testing.T) {
	for bytes, stalls := range map[int]bool{1: true, 500: true, 0: true, 1000: false} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			cfg := Config{Dir: t.TempDir(), MaxFile: 200_000, Transport: transport(func(r *http.Request) (*http.Response, error) {
				return respond(r, &drip{r.Context(), bytes}), nil
			})}
			c, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			j := &job{want: Wanted{SHA256: strings.Repeat("0", 64), URL: "http://192.0.2.1/"}}
			_, err = c.fetch(t.Context(), j)
			took := time.Since(begun)
			if stalls && (!errors.Is(err, ErrStalled) || took > 2*defaultStall) {
				t.Errorf("%d bytes a second: %v after %v", bytes, err, took)
			}
			if !stalls && !errors.Is(err, ErrTooBig) {
				t.Errorf("%d bytes a second: %v after %v, want it read to the limit", bytes, err, took)
			}
		})
	}
}

// TestSilence: a source that never answers is left after half a minute.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		c, err := Open(Config{Dir: t.TempDir(), Transport: transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.fetch(t.Context(), &job{want: Wanted{SHA256: strings.Repeat("0", 64), URL: "http://192.0.2.1/"}})
		if took := time.Since(begun); !errors.Is(err, ErrStalled) || took != defaultStall {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestWaits: a source that is away is asked ever more slowly and at most every five minutes; one with the wrong file at most every half a minute.
func TestWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		answer      transport
		least, most int // requests in an hour
		first       time.Duration
	}{
		"away": {func(*http.Request) (*http.Response, error) { return nil, errors.New("away") }, 15, 35, 0},
		"wrong": {func(r *http.Request) (*http.Response, error) {
			return respond(r, io.NopCloser(strings.NewReader("x"))), nil
		}, 13, 30, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Time
				c, err := Open(Config{Dir: t.TempDir(), Transport: transport(func(r *http.Request) (*http.Response, error) {
					at = append(at, time.Now())
					return tc.answer(r)
				})})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				c.Want([]Wanted{{SHA256: strings.Repeat("0", 64), URL: "http://192.0.2.1/"}})
				if err := c.Run(ctx); err != nil {
					t.Fatal(err)
				}
				if n := len(at); n < tc.least || n > tc.most || at[1].Sub(at[0]) < tc.first || at[n-1].Sub(at[n-2]) < longestWait/2 {
					t.Errorf("%d requests at %v", n, at)
				}
			})
		})
	}
}

// TestParallel: at most two files are fetched at once, and all of them in the end.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most, total := 0, 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			now, total = now+n, total+max(n, 0)
			most = max(most, now)
		}
		c, err := Open(Config{Dir: t.TempDir(), Transport: transport(func(*http.Request) (*http.Response, error) {
			count(1)
			defer count(-1)
			pace.Wait(t.Context(), time.Second)
			return nil, errors.New("away")
		})})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var all []Wanted
		for i := range 20 {
			all = append(all, Wanted{SHA256: fmt.Sprintf("%064x", i), URL: "http://192.0.2.1/"})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		c.Want(all)
		if err := c.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if most != defaultParallel || total < 20 {
			t.Errorf("%d at once, %d in all", most, total)
		}
	})
}
