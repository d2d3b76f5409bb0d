package setup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/island"
)

const (
	base  = "http://" + serverIP + ":7480"
	ask   = base + catalog.ScriptPath + "?mac=52-54-00-78-00-01&arch=x86_64&platform=efi"
	token = "kz5o2capability"
)

// system is an operating system to boot: its files, and where they come from.
type system struct {
	kernel, initramfs []byte
	source            *httptest.Server
	bad               atomic.Bool // the source has another kernel
	asked             atomic.Int32
}

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{kernel: bytes.Repeat([]byte("kernel"), 50_000), initramfs: bytes.Repeat([]byte("initramfs"), 50_000)}
	s.source = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		switch data := s.kernel; {
		case r.URL.Path == "/initramfs":
			_, _ = w.Write(s.initramfs)
		case s.bad.Load():
			_, _ = w.Write(flipped(data))
		default:
			_, _ = w.Write(data)
		}
	}))
	t.Cleanup(s.source.Close)
	return s
}

// flipped is data with one bit changed.
func flipped(data []byte) []byte {
	bad := bytes.Clone(data)
	bad[len(bad)/2] ^= 1
	return bad
}

func sha(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// view lets the machine boot the system in the boot of that id; suffix tells one URL of the kernel from another.
func (s *system) view(bootID, suffix string) *protocol.View {
	kernel, initramfs := sha(s.kernel), sha(s.initramfs)
	return &protocol.View{
		UnknownPolicy: "ignore", Revision: 2, Agent: &protocol.AgentBoot{Url: "https://192.0.2.1:7443", Pin: agentPin},
		Assets: []*protocol.Asset{{Sha256: kernel, Url: s.source.URL + "/kernel" + suffix}, {Sha256: initramfs, Url: s.source.URL + "/initramfs"}},
		Servers: []*protocol.Server{{
			Name: "s1", Macs: []string{machineMAC.String()}, Accepted: true, Registered: true, Target: "OS", BootId: bootID,
			Os: &protocol.OSBoot{Arch: "amd64", Kernel: kernel, Initramfs: initramfs, Args: []string{"ingot.config=https://192.0.2.1:7445/v1/config/s1/" + bootID + "/" + token}},
		}},
	}
}

// site is a pxe-server whose machine boots the system.
type site struct {
	*running
	system *system
	log    *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

// newSite starts it; change may make the source hostile first.
func newSite(t *testing.T, change func(*system)) *site {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	ok(t, err)
	ok(t, netlink.LinkSetUp(lo))
	s := &site{running: &running{wire: newWire(t, serverIP+"/24", "192.0.2.9/24")}, system: newSystem(t), log: &syncBuffer{}}
	change(s.system)
	s.controller = &fakeController{
		events: make(chan *protocol.BootEvent, 64), views: make(chan *protocol.View), assets: make(chan []*protocol.AssetState, 1), view: s.system.view("b1", ""),
	}
	s.cfg = Config{
		Interface: "eth0", StateDir: t.TempDir(), AgentImage: image(t), Controller: s.controller, DHCP: DHCP{Disabled: true},
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	s.start(t)
	return s
}

// told waits for a report that fits.
func (s *site) told(t *testing.T, what string, fits func(map[string]*protocol.AssetState) bool) map[string]*protocol.AssetState {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		select {
		case list := <-s.controller.assets:
			states := map[string]*protocol.AssetState{}
			for _, a := range list {
				states[a.GetSha256()] = a
			}
			if fits(states) {
				return states
			}
		case <-late.C:
			t.Fatalf("the controller was not told that %s:\n%s", what, s.log.text())
		}
	}
}

func (s *site) cached(t *testing.T) {
	t.Helper()
	s.told(t, "all files are cached", func(m map[string]*protocol.AssetState) bool {
		return len(m) == 2 && m[sha(s.system.kernel)].GetState() == "Cached" && m[sha(s.system.initramfs)].GetState() == "Cached"
	})
}

// boots follows the machine through its script.
func (s *site) boots(t *testing.T) {
	t.Helper()
	script := string(s.http(t, ask))
	if !strings.Contains(script, token) {
		t.Fatalf("the machine does not boot its system:\n%s", script)
	}
	for _, data := range [][]byte{s.system.kernel, s.system.initramfs} {
		url := base + catalog.BlobPath + sha(data)
		if !strings.Contains(script, url) || !bytes.Equal(s.http(t, url), data) {
			t.Errorf("%s is not in the script, or not what it should be:\n%s", url, script)
		}
	}
}

// waits says that the machine gets neither system nor capability.
func (s *site) waits(t *testing.T, reason string) {
	t.Helper()
	if script := string(s.http(t, ask)); !strings.Contains(script, "it waits here ("+reason+")") || strings.Contains(script, token) {
		t.Errorf("the machine got\n%s", script)
	}
}

// end stops it and looks for what no log may hold.
func (s *site) end(t *testing.T) {
	t.Helper()
	ok(t, s.stop())
	if text := s.log.text(); strings.Contains(text, token) || !strings.Contains(text, "boot decided") {
		t.Errorf("the log tells the capability, or nothing at all:\n%s", text)
	}
}

// TestTamperedAsset: one flipped byte, at rest or at the source, and no machine gets a byte of that file; it is told, mended, and boots go on.
func TestTamperedAsset(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	s := newSite(t, func(sys *system) { sys.bad.Store(true) })
	kernel := sha(s.system.kernel)
	states := s.told(t, "the source has another file", func(m map[string]*protocol.AssetState) bool { return m[kernel].GetState() == "Failed" })
	for _, want := range []string{kernel, sha(flipped(s.system.kernel)), s.system.source.URL + "/kernel"} {
		if !strings.Contains(states[kernel].GetMessage(), want) {
			t.Errorf("the message lacks %s: %s", want, states[kernel].GetMessage())
		}
	}
	s.waits(t, "AssetsFailed")
	if code, body := s.get(t, base+catalog.BlobPath+kernel); code != http.StatusServiceUnavailable || len(body) > 200 {
		t.Errorf("status %d, %d bytes", code, len(body))
	}
	s.system.bad.Store(false)
	s.controller.views <- s.system.view("b1", "?again")
	s.cached(t)
	s.boots(t)

	file := filepath.Join(s.cfg.StateDir, AssetsDir, kernel)
	before := s.system.asked.Load()
	ok(t, os.WriteFile(file, flipped(s.system.kernel), 0o600))
	if code, body := s.get(t, base+catalog.BlobPath+kernel); code != http.StatusInternalServerError || len(body) > 200 {
		t.Errorf("damaged at rest: status %d, %d bytes", code, len(body))
	}
	s.cached(t)
	s.boots(t)
	if n := s.system.asked.Load() - before; n != 1 {
		t.Errorf("%d requests for one damaged file", n)
	}
	if !strings.Contains(s.log.text(), "damaged") {
		t.Errorf("the log does not tell it:\n%s", s.log.text())
	}
	s.end(t)
}

// TestSourceDown: boots go on from the cache while the source is away, also after the pxe-server was started anew; what is not in the cache waits.
func TestSourceDown(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	s := newSite(t, func(*system) {})
	s.cached(t)
	s.boots(t)
	s.system.source.Close()
	s.boots(t)
	ok(t, s.stop())
	s.start(t)
	s.cached(t)
	s.boots(t)

	missing := s.system.view("b2", "")
	newer := fmt.Sprintf("%064x", 1)
	missing.Assets[0].Sha256, missing.Servers[0].Os.Kernel = newer, newer
	s.controller.views <- missing
	s.told(t, "the newer kernel cannot be had", func(m map[string]*protocol.AssetState) bool {
		return m[newer].GetState() == "Failed" && strings.Contains(m[newer].GetMessage(), "connection refused")
	})
	s.waits(t, "AssetsFailed")
	s.controller.views <- s.system.view("b3", "")
	s.cached(t)
	s.boots(t)
	s.end(t)
}
