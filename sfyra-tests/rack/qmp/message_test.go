package qmp

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestDecode(t *testing.T) {
	for line, ok := range map[string]bool{
		greeting:                                 true,
		`{"return": {}, "id": 3}`:                true,
		`{"return": [], "id": 3}`:                true,
		`{"event": "SHUTDOWN", "data": {}}`:      true,
		`{"error": {"class": "C", "desc": "d"}}`: true,
		``:                                       false,
		`{}`:                                     false,
		`[]`:                                     false,
		`{"return": {}, "id": -1}`:               false,
		`{"event": 7}`:                           false,
	} {
		if _, err := decode([]byte(line)); (err == nil) != ok {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(greeting))
	f.Add([]byte(`{"return": {"status": "running"}, "id": 1}`))
	f.Add([]byte(`{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}`))
	f.Add([]byte(`{"error": {"class": "GenericError", "desc": "x"}, "id": 18446744073709551615}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := decode(line)
		if err == nil && m.Greeting == nil && m.Event == "" && m.Return == nil && m.Error == nil {
			t.Error("accepted a line without meaning")
		}
	})
}

func listenUnix(t *testing.T, path string) net.Listener {
	t.Helper()
	if dir := filepath.Dir(path); dir != "." {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Chdir(dir)
	}
	listener, err := net.Listen("unix", filepath.Base(path))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
