package setup

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/sfyra-tests/island"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAddressOf(t *testing.T) {
	got, err := addressOf("lo", netip.Addr{})
	if err != nil || got != netip.MustParsePrefix("127.0.0.1/8") {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := addressOf("lo", netip.MustParseAddr("127.0.0.1")); err != nil || got.Bits() != 8 {
		t.Errorf("by address: %v, %v", got, err)
	}
	for want, ask := range map[string]struct {
		name string
		addr netip.Addr
	}{
		"`ip link` lists":                {"none0", netip.Addr{}},
		"does not have the address 192.": {"lo", netip.MustParseAddr("192.0.2.1")},
	} {
		if _, err := addressOf(ask.name, ask.addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", ask, err, want)
		}
	}
}

var somewhere = netip.MustParseAddrPort("192.0.2.1:7480")

func TestLoadFiles(t *testing.T) {
	a, err := loadImage(image(t))
	ok(t, err)
	if a.version != "test" || a.arch != catalog.AMD64 || len(a.Args) != 1 || len(a.Files.Names()) != 2 {
		t.Errorf("got %+v", a)
	}
	l, err := loaders(somewhere)
	ok(t, err)
	if got, want := strings.Join(l.Names(), " "), strings.Join(catalog.Loaders(), " "); got != want {
		t.Errorf("loaders %s, the catalog has %s", got, want)
	}
}

// TestLoadImages: one image for each architecture, and no second one.
func TestLoadImages(t *testing.T) {
	amd64, arm64 := image(t), imageFor(t, catalog.ARM64)
	images, versions, err := loadImages([]string{amd64, arm64})
	ok(t, err)
	if len(images) != 2 || images[catalog.ARM64].Files == nil || versions != "amd64 test, arm64 test" {
		t.Errorf("got %+v, %q", images, versions)
	}
	if _, _, err := loadImages([]string{amd64, arm64, image(t)}); err == nil || !strings.Contains(err.Error(), "a second one for amd64") {
		t.Errorf("two for amd64: %v", err)
	}
	if _, _, err := loadImages([]string{amd64, t.TempDir()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestDamagedImage is T30 at the start: the operator is told before a machine is.
func TestDamagedImage(t *testing.T) {
	dir := image(t)
	ok(t, os.WriteFile(filepath.Join(dir, catalog.Kernel), []byte("A kernel"), 0o644))
	if _, err := loadImage(dir); !errors.Is(err, cache.ErrMismatch) || !strings.Contains(err.Error(), "build it again") {
		t.Errorf("damaged: %v", err)
	}
	ok(t, os.WriteFile(filepath.Join(dir, "manifest.json"), []byte("{}"), 0o644))
	if _, err := loadImage(dir); !errors.Is(err, catalog.ErrManifest) {
		t.Errorf("manifest: %v", err)
	}
	if _, err := loadImage(t.TempDir()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "make images") {
		t.Errorf("empty folder: %v", err)
	}
}

// TestRunFailsEarly: what is wrong at the start ends Run with a word about what to do, and nothing stays open.
func TestRunFailsEarly(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	ok(t, err)
	defer taken.Close()
	good := Config{
		Interface: "lo", HTTPPort: taken.Addr().(*net.TCPAddr).Port, StateDir: filepath.Join(t.TempDir(), "state"), AgentImage: image(t),
		Controller: &fakeController{}, DHCP: DHCP{Disabled: true},
	}
	for want, change := range map[string]func(*Config){
		"choose another --http-port": func(*Config) {},
		"interface: name":            func(c *Config) { c.Interface = "" },
		"controller: say":            func(c *Config) { c.Controller = nil },
		"`ip link` lists":            func(c *Config) { c.Interface = "none0" },
		"making the state folder":    func(c *Config) { c.StateDir = "/proc/none/state" },
		"make images":                func(c *Config) { c.AgentImage = t.TempDir() },
	} {
		cfg := good
		change(&cfg)
		if err := Run(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestWithoutDHCP: boot files are served, and port 67 stays free for another server.
func TestWithoutDHCP(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	w := newWire(t, serverIP+"/24", "192.0.2.9/24")
	ready := make(chan struct{})
	cfg := Config{
		Interface: "eth0", StateDir: t.TempDir(), AgentImage: image(t), Controller: &fakeController{}, DHCP: DHCP{Disabled: true}, Ready: func() { close(ready) },
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	r := &running{wire: w}
	proven(t, catalog.SNPOnly, r.tftp(t, serverIP, catalog.SNPOnly))
	c, err := net.ListenPacket("udp4", ":67")
	ok(t, err)
	c.Close()
	cancel()
	ok(t, <-done)
}
