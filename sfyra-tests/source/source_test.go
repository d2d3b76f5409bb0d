package source

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

var content = bytes.Repeat([]byte("boot file "), 100_000)

func start(t *testing.T) *Source {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "vmlinuz"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Start("127.0.0.1:0", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func get(t *testing.T, url, ranges string) ([]byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	if ranges != "" {
		r.Header.Set("Range", ranges)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if answer.StatusCode/100 != 2 {
		return nil, os.ErrNotExist
	}
	return data, err
}

func TestHonest(t *testing.T) {
	s := start(t)
	if got, err := get(t, s.URL("vmlinuz"), ""); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := get(t, s.URL("vmlinuz"), "bytes=10-"); err != nil || !bytes.Equal(got, content[10:]) {
		t.Errorf("a range: %d bytes, %v", len(got), err)
	}
	for _, name := range []string{"other", "", "../source.go", "%2e%2e/x"} {
		if _, err := get(t, s.URL(name), ""); err == nil {
			t.Errorf("%q was served", name)
		}
	}
	requests := s.Requests()
	if len(requests) != 2 || requests[1] != (Request{Path: "/vmlinuz", Range: "bytes=10-", Bytes: int64(len(content) - 10)}) {
		t.Errorf("the log has %+v", requests)
	}
}

func TestFaults(t *testing.T) {
	s := start(t)
	s.Set(Fault{Flip: true})
	for from, ranges := range map[int]string{0: "", 7: "bytes=7-"} {
		got, err := get(t, s.URL("vmlinuz"), ranges)
		want := bytes.Clone(content)
		want[len(want)/2] ^= 1
		if err != nil || !bytes.Equal(got, want[from:]) {
			t.Errorf("from %d: not exactly the middle byte differs: %v", from, err)
		}
	}
	s.Set(Fault{CutAfter: 1000})
	if got, err := get(t, s.URL("vmlinuz"), ""); err == nil || len(got) != 1000 {
		t.Errorf("cut: %d bytes, %v", len(got), err)
	}
	s.Set(Fault{BytesPerSecond: 5_000_000})
	begin := time.Now()
	if got, err := get(t, s.URL("vmlinuz"), ""); err != nil || !bytes.Equal(got, content) || time.Since(begin) < 190*time.Millisecond {
		t.Errorf("slow: %d bytes in %s, %v", len(got), time.Since(begin), err)
	}
}

// TestStop: a stopped source takes no connections, and comes back under the same address.
func TestStop(t *testing.T) {
	s := start(t)
	url := s.URL("vmlinuz")
	s.Stop()
	s.Stop()
	if _, err := get(t, url, ""); err == nil {
		t.Error("it answers")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, url, ""); err != nil || len(got) != len(content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := Start("127.0.0.1:0", filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there was taken")
	}
}
