package controlplane

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func addrPort(t *testing.T, l net.Listener) netip.AddrPort {
	t.Helper()
	ap, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return ap
}

func TestListen(t *testing.T) {
	first, err := listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	taken := addrPort(t, first)
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[netip.AddrPort][]string{
		taken:                                   {fmt.Sprint(taken.Port()), fmt.Sprintf("PID %d", os.Getpid()), strings.TrimSpace(string(comm)), "--api-port"},
		netip.MustParseAddrPort("192.0.2.77:0"): {"192.0.2.77", "--api-address"},
	} {
		l, err := listen(t.Context(), addr)
		if err == nil {
			t.Errorf("%s: listening on %s", addr, l.Addr())
			_ = l.Close()
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q lacks %q", err, part)
			}
		}
	}
}

// As in proc(5): a listener on port 6443, one on another port, and an established connection from 6443.
const procNetTCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0
   2: 0100007F:192B 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0 20 4 30 10 -1
   3: broken
`

func TestListeningInodes(t *testing.T) {
	got := map[string]bool{}
	listeningInodes([]byte(procNetTCP), 6443, got)
	if len(got) != 1 || !got["socket:[111]"] {
		t.Errorf("%v, want socket:[111]", got)
	}
}

func TestPortHolder(t *testing.T) {
	proc := t.TempDir()
	write := func(file, data string) {
		file = filepath.Join(proc, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, ok := portHolder(proc, 6443); ok {
		t.Error("found a process in an empty /proc")
	}
	write("net/tcp6", procNetTCP)
	if _, _, ok := portHolder(proc, 6443); ok {
		t.Error("found a process that cannot be seen")
	}
	write("77/comm", "k3s-server\n")
	write("77/fd/0", "")
	if err := os.Symlink("socket:[111]", filepath.Join(proc, "77/fd/3")); err != nil {
		t.Fatal(err)
	}
	if name, pid, ok := portHolder(proc, 6443); name != "k3s-server" || pid != 77 || !ok {
		t.Errorf("%q, %d, %v", name, pid, ok)
	}
	if _, _, ok := portHolder(proc, 22); ok {
		t.Error("found the holder of another port")
	}
}

func FuzzListeningInodes(f *testing.F) {
	f.Add([]byte(procNetTCP))
	f.Add([]byte("a b c 0A e f g h i j\n"))
	f.Fuzz(func(t *testing.T, table []byte) { listeningInodes(table, 6443, map[string]bool{}) })
}

func TestSocketDir(t *testing.T) {
	short := filepath.Join(t.TempDir(), "run")
	s, err := openSocketDir(short)
	if err != nil || s.path != short || s.temporary {
		t.Fatalf("%+v, %v; want the folder itself", s, err)
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30), "run")
	if s, err = openSocketDir(long); err != nil || !s.temporary {
		t.Fatalf("%+v, %v; want a temporary folder", s, err)
	}
	for _, name := range []string{clientSocket, peerSocket} {
		l, err := net.Listen("unix", s.join(name))
		if err != nil {
			t.Fatalf("the kernel refuses the path: %v", err)
		}
		_ = l.Close()
	}
	if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v; want mode 0700", info.Mode(), err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.path); err == nil {
		t.Error("the temporary folder stays")
	}
}

func TestServerURL(t *testing.T) {
	for bound, want := range map[string]string{
		"127.0.0.1:6443": "https://127.0.0.1:6443",
		"0.0.0.0:6443":   "https://127.0.0.1:6443",
		"[::]:6443":      "https://[::1]:6443",
		"192.0.2.1:1":    "https://192.0.2.1:1",
	} {
		addr, err := net.ResolveTCPAddr("tcp", bound)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := serverURL(addr); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", bound, got, err, want)
		}
	}
}

func TestCertNames(t *testing.T) {
	has := func(n names, ip string) bool {
		for _, i := range n.ips {
			if i.Equal(net.ParseIP(ip)) {
				return true
			}
		}
		return false
	}
	n, err := certNames(netip.MustParseAddr("192.0.2.1"), []string{"rack.example", "198.51.100.7"})
	if err != nil {
		t.Fatal(err)
	}
	if !has(n, "127.0.0.1") || !has(n, "192.0.2.1") || !has(n, "198.51.100.7") || has(n, "192.0.2.2") {
		t.Errorf("addresses: %v", n.ips)
	}
	if n.dns[len(n.dns)-1] != "rack.example" {
		t.Errorf("names: %v", n.dns)
	}
}
