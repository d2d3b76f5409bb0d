package leases

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var epoch = time.Unix(1_800_000_000, 0)

// kind is that of addresses of 10.0.0.0/8, whose clients have a MAC.
var kind = Kind{Header: "test-leases", Fits: func(r Record) bool { return r.IP.Is4() && r.MAC != [6]byte{} }}

func check0(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rec(n int, until time.Time) Record {
	m := [6]byte{2, 0, 0, 0, 0, byte(n) | 1}
	return Record{IP: netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), MAC: m, Client: string(m[:]) + "\xff id\n", Until: until}
}

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, bad, err := Open(path, kind, epoch)
	if err != nil || bad != 0 {
		t.Fatalf("opening: %v, %d bad lines", err, bad)
	}
	return s
}

// A kill at any moment leaves a prefix of the file. Whatever was acknowledged before the torn line must be there.
func TestStoreTornAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	s := open(t, path)
	var sizes []int
	for i := range 5 {
		check0(t, s.Put(rec(i, epoch.Add(time.Hour)), epoch))
		b, _ := os.ReadFile(path)
		sizes = append(sizes, len(b))
	}
	whole, _ := os.ReadFile(path)
	check0(t, s.Close())
	for cut := len(kind.Header) + 3; cut <= len(whole); cut++ {
		want := 0
		for _, size := range sizes {
			if cut >= size-1 { // without its line end a record is still whole
				want++
			}
		}
		live, bad, err := kind.read(bytes.NewReader(whole[:cut]))
		if err != nil || len(live) != want || bad > 1 {
			t.Fatalf("cut at %d of %d: %d records, %d bad, %v; want %d", cut, len(whole), len(live), bad, err, want)
		}
	}
}

func TestStoreAfterTear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	s := open(t, path)
	check0(t, s.Put(rec(1, epoch.Add(time.Hour)), epoch))
	check0(t, s.Close())
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString("0badc0de 10.0.0.9 02:00")
	f.Close()
	s, bad, err := Open(path, kind, epoch)
	if err != nil || bad != 1 || len(s.live) != 1 {
		t.Fatalf("%v, %d bad, %v", s, bad, err)
	}
	check0(t, s.Put(rec(2, epoch.Add(time.Hour)), epoch)) // must not be glued to the torn line
	check0(t, s.Close())
	s = open(t, path)
	defer s.Close()
	if len(s.live) != 2 {
		t.Errorf("%d leases, want 2", len(s.live))
	}
}

func TestStoreRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	check0(t, os.WriteFile(path, []byte("test-leases 2\nwhatever\n"), 0o600))
	if _, _, err := Open(path, kind, epoch); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer file: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "test-leases 2\nwhatever\n" {
		t.Errorf("the newer file was changed: %q", b)
	}
	check0(t, os.WriteFile(path, []byte("root:x:0:0\n"), 0o600))
	if _, _, err := Open(path, kind, epoch); err == nil {
		t.Error("a file of something else was taken")
	}
	check0(t, os.Remove(path))
	s := open(t, path) // control; an empty and a missing file are fine
	if _, _, err := Open(path, kind, epoch); err == nil || !strings.Contains(err.Error(), "another DHCP server") {
		t.Errorf("a second server on one file: %v", err)
	}
	check0(t, s.Close())
	if _, _, err := Open(filepath.Join(path, "no", "folder"), kind, epoch); err == nil {
		t.Error("a folder that is missing was accepted")
	}
}

func TestStoreStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	s := open(t, path)
	defer s.Close()
	for i := range 1500 {
		check0(t, s.Put(rec(i%3, epoch.Add(time.Duration(i)*time.Second)), epoch))
	}
	info, _ := os.Stat(path)
	if info.Size() > 1100*100 {
		t.Errorf("%d bytes for three leases", info.Size())
	}
	old := rec(9, epoch.Add(-keepExpired-time.Second))
	check0(t, s.Put(old, epoch))
	check0(t, s.Close())
	s = open(t, path)
	if _, ok := s.live[old.IP]; ok || len(s.live) != 3 {
		t.Errorf("after a restart: %d leases, the old one kept: %v", len(s.live), ok)
	}
}

// Writers share an fsync; each sees its own lease in the file when Put returns.
func TestStoreConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases")
	s := open(t, path)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 100 {
				r := rec(w*100+i, epoch.Add(time.Hour))
				if err := s.Put(r, epoch); err != nil {
					t.Error(err)
				}
				if i%25 == 0 {
					b, _ := os.ReadFile(path)
					if !bytes.Contains(b, []byte(r.line())) {
						t.Errorf("%v is not in the file after Put", r.IP)
					}
				}
			}
		})
	}
	wg.Wait()
	want := maps.Clone(s.live)
	check0(t, s.Close())
	s = open(t, path)
	defer s.Close()
	if len(s.live) != 1600 || len(want) != 1600 {
		t.Errorf("%d leases, want 1600", len(s.live))
	}
}

// A full disk: no ACK while it lasts, and the server recovers by itself.
func TestStoreRecovers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "leases")
	s := open(t, path)
	check0(t, s.Put(rec(1, epoch.Add(time.Hour)), epoch))
	check0(t, s.file.Close()) // every write fails from here on
	check0(t, os.Rename(dir, dir+"x"))
	for range 3 {
		if err := s.Put(rec(2, epoch.Add(time.Hour)), epoch); err == nil {
			t.Fatal("a lease that cannot be written was acknowledged")
		}
	}
	check0(t, os.Rename(dir+"x", dir))
	check0(t, s.Put(rec(3, epoch.Add(time.Hour)), epoch))
	check0(t, s.Close())
	s = open(t, path)
	defer s.Close()
	if len(s.live) != 3 {
		t.Errorf("%d leases, want 3", len(s.live))
	}
}

// TestKindsStayApart: a record that cannot be one of the server's is a damaged line.
func TestKindsStayApart(t *testing.T) {
	six := Record{IP: netip.MustParseAddr("2001:db8::7"), Client: "duid", Until: epoch}
	long := rec(1, epoch)
	long.Client = strings.Repeat("x", MaxClient+1)
	zone := six
	zone.IP = netip.MustParseAddr("fe80::7%eth0")
	text := kind.Header + " 1\n" + rec(1, epoch).line() + six.line() + long.line() + zone.line()
	if live, bad, err := kind.read(strings.NewReader(text)); err != nil || len(live) != 1 || bad != 3 {
		t.Errorf("%v, %d bad, %v; want the IPv4 lease alone", live, bad, err)
	}
	any6 := Kind{Header: kind.Header, Fits: func(r Record) bool { return r.IP.Is6() }}
	if live, bad, err := any6.read(strings.NewReader(text)); err != nil || live[six.IP] != six || bad != 3 {
		t.Errorf("%v, %d bad, %v; want the IPv6 lease alone", live, bad, err)
	}
}

func FuzzReadRecords(f *testing.F) {
	good := fmt.Sprintf("%s %d\n", kind.Header, format) + rec(1, epoch).line()
	for _, s := range []string{good, good[:len(good)-9], "", "test-leases 99\n", "x\n", good + good} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		live, _, err := kind.read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for ip, r := range live {
			if again, ok := kind.parse(strings.TrimSuffix(r.line(), "\n")); !ok || again != r || r.IP != ip {
				t.Fatalf("%+v does not survive writing: %+v", r, again)
			}
		}
	})
}
