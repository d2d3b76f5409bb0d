package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func base() Manifest {
	return Manifest{Ingot: "v1", Kubernetes: "v1.37.1", LayoutVersion: 1, CreatedAt: now}
}

// good is a backup of two files.
func good(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	var files []File
	for name, text := range map[string]string{"pki/ca.pem": "key", "etcd/snapshot.db": strings.Repeat("data and data ", 5000)} {
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, File{name, path})
	}
	var out bytes.Buffer
	if _, err := Write(&out, base(), files); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRoundTrip(t *testing.T) {
	got := map[string]string{}
	m, err := Read(bytes.NewReader(good(t)), nil, func(e Member, r io.Reader) error {
		data, err := io.ReadAll(r)
		got[e.Name] = string(data)
		return err
	})
	if err != nil || m.Ingot != "v1" || !m.CreatedAt.Equal(now) {
		t.Fatalf("%+v, %v", m, err)
	}
	if len(got) != 2 || got["pki/ca.pem"] != "key" || len(got["etcd/snapshot.db"]) != 70000 {
		t.Errorf("got %d members", len(got))
	}
	halt := errors.New("halt")
	if _, err := Read(bytes.NewReader(good(t)), func(Manifest) error { return halt }, func(Member, io.Reader) error { t.Error("a member"); return nil }); !errors.Is(err, halt) {
		t.Errorf("the manifest's judge was not heard: %v", err)
	}
}

// contents is all that a reader gets of a backup, also when it turns out to be damaged.
func contents(data []byte) (string, error) {
	var b strings.Builder
	m, err := Read(bytes.NewReader(data), nil, func(e Member, r io.Reader) error {
		fmt.Fprintf(&b, "%s %d\n", e.Name, e.Size)
		_, err := io.Copy(&b, r)
		return err
	})
	fmt.Fprintf(&b, "%+v", m)
	return b.String(), err
}

// TestChangedBytesAreSeen: a changed byte is refused, or it is one that says nothing (gzip's time, bits that fill a byte) and the content is the same.
func TestChangedBytesAreSeen(t *testing.T) {
	whole := good(t)
	want, err := contents(whole)
	if err != nil {
		t.Fatalf("control: %v", err)
	}
	refused := 0
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 0x10
		got, err := contents(changed)
		if err != nil {
			refused++
		} else if got != want {
			t.Errorf("byte %d of %d was changed, and it was taken", i, len(whole))
		}
	}
	if refused < len(whole)-16 {
		t.Errorf("only %d of %d changes were refused", refused, len(whole))
	}
	for i := range whole {
		if _, err := Read(bytes.NewReader(whole[:i]), nil, nil); err == nil {
			t.Errorf("%d of %d bytes were taken", i, len(whole))
		}
	}
	if _, err := Read(bytes.NewReader(append(bytes.Clone(whole), whole...)), nil, nil); err == nil {
		t.Error("two files in one were taken")
	}
}

