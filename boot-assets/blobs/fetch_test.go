package blobs_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/boot-assets/blobs"
	"ingot.dev/ingot/boot-assets/cache"
)

// TestFetch is the control of everything else: a file is fetched once, proven, and alone in the folder.
func TestFetch(t *testing.T) {
	data := content(300_000)
	s := newSource(t, whole(data))
	k := started(t, blobs.Wanted{SHA256: sha(data), URL: s.URL + "/vmlinuz"})
	state := k.untilPhase(t, blobs.Cached)
	if state.Received != 300_000 || state.Total != 300_000 || state.Message != "" {
		t.Errorf("state %+v", state)
	}
	if !bytes.Equal(k.read(t, sha(data)), data) || k.Phases()[sha(data)] != blobs.Cached {
		t.Error("it is not what the source has")
	}
	if asked, sent := s.requests(); len(asked) != 1 || sent != 300_000 || asked[0].Get("Accept-Encoding") != "identity" || asked[0].Get("Range") != "" {
		t.Errorf("asked %v, sent %d", asked, sent)
	}
	if k.names(t) != sha(data) {
		t.Errorf("the folder has %s", k.names(t))
	}
}

// TestResume: a transfer that broke goes on where it was, with a condition that it is still the same file; no byte is asked for again.
func TestResume(t *testing.T) {
	data, tag := content(1<<20), `"v1"`
	s := newSource(t, nil)
	s.turn(func(w http.ResponseWriter, r *http.Request) {
		s.turn(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", tag)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		})
		broken(data, 400_000, tag)(w, r)
	})
	k := started(t, blobs.Wanted{SHA256: sha(data), URL: s.URL})
	k.untilPhase(t, blobs.Cached)
	asked, sent := s.requests()
	if len(asked) != 2 || asked[1].Get("If-Range") != tag {
		t.Fatalf("asked %v", asked)
	}
	from, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(asked[1].Get("Range"), "bytes="), "-"))
	if err != nil || from == 0 || from > 400_000 || sent != int64(400_000+len(data)-from) {
		t.Errorf("range %q, %d bytes sent", asked[1].Get("Range"), sent)
	}
	if !bytes.Equal(k.read(t, sha(data)), data) {
		t.Error("it is not what the source has")
	}
}

// TestStartsOver: where going on is not possible the file is fetched from its first byte, and is right.
func TestStartsOver(t *testing.T) {
	data, other := content(500_000), bytes.Repeat([]byte("x"), 500_000)
	for name, h := range map[string]struct{ first, then http.HandlerFunc }{
		"ranges are ignored": {broken(data, 200_000, `"v1"`), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }},
		"the file changed":   {broken(other, 200_000, `"v0"`), whole(data)},
		"a lying range": {broken(other, 200_000, `"v0"`), func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Range") // goes on with another file
			whole(data)(w, r)
		}},
		"another range": {broken(data, 200_000, `"v1"`), func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				r.Header.Set("Range", "bytes=7-")
				r.Header.Del("If-Range")
			}
			whole(data)(w, r)
		}},
		"nothing after it": {broken(append(bytes.Clone(data), 'x'), 200_000, `"v1"`), func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			whole(data)(w, r)
		}},
		"no validator": {broken(data, 200_000, ""), whole(data)},
		"a weak one":   {broken(data, 200_000, `W/"v1"`), whole(data)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(t, nil)
			s.turn(func(w http.ResponseWriter, r *http.Request) { s.turn(h.then); h.first(w, r) })
			k := started(t, blobs.Wanted{SHA256: sha(data), URL: s.URL})
			k.untilPhase(t, blobs.Cached)
			if !bytes.Equal(k.read(t, sha(data)), data) || k.names(t) != sha(data) {
				t.Errorf("the folder has %s", k.names(t))
			}
		})
	}
}

// TestKilled: what a process left that died at any moment is gone on with, or removed.
func TestKilled(t *testing.T) {
	data := content(500_000)
	s := newSource(t, whole(data))
	digest := sha(data)
	from := `{"url":"` + s.URL + `","validator":"\"` + digest[:16] + `\""}`
	for name, left := range map[string]struct {
		files map[string]string
		sent  int64
	}{
		"in the middle":       {map[string]string{digest + ".part": string(data[:100_000]), digest + ".from": from}, 400_000},
		"before the rename":   {map[string]string{digest + ".part": string(data), digest + ".from": from}, 0},
		"no origin":           {map[string]string{digest + ".part": string(data[:100_000])}, 500_000},
		"another origin":      {map[string]string{digest + ".part": string(data[:100_000]), digest + ".from": `{"url":"http://x","validator":"y"}`}, 500_000},
		"half an origin":      {map[string]string{digest + ".part": string(data[:100_000]), digest + ".from": from[:9]}, 500_000},
		"zeros after a crash": {map[string]string{digest + ".part": string(make([]byte, 100_000)), digest + ".from": from}, 900_000},
		"an import":           {map[string]string{"import-ABC": "half"}, 500_000},
		"somebody else's":     {map[string]string{strings.Repeat("0", 64) + ".part": "half", strings.Repeat("0", 64) + ".from": from}, 500_000},
		"the file itself":     {map[string]string{digest: string(data)}, 0},
		"a damaged file":      {map[string]string{digest: "damaged"}, 500_000},
	} {
		t.Run(name, func(t *testing.T) {
			_, before := s.requests()
			dir := t.TempDir()
			for f, text := range left.files {
				ok(t, os.WriteFile(dir+"/"+f, []byte(text), 0o600))
			}
			k := open(t, dir, nil)
			stop := k.run(t, blobs.Wanted{SHA256: digest, URL: s.URL})
			k.untilPhase(t, blobs.Cached)
			if !bytes.Equal(k.read(t, digest), data) {
				t.Error("it is not what the source has")
			}
			stop()
			if _, sent := s.requests(); sent-before != left.sent || k.names(t) != digest {
				t.Errorf("%d bytes were sent, want %d; the folder has %s", sent-before, left.sent, k.names(t))
			}
		})
	}
}

