package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	pin "github.com/pin/tftp/v3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func catalogue() fstest.MapFS {
	return fstest.MapFS{
		"snponly.efi":       {Data: content(300_001)},
		"amd64/vmlinuz":     {Data: content(512 * 4)},
		"empty":             {Data: nil},
		"secret/passwd.txt": {Data: []byte("not asked for"), Mode: 0o600},
	}
}

func serve(t testing.TB, cfg Config) *Server {
	t.Helper()
	if !cfg.Addr.IsValid() {
		cfg.Addr = netip.MustParseAddrPort("127.0.0.1:0")
	}
	if cfg.Files == nil {
		cfg.Files = catalogue()
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func fetch(t testing.TB, s *Server, name string, block int, tsize bool) ([]byte, int64, error) {
	t.Helper()
	c, err := pin.NewClient(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if block > 0 {
		c.SetBlockSize(block)
	}
	c.RequestTSize(tsize)
	w, err := c.Receive(name, "octet")
	if err != nil {
		return nil, 0, err
	}
	size := int64(-1)
	if in, ok := w.(pin.IncomingTransfer); ok && tsize {
		size, _ = in.Size()
	}
	var b bytes.Buffer
	_, err = w.WriteTo(&b)
	return b.Bytes(), size, err
}

func TestServeRealClient(t *testing.T) {
	seen := make(chan Event, 10)
	s := serve(t, Config{Seen: func(e Event) { seen <- e }})
	for _, name := range []string{"snponly.efi", "/amd64/vmlinuz", "empty"} {
		want := catalogue()[strings.TrimPrefix(name, "/")].Data
		for _, block := range []int{0, 1024, 1468, 9000} {
			got, size, err := fetch(t, s, name, block, true)
			if err != nil || !bytes.Equal(got, want) || size > 0 && size != int64(len(want)) {
				t.Fatalf("%s with blocks of %d: %d bytes, tsize %d, error %v", name, block, len(got), size, err)
			}
			if e := <-seen; e.Name != strings.TrimPrefix(name, "/") || e.Bytes != int64(len(want)) || e.Source != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("event %+v", e)
			}
		}
	}
	if _, _, err := fetch(t, s, "nothing", 0, false); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestWriteIsRefused(t *testing.T) {
	s := serve(t, Config{})
	c, err := pin.NewClient(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetRetries(1)
	if _, err := c.Send("new", "octet"); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("writing: %v, want a refusal", err)
	}
	if got, _, err := fetch(t, s, "snponly.efi", 0, false); err != nil || len(got) != 300_001 {
		t.Errorf("control: reading gave %d bytes, %v", len(got), err)
	}
}

// raw is a hand-written client.
type raw struct {
	t testing.TB
	c *net.UDPConn
	s *Server
}

func dial(t testing.TB, s *Server) *raw { return dialFrom(t, s, 1) }

// dialFrom is a client on 127.0.0.host.
func dialFrom(t testing.TB, s *Server, host byte) *raw {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, host)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &raw{t, c, s}
}

func (r *raw) ask(b []byte) { r.send(b, r.s.Addr()) }

func (r *raw) send(b []byte, to netip.AddrPort) {
	if _, err := r.c.WriteToUDPAddrPort(b, to); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) read() ([]byte, netip.AddrPort) {
	r.t.Helper()
	b, from, ok := r.maybe(10 * time.Second)
	if !ok {
		r.t.Fatal("no answer")
	}
	return b, from
}

func (r *raw) maybe(wait time.Duration) ([]byte, netip.AddrPort, bool) {
	b := make([]byte, 2000)
	r.c.SetReadDeadline(time.Now().Add(wait))
	n, from, err := r.c.ReadFromUDPAddrPort(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, from, false
	} else if err != nil {
		r.t.Fatal(err)
	}
	return b[:n], from, true
}

func isError(b []byte, code uint16) bool {
	return len(b) > 4 && b[1] == opERROR && binary.BigEndian.Uint16(b[2:]) == code
}

func TestHostileNames(t *testing.T) {
	s := serve(t, Config{Limits: Limits{Burst: 1000}, Files: os.DirFS(tree(t))})
	for _, name := range []string{"../outside", "/../outside", "a/../../outside", "%2e%2e/outside", `..\outside`, "//outside", "dir", "link", "empty/x", strings.Repeat("a", 300), "f:1", "."} {
		r := dial(t, s)
		r.ask(rrq(name, "octet"))
		if b, _ := r.read(); !isError(b, errNotFound) {
			t.Errorf("%q got %q, want an error", name, b)
		}
	}
	r := dial(t, s)
	r.ask(rrq("f", "octet"))
	if b, _ := r.read(); string(b) != "\x00\x03\x00\x01inside" {
		t.Errorf("control: f got %q", b)
	}
}

// tree has a file inside, one outside, and a folder.
func tree(t *testing.T) string {
	base := t.TempDir()
	in := base + "/in"
	for _, err := range []error{os.Mkdir(in, 0o700), os.Mkdir(in+"/dir", 0o700), os.WriteFile(in+"/f", []byte("inside"), 0o600), os.WriteFile(base+"/outside", []byte("secret"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return in
}

// Firmware copies the end mark of the DHCP options, or a NUL, behind the name.
func TestFirmwareNames(t *testing.T) {
	s := serve(t, Config{})
	for _, b := range [][]byte{rrq("empty\xff", "octet"), rrq("empty", "", "octet"), rrq("/empty", "octet"), rrq("empty", "octet")} {
		r := dial(t, s)
		r.ask(b)
		if got, _ := r.read(); string(got) != "\x00\x03\x00\x01" {
			t.Errorf("%q got %q", b, got)
		}
	}
}

// Proof T26 on the wire: with a source that never answers, bytes out stay within 15 times the bytes in (as IP packets, 28
// bytes each of headers), and the server holds a bounded number of transfers.
func TestStormOfRequests(t *testing.T) {
	s := serve(t, Config{Limits: Limits{FirstACK: 50 * time.Millisecond, PerSource: 3, Burst: 50, Rate: 0.001}})
	const headers = 28
	in, out, packets := 0, 0, 0
	victims := make([]*raw, 10)
	for i := range victims {
		victims[i] = dial(t, s)
		for range 8 {
			q := rrq("snponly.efi", "octet")
			in += len(q) + headers
			victims[i].ask(q)
		}
	}
	for _, v := range victims {
		for b, _, ok := v.maybe(250 * time.Millisecond); ok; b, _, ok = v.maybe(250 * time.Millisecond) {
			out += len(b) + headers
			packets++
		}
	}
	t.Logf("%d bytes in, %d out in %d packets, %+v", in, out, packets, s.Stats())
	if out == 0 || out > 15*in || packets > 50 {
		t.Errorf("%d bytes in made %d bytes out in %d packets", in, out, packets)
	}
	if st := s.Stats(); st.Limited < 30 {
		t.Errorf("only %d requests were limited", st.Limited)
	}
}

func TestPerSourceCap(t *testing.T) {
	s := serve(t, Config{Limits: Limits{PerSource: 2, Burst: 100}})
	var held []*raw
	for range 2 {
		r := dial(t, s)
		r.ask(rrq("snponly.efi", "octet"))
		r.read()
		held = append(held, r)
	}
	r := dial(t, s)
	r.ask(rrq("snponly.efi", "octet"))
	if b, _, ok := r.maybe(300 * time.Millisecond); ok {
		t.Errorf("a third transfer of one source got %d bytes", len(b))
	}
	if got := s.Stats().Limited; got != 1 {
		t.Errorf("limited %d, want 1", got)
	}
	_ = held
}

// TestStormLeavesRoom: requests of made-up sources, which never acknowledge, keep nobody out; a transfer that is under way is not pushed aside, and one that just
// began has its time to be acknowledged.
func TestStormLeavesRoom(t *testing.T) {
	var later atomic.Int64
	now := func() time.Time { return time.Unix(1000, later.Load()) }
	s := serve(t, Config{Now: now, Limits: Limits{Transfers: 2, FirstACK: time.Minute, Grace: time.Second}})
	begin := func(host byte) (*raw, netip.AddrPort) {
		later.Add(int64(time.Second))
		r := dialFrom(t, s, host)
		r.ask(rrq("snponly.efi", "octet"))
		_, from := r.read()
		return r, from
	}
	prove := func(r *raw, to netip.AddrPort) {
		r.send([]byte{0, opACK, 0, 1}, to)
		if b, _ := r.read(); b[3] != 2 {
			t.Fatalf("got % x, want block 2", b[:4])
		}
	}
	for host := range byte(20) {
		begin(host + 2)
	}
	first, to := begin(30)
	prove(first, to)
	second, to := begin(31)
	early := dialFrom(t, s, 33)
	early.ask(rrq("snponly.efi", "octet"))
	if _, _, ok := early.maybe(300 * time.Millisecond); ok {
		t.Error("a transfer that had just begun was pushed aside")
	}
	prove(second, to)
	later.Add(int64(time.Minute))
	late := dialFrom(t, s, 32)
	late.ask(rrq("snponly.efi", "octet"))
	if _, _, ok := late.maybe(300 * time.Millisecond); ok {
		t.Error("control: a transfer beyond the limit was begun beside two that are under way")
	}
}

// lineCount counts what a log handler writes: one write for each line.
type lineCount struct{ atomic.Int64 }

func (l *lineCount) Write(b []byte) (int, error) {
	l.Add(1)
	return len(b), nil
}

// TestLogIsBounded: made-up sources write a bounded number of lines.
func TestLogIsBounded(t *testing.T) {
	var log lineCount
	now := time.Unix(1000, 0)
	s := serve(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Limits: Limits{Burst: 1000}, Now: func() time.Time { return now }})
	r := dial(t, s)
	for range 100 {
		r.ask(rrq("nothing", "octet"))
		if b, _ := r.read(); !isError(b, errNotFound) {
			t.Fatalf("got % x", b)
		}
	}
	if n := log.Load(); n == 0 || n > linesPerSecond {
		t.Errorf("100 refusals wrote %d lines", n)
	}
}

// A client that repeats its request from the same port before it answered gets its first block again from one new
// transfer; after its first ACK a late copy changes nothing.
func TestRepeatedRequest(t *testing.T) {
	s := serve(t, Config{Limits: Limits{PerSource: 1}, Files: fstest.MapFS{"f": {Data: content(1000)}}})
	r := dial(t, s)
	r.ask(rrq("f", "octet"))
	r.read()
	r.ask(rrq("f", "octet"))
	var second []byte
	var from netip.AddrPort
	for second == nil { // the slot of the first transfer may not be free at once; clients repeat
		if b, at, ok := r.maybe(100 * time.Millisecond); ok {
			second, from = b, at
		} else {
			r.ask(rrq("f", "octet"))
		}
	}
	r.send(ackOf(1), from)
	for b, at := r.read(); b[3] != 2; b, at = r.read() { // copies of block 1 may be on the way
		from = at
		r.send(ackOf(1), from)
	}
	r.ask(rrq("f", "octet"))
	if b, at, ok := r.maybe(100 * time.Millisecond); ok && at != from {
		t.Errorf("a late copy of the request began another transfer: %q", b[:4])
	}
	r.send(ackOf(2), from)
}

func TestClientAborts(t *testing.T) {
	s := serve(t, Config{})
	r := dial(t, s)
	r.ask(rrq("snponly.efi", "octet", "tsize", "0")) // EDK2 asks for the size first and aborts
	b, from := r.read()
	if string(b) != "\x00\x06tsize\x00300001\x00" {
		t.Fatalf("OACK %q", b)
	}
	r.send((&refusal{8, "enough"}).packet(), from)
	got, _, err := fetch(t, s, "snponly.efi", 1468, false)
	if err != nil || len(got) != 300_001 {
		t.Errorf("afterwards: %d bytes, %v", len(got), err)
	}
}

func TestErrors(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration was taken")
	}
	s := serve(t, Config{})
	if _, err := New(Config{Addr: s.Addr(), Files: catalogue()}); err == nil || !strings.Contains(err.Error(), "another TFTP server") {
		t.Errorf("a taken port: %v", err)
	}
}

// The answer comes from the address that was asked, whatever the server is bound to.
func TestAddresses(t *testing.T) {
	for bind, ask := range map[string]string{"0.0.0.0:0": "127.0.0.7", "[::]:0": "::1", "[::1]:0": "::1", "127.0.0.2:0": "127.0.0.2"} {
		s := serve(t, Config{Addr: netip.MustParseAddrPort(bind)})
		to := netip.AddrPortFrom(netip.MustParseAddr(ask), s.Addr().Port())
		c, err := net.ListenUDP("udp", nil)
		if err != nil {
			t.Fatal(err)
		}
		r := &raw{t, c, s}
		for _, q := range [][]byte{rrq("empty", "octet"), rrq("nothing", "octet"), {0, opWRQ, 'x', 0, 'o', 0}} {
			r.send(q, to)
			if _, from := r.read(); from.Addr().Unmap() != to.Addr() {
				t.Errorf("bound to %s, asked %v: answered from %v", bind, to, from)
			}
		}
		c.Close()
	}
}