// packed is an archive with these members, whatever they are.
func packed(t testing.TB, manifest string, members ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for i, h := range append([]*tar.Header{{Name: manifestName, Typeflag: tar.TypeReg, Size: int64(len(manifest))}}, members...) {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		content := manifest
		if i > 0 {
			content = strings.Repeat("x", int(h.Size))
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// text is a manifest with one member of one byte, x, changed by a function.
func text(t testing.TB, change func(*Manifest)) string {
	t.Helper()
	sum := sha256.Sum256([]byte("x"))
	m := base()
	m.FormatVersion, m.Members = FormatVersion, []Member{{"pki/a", 1, hex.EncodeToString(sum[:])}}
	if change != nil {
		change(&m)
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestHostileArchives(t *testing.T) {
	regular := func(name string) *tar.Header { return &tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 1} }
	read := func(data []byte) error { _, err := Read(bytes.NewReader(data), nil, nil); return err }
	if err := read(packed(t, text(t, nil), regular("pki/a"))); err != nil {
		t.Fatalf("control: %v", err)
	}
	name := func(n string) string { return text(t, func(m *Manifest) { m.Members[0].Name = n }) }
	for what, data := range map[string][]byte{
		"out of the folder":    packed(t, name("../a"), regular("../a")),
		"absolute":             packed(t, name("/a"), regular("/a")),
		"through the folder":   packed(t, name("pki/../../a"), regular("pki/../../a")),
		"a blank":              packed(t, name("pki/a b"), regular("pki/a b")),
		"an escape":            packed(t, name("pki/\x1b[2J"), regular("pki/a")),
		"another place":        packed(t, text(t, nil), regular("pki/b")),
		"a link":               packed(t, text(t, nil), &tar.Header{Name: "pki/a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}),
		"one too many":         packed(t, text(t, nil), regular("pki/a"), regular("pki/b")),
		"one too few":          packed(t, text(t, nil)),
		"twice":                packed(t, text(t, func(m *Manifest) { m.Members = append(m.Members, m.Members[0]) }), regular("pki/a"), regular("pki/a")),
		"another digest":       packed(t, text(t, func(m *Manifest) { m.Members[0].SHA256 = strings.Repeat("0", 64) }), regular("pki/a")),
		"another size":         packed(t, text(t, func(m *Manifest) { m.Members[0].Size = 2 }), regular("pki/a")),
		"a size without limit": packed(t, text(t, func(m *Manifest) { m.Members[0].Size = MaxSize + 1 }), regular("pki/a")),
		"no members":           packed(t, text(t, func(m *Manifest) { m.Members = nil })),
		"no layout":            packed(t, text(t, func(m *Manifest) { m.LayoutVersion = 0 }), regular("pki/a")),
		"an unknown field":     packed(t, strings.Replace(text(t, nil), "{", `{"x":1,`, 1), regular("pki/a")),
		"two manifests":        packed(t, text(t, nil)+text(t, nil), regular("pki/a")),
		"the manifest again":   packed(t, name(manifestName), regular(manifestName)),
		"no archive":           []byte("hello"),
		"nothing":              nil,
	} {
		if err := read(data); err == nil {
			t.Errorf("%s: it was taken", what)
		}
	}
	newer := packed(t, text(t, func(m *Manifest) { m.FormatVersion++ }), regular("pki/a"))
	if err := read(newer); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer format: %v", err)
	}
}

func TestWriteNoticesWhatChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := measure(File{"a", path})
	if err != nil {
		t.Fatal(err)
	}
	if err := copyFile(io.Discard, File{"a", path}, e); err != nil {
		t.Errorf("control: %v", err)
	}
	if err := os.WriteFile(path, []byte("behind"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(io.Discard, File{"a", path}, e); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("changed: %v", err)
	}
	for _, files := range [][]File{nil, {{"../a", path}}, {{"a", path + "-none"}}} {
		if _, err := Write(io.Discard, base(), files); err == nil {
			t.Errorf("%v: written", files)
		}
	}
}

// FuzzParseManifest: no bytes make it panic, and what it takes names only paths below a folder.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(text(f, nil)))
	f.Add([]byte(`{"formatVersion":2}`))
	f.Add([]byte(`{"formatVersion":1,"layoutVersion":1,"members":[{"name":"../x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseManifest(data)
		if err != nil {
			return
		}
		for _, e := range m.Members {
			if !filepath.IsLocal(e.Name) || e.Size < 0 {
				t.Errorf("taken: %+v", e)
			}
		}
	})
}

// FuzzRead: no bytes make it panic, and what it takes to the end has the digests that it names.
func FuzzRead(f *testing.F) {
	f.Add(packed(f, text(f, nil), &tar.Header{Name: "pki/a", Typeflag: tar.TypeReg, Size: 1}))
	f.Add([]byte(fmt.Sprint("\x1f\x8b\x08")))
	f.Fuzz(func(t *testing.T, data []byte) {
		sums := map[string]string{}
		m, err := Read(bytes.NewReader(data), nil, func(e Member, r io.Reader) error {
			sum := sha256.New()
			_, err := io.Copy(sum, io.LimitReader(r, 1<<20))
			sums[e.Name] = hex.EncodeToString(sum.Sum(nil))
			return err
		})
		for _, e := range m.Members {
			if err == nil && e.Size <= 1<<20 && sums[e.Name] != e.SHA256 {
				t.Errorf("%s has another digest", e.Name)
			}
		}
	})
}
