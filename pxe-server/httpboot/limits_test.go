package httpboot_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/httpboot"
	"ingot.dev/ingot/pxe-server/limits"
)

// TestScriptRate: one source asks too often and is told so; files and other sources are not touched; time heals it.
func TestScriptRate(t *testing.T) {
	now := start
	s := newSite(t, func(s *site) {
		s.cfg.Now = func() time.Time { return now }
		s.cfg.Limits.Scripts = limits.Rate{PerSecond: 1, Burst: 3}
	})
	for range 3 {
		if res, _ := s.get(t, ask); res.StatusCode != http.StatusOK {
			t.Fatalf("within the burst: %s", res.Status)
		}
	}
	if res, _ := s.get(t, ask); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the burst: %s", res.Status)
	}
	if res, _ := s.get(t, catalog.AgentPath+"vmlinuz"); res.StatusCode != http.StatusOK {
		t.Errorf("a file: %s", res.Status)
	}
	if res := s.from(t, "127.0.0.2", ask); res.StatusCode != http.StatusOK {
		t.Errorf("another source: %s", res.Status)
	}
	now = now.Add(time.Second)
	if res, _ := s.get(t, ask); res.StatusCode != http.StatusOK {
		t.Errorf("a second later: %s", res.Status)
	}
}

// from asks with another source address.
func (s *site) from(t *testing.T, ip, path string) *http.Response {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	tr := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res
}

// dial opens a connection that says nothing, or half a header.
func (s *site) dial(t *testing.T, ip, say string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := d.Dial("tcp4", s.cfg.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, say); err != nil && !reset(err) {
		t.Fatal(err)
	}
	return c
}

func reset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// closed waits until the server closed the connection.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil && !reset(err) {
		t.Errorf("not closed: %v", err)
	}
}

// TestT28SlowLoris: a source holds its share of connections and no more, everybody else is served, and the header time frees them.
func TestT28SlowLoris(t *testing.T) {
	s := newSite(t, func(s *site) {
		s.cfg.Limits = httpboot.Limits{ConnectionsPerSource: 4, Connections: 64, HeaderTime: 2 * time.Second}
	})
	half := "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
	var held []net.Conn
	for range 4 {
		held = append(held, s.dial(t, "127.0.0.9", half))
	}
	for range 50 {
		closed(t, s.dial(t, "127.0.0.9", half)) // beyond the share: closed at once
	}
	for i := range 8 {
		if res := s.from(t, fmt.Sprintf("127.0.0.%d", 10+i), ask); res.StatusCode != http.StatusOK {
			t.Errorf("another source: %s", res.Status)
		}
	}
	for _, c := range held {
		closed(t, c) // by the header time
	}
	if res := s.from(t, "127.0.0.9", ask); res.StatusCode != http.StatusOK {
		t.Errorf("the same source afterwards: %s", res.Status)
	}
}

func TestTotalConnections(t *testing.T) {
	s := newSite(t, func(s *site) { s.cfg.Limits.Connections = 2 })
	a, b := s.dial(t, "127.0.0.11", ""), s.dial(t, "127.0.0.12", "")
	closed(t, s.dial(t, "127.0.0.13", ""))
	for _, c := range []net.Conn{a, b} {
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.0 200") {
			t.Errorf("control: %q, %v", answer, err)
		}
	}
}

// TestIncomplete: a configuration without its parts is refused at the start.
func TestIncomplete(t *testing.T) {
	s := newSite(t, nil)
	for name, change := range map[string]func(*httpboot.Config){
		"no view":    func(c *httpboot.Config) { c.View = nil },
		"no events":  func(c *httpboot.Config) { c.Events = nil },
		"no loaders": func(c *httpboot.Config) { c.Loaders = nil },
		"no address": func(c *httpboot.Config) { c.Addr = netip.AddrPort{} },
	} {
		cfg := s.cfg
		change(&cfg)
		if _, err := httpboot.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := httpboot.New(s.cfg); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestDownloadsInTurn: beyond the budget a machine is told when to come back and then has its turn; what firmware fetches itself is always sent.
func TestDownloadsInTurn(t *testing.T) {
	kernel := catalog.AgentPath + catalog.Kernel
	s := newSite(t, func(s *site) {
		_, image := folder(t, map[string][]byte{catalog.Kernel: make([]byte, 32<<20), catalog.Initramfs: []byte("initramfs")}) // more than sockets hold
		s.cfg.Images = map[string]httpboot.Image{catalog.AMD64: {Files: image}}
		s.cfg.Limits.InFlight = 33 << 20
	})
	begun := s.dial(t, "127.0.0.2", "GET "+kernel+" HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(begun, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if res := s.from(t, "127.0.0.3", kernel); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "2" {
		t.Errorf("beside a download that fills the budget: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	if res := s.from(t, "127.0.0.3", catalog.LoaderPath+catalog.SNPOnly); res.StatusCode != http.StatusOK {
		t.Errorf("a boot loader meanwhile: %s", res.Status)
	}
	if res, _ := s.do(t, http.MethodHead, kernel); res.StatusCode != http.StatusOK {
		t.Errorf("a HEAD meanwhile: %s", res.Status)
	}
	begun.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.from(t, "127.0.0.3", kernel).StatusCode != http.StatusOK {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("its turn never came")
		}
	}
}