// TestFlippedInCache is TestTamperedAsset in small: a byte that changed on disk, even with the times set back, is never served; the file is fetched again.
func TestFlippedInCache(t *testing.T) {
	data := content(100_000)
	s := newSource(t, whole(data))
	k := started(t, blobs.Wanted{SHA256: sha(data), URL: s.URL})
	k.untilPhase(t, blobs.Cached)
	k.read(t, sha(data))
	info, err := os.Stat(k.path(sha(data)))
	ok(t, err)
	bad := bytes.Clone(data)
	bad[70_000] ^= 1
	ok(t, os.WriteFile(k.path(sha(data)), bad, 0o600))
	ok(t, os.Chtimes(k.path(sha(data)), time.Time{}, info.ModTime()))
	if _, err := k.Open(sha(data)); !errors.Is(err, cache.ErrMismatch) {
		t.Fatalf("a flipped byte: %v", err)
	}
	k.untilPhase(t, blobs.Cached)
	if !bytes.Equal(k.read(t, sha(data)), data) || !strings.Contains(k.log.text(), "damaged") {
		t.Errorf("it was not mended:\n%s", k.log.text())
	}
	if asked, _ := s.requests(); len(asked) != 2 {
		t.Errorf("%d requests", len(asked))
	}
}

// TestFlippedInSource: the wrong file is told with both digests, is not kept, and is asked for again.
func TestFlippedInSource(t *testing.T) {
	data := content(100_000)
	bad := bytes.Clone(data)
	bad[70_000] ^= 1
	s := newSource(t, whole(bad))
	k := started(t, blobs.Wanted{SHA256: sha(data), URL: s.URL + "/vmlinuz"})
	state := k.untilPhase(t, blobs.Failed)
	for _, want := range []string{sha(data), sha(bad), s.URL + "/vmlinuz"} {
		if !strings.Contains(state.Message, want) {
			t.Errorf("the message lacks %s: %s", want, state.Message)
		}
	}
	if _, err := k.Open(sha(data)); !errors.Is(err, cache.ErrUnknown) {
		t.Errorf("opened: %v", err)
	}
	if _, err := k.Open(sha(bad)); !errors.Is(err, cache.ErrUnknown) {
		t.Errorf("the other file was kept: %v", err)
	}
	s.turn(whole(data))
	k.untilPhase(t, blobs.Cached)
}

// TestSourceDown: what is there is served while the source is away, also after a restart; what is not says why.
func TestSourceDown(t *testing.T) {
	data, dir := content(100_000), t.TempDir()
	s := newSource(t, whole(data))
	wanted := blobs.Wanted{SHA256: sha(data), URL: s.URL}
	k := open(t, dir, nil)
	stop := k.run(t, wanted)
	k.untilPhase(t, blobs.Cached)
	s.Close()
	k.read(t, sha(data))
	stop()
	k = open(t, dir, nil)
	stop = k.run(t, wanted)
	k.untilPhase(t, blobs.Cached)
	k.read(t, sha(data))
	k.Want([]blobs.Wanted{{SHA256: strings.Repeat("0", 64), URL: s.URL}})
	if state := k.untilPhase(t, blobs.Failed); !strings.Contains(state.Message, "connection refused") || strings.Contains(state.Message, "->") {
		t.Errorf("message %q", state.Message)
	}
	stop()
}

// TestAnotherURL: the same digest is asked for at its new place, without waiting for the old one.
func TestAnotherURL(t *testing.T) {
	data := content(100_000)
	hung := make(chan struct{})
	bad := newSource(t, func(_ http.ResponseWriter, r *http.Request) {
		close(hung)
		<-r.Context().Done()
	})
	good := newSource(t, whole(data))
	k := started(t, blobs.Wanted{SHA256: sha(data), URL: bad.URL})
	<-hung
	k.Want([]blobs.Wanted{{SHA256: sha(data), URL: good.URL}})
	k.untilPhase(t, blobs.Cached)
}
