package httpboot_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/httpboot"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const pin = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// site is a boot server on a real socket, with what a test may change.
type site struct {
	url, dir string
	cfg      httpboot.Config
	view     boot.View
	noView   bool
	kernel   []byte
	client   *http.Client
	blobs    *cache.Store
	log      bytes.Buffer // to be read when nobody is being answered
}

func digest(data []byte) cache.Digest {
	sum := sha256.Sum256(data)
	return cache.Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}
}

func folder(t *testing.T, files map[string][]byte) (string, *cache.Store) {
	t.Helper()
	dir, digests := t.TempDir(), map[string]cache.Digest{}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		digests[name] = digest(data)
	}
	return dir, cache.New(os.DirFS(dir), digests)
}

// newSite prepares a server; change may be nil.
func newSite(t *testing.T, change func(*site)) *site {
	t.Helper()
	s := &site{kernel: bytes.Repeat([]byte("kernel!\n"), 64<<10)}
	dir, image := folder(t, map[string][]byte{catalog.Kernel: s.kernel, catalog.Initramfs: []byte("initramfs")})
	_, loaders := folder(t, map[string][]byte{catalog.SNPOnly: []byte("MZ snponly"), catalog.AutoExec: []byte("#!ipxe\n")})
	s.dir = dir
	s.view = boot.View{Policy: boot.RegisterOnce, AgentURL: "https://192.0.2.1:7443", AgentPin: pin, Revision: 1}
	now := func() time.Time { return start }
	_, s.blobs = folder(t, map[string][]byte{})
	s.cfg = httpboot.Config{
		Blobs:   func(digest string) (*cache.Asset, error) { return s.blobs.Open(digest) },
		Log:     slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Loaders: loaders, Images: map[string]httpboot.Image{catalog.AMD64: {Files: image, Args: []string{"console=ttyS0"}}},
		View:   func() (boot.View, bool) { return s.view, !s.noView },
		Events: httpboot.NewEvents(now), Now: now, Rand: strings.NewReader(strings.Repeat("0123456789abcdef", 512)),
	}
	if change != nil {
		change(s)
	}
	s.serve(t)
	return s
}

func (s *site) serve(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.Addr = netip.MustParseAddrPort(l.Addr().String())
	srv, err := httpboot.New(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	transport := &http.Transport{}
	s.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	s.url = "http://" + s.cfg.Addr.String()
}

func (s *site) get(t *testing.T, path string, header ...string) (*http.Response, string) {
	t.Helper()
	return s.do(t, http.MethodGet, path, header...)
}

func (s *site) do(t *testing.T, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

const ask = catalog.ScriptPath + "?uuid=11111111-2222-3333-4444-555555555555&mac=52-54-00-78-00-01&serial=SN%2001%237&manufacturer=QEMU%20%26%20Co" +
	"&product=Lab&arch=x86_64&platform=efi&try=0"

// TestScript follows one unknown machine to its agent, as iPXE asks.
func TestScript(t *testing.T) {
	s := newSite(t, nil)
	res, body := s.get(t, ask)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/plain; charset=us-ascii" {
		t.Fatalf("status %d, type %q: %s", res.StatusCode, res.Header.Get("Content-Type"), body)
	}
	for _, want := range []string{
		"#!ipxe\n", "kernel --name vmlinuz " + s.url + catalog.AgentPath + "vmlinuz ", "initrd --name initrd " + s.url + catalog.AgentPath + "initramfs.zst",
		" ingot.boot=30313233343536373839616263646566 ", " ingot.url=https://192.0.2.1:7443 ", " ingot.pin=" + pin + " ",
		" ingot.mac=52:54:00:78:00:01 ", " console=ttyS0 || goto failed\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the script lacks %q:\n%s", want, body)
		}
	}
}
