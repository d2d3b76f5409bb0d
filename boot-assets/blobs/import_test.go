package blobs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/boot-assets/blobs"
)

// TestImport: the digest is computed, the file is there at once, and a bad one leaves nothing.
func TestImport(t *testing.T) {
	data := content(100_000)
	k := open(t, t.TempDir(), func(c *blobs.Config) { c.MaxFile = 100_000 })
	defer k.Close()
	d, err := k.Import(t.Context(), bytes.NewReader(data))
	if err != nil || d.SHA256 != sha(data) || d.Size != 100_000 || !bytes.Equal(k.read(t, d.SHA256), data) {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := k.Import(t.Context(), bytes.NewReader(data)); err != nil {
		t.Errorf("once more: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, bad := range map[string]struct {
		ctx  context.Context
		from io.Reader
	}{
		"too big": {t.Context(), bytes.NewReader(content(100_001))},
		"empty":   {t.Context(), strings.NewReader("")},
		"broken":  {t.Context(), io.MultiReader(strings.NewReader("half"), brokenReader{})},
		"ended":   {ended, bytes.NewReader(data)},
	} {
		if _, err := k.Import(bad.ctx, bad.from); err == nil {
			t.Errorf("%s: imported", name)
		}
	}
	if k.names(t) != sha(data) {
		t.Errorf("the folder has %s", k.names(t))
	}
	list, err := k.List()
	if err != nil || len(list) != 1 || list[0].SHA256 != sha(data) || list[0].Size != 100_000 {
		t.Errorf("list %+v, %v", list, err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the stick was pulled") }

// TestImportBeside: another process puts the file there while this one waits for a source that is away. No network is needed.
func TestImportBeside(t *testing.T) {
	data, dir := content(100_000), t.TempDir()
	s := newSource(t, http.NotFound)
	k := open(t, dir, nil)
	k.run(t, blobs.Wanted{SHA256: sha(data), URL: s.URL})
	k.untilPhase(t, blobs.Failed)
	other := open(t, dir, nil)
	defer other.Close()
	half, end := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := other.Import(t.Context(), half)
		done <- err
	}()
	if _, err := end.Write(data[:50_000]); err != nil {
		t.Fatal(err)
	}
	k.Want([]blobs.Wanted{{SHA256: sha(data), URL: s.URL}}) // looks for leftovers, and this is none
	k.untilPhase(t, blobs.Failed)
	if _, err := end.Write(data[50_000:]); err != nil {
		t.Fatal(err)
	}
	ok(t, end.Close())
	ok(t, <-done)
	k.untilPhase(t, blobs.Cached)
	k.read(t, sha(data))
}

// TestSweep: what nobody names goes after a while, what is named stays, and nothing goes before it is known what is named.
func TestSweep(t *testing.T) {
	named, unnamed, dir := content(1000), content(2000), t.TempDir()
	s := newSource(t, whole(named))
	clock := time.Now()
	at := func(c *blobs.Config) { c.Now = func() time.Time { return clock } }
	k := open(t, dir, at)
	for _, data := range [][]byte{named, unnamed} {
		_, err := k.Import(t.Context(), bytes.NewReader(data))
		ok(t, err)
	}
	clock = clock.Add(30 * 24 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ok(t, k.Run(ctx)) // sweeps once, and nobody said what is named
	if len(strings.Fields(k.names(t))) != 2 {
		t.Fatalf("the folder has %s", k.names(t))
	}
	ok(t, k.Close())
	clock = time.Now()
	k = open(t, dir, at)
	k.Want([]blobs.Wanted{{SHA256: sha(named), URL: s.URL}})
	ok(t, k.Run(ctx))
	if len(strings.Fields(k.names(t))) != 2 {
		t.Fatalf("control: young files are gone, the folder has %s", k.names(t))
	}
	clock = clock.Add(8 * 24 * time.Hour)
	ok(t, k.Run(ctx))
	if k.names(t) != sha(named) {
		t.Errorf("the folder has %s", k.names(t))
	}
	ok(t, k.Close())
}

// TestBudget: room is made of what nobody names, the oldest first; what is named stays, and the file that does not fit says so.
func TestBudget(t *testing.T) {
	old, young, big := content(40_000), content(30_000), content(50_000)
	s := newSource(t, whole(big))
	dir := t.TempDir()
	k := open(t, dir, func(c *blobs.Config) { c.Budget = 100_000 })
	for i, data := range [][]byte{old, young} {
		_, err := k.Import(t.Context(), bytes.NewReader(data))
		ok(t, err)
		later := time.Now().Add(time.Duration(i+1) * time.Hour)
		ok(t, os.Chtimes(k.path(sha(data)), later, later))
	}
	k.run(t, blobs.Wanted{SHA256: sha(big), URL: s.URL})
	k.untilPhase(t, blobs.Cached)
	if names := k.names(t); strings.Contains(names, sha(old)) || !strings.Contains(names, sha(young)) {
		t.Errorf("the folder has %s", names)
	}
	more := content(60_000)
	s.turn(whole(more))
	both := []blobs.Wanted{{SHA256: sha(big), URL: s.URL}, {SHA256: sha(more), URL: s.URL}}
	k.Want(both)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for k.Phases()[sha(more)] != blobs.Failed {
		select {
		case <-k.Changed():
		case <-ctx.Done():
			t.Fatalf("states %+v", k.States())
		}
	}
	if k.Phases()[sha(big)] != blobs.Cached || slices.Contains(strings.Fields(k.names(t)), sha(more)) {
		t.Errorf("states %+v, the folder has %s", k.States(), k.names(t))
	}
	k.Want(both[1:]) // now the other one is in nobody's way
	k.untilPhase(t, blobs.Cached)
}
