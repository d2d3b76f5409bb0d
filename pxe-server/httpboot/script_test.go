package httpboot_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/httpboot"
)

// TestTargets: each decision as a machine sees it.
func TestTargets(t *testing.T) {
	known := boot.Server{Name: "rack1-04", Identity: boot.Identity{MACs: []string{"52:54:00:78:00:01"}}, Registered: true}
	for name, tc := range map[string]struct {
		policy boot.UnknownPolicy
		target boot.Target
		status int
		want   string
	}{
		"unknown, ignore":  {boot.Ignore, "", 404, reasons.UnknownMachine},
		"unknown, hold":    {boot.Hold, "", 200, "it waits here (UnknownMachine)"},
		"known, agent":     {boot.Ignore, boot.Agent, 200, "ingot.boot=expected "},
		"known, disk":      {boot.Ignore, boot.LocalDisk, 200, "it boots its own disk (LocalDiskPreferred)"},
		"known, idle":      {boot.Ignore, boot.Idle, 200, "it waits here (NotAccepted)"},
		"known, no answer": {boot.RegisterOnce, boot.NoAnswer, 404, reasons.NotAccepted},
		"known, bad OS":    {boot.RegisterOnce, boot.OS, 200, "it waits here (BootUnsupported)"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			s.view.Policy = tc.policy
			if tc.target != "" {
				known.Target, known.BootID = tc.target, "expected"
				s.view.Servers = []boot.Server{known}
			}
			if res, body := s.get(t, ask); res.StatusCode != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("status %d, want %d with %q:\n%s", res.StatusCode, tc.status, tc.want, body)
			}
		})
	}
}

// TestArchitectures: a machine gets the image of its architecture with that image's own arguments, and one without an image is told what is missing.
func TestArchitectures(t *testing.T) {
	armAsk := strings.Replace(ask, "arch=x86_64", "arch=arm64", 1)
	s := newSite(t, func(s *site) {
		_, files := folder(t, map[string][]byte{catalog.Kernel: []byte("arm64 kernel"), catalog.Initramfs: []byte("arm64 initramfs")})
		s.cfg.Images[catalog.ARM64] = httpboot.Image{Files: files, Args: []string{"console=ttyAMA0"}}
	})
	for request, want := range map[string][]string{
		ask:    {s.url + catalog.AgentPath + "vmlinuz ", " console=ttyS0", s.url + catalog.AgentPath + "initramfs.zst"},
		armAsk: {s.url + catalog.AgentPath + "arm64/vmlinuz ", " console=ttyAMA0", s.url + catalog.AgentPath + "arm64/initramfs.zst"},
	} {
		_, body := s.get(t, request)
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("the script lacks %q:\n%s", w, body)
			}
		}
	}
	if _, body := s.get(t, catalog.AgentFile(catalog.ARM64, catalog.Kernel)); body != "arm64 kernel" {
		t.Errorf("its kernel is %q", body)
	}
	one := newSite(t, nil)
	if res, body := one.get(t, armAsk); res.StatusCode != http.StatusNotFound || !strings.Contains(body, reasons.AgentImageMissing) {
		t.Errorf("unknown, no image: %d %s", res.StatusCode, body)
	}
	one.view.Servers = []boot.Server{{Name: "a", Identity: boot.Identity{MACs: []string{"52:54:00:78:00:01"}}, Target: boot.Agent, BootID: "b"}}
	if _, body := one.get(t, armAsk); !strings.Contains(body, "(AgentImageMissing)") || !strings.Contains(body, "--agent-image") || strings.Contains(body, "kernel ") {
		t.Errorf("known, no image:\n%s", body)
	}
	if _, body := one.get(t, ask); !strings.Contains(body, "ingot.boot=b ") {
		t.Errorf("control, the other architecture:\n%s", body)
	}
}

// TestUnsafeView: a view that cannot be written safely holds the machine and says so, and does not boot it half-way.
func TestUnsafeView(t *testing.T) {
	s := newSite(t, nil)
	s.view.AgentArgs = []string{"quiet init=/bin/sh"}
	res, body := s.get(t, ask)
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "it waits here (BootUnsupported)") || strings.Contains(body, "kernel ") {
		t.Errorf("status %d:\n%s", res.StatusCode, body)
	}
}

// TestControllerAway: machines wait for a server that knows nothing yet, and after two minutes they get their own disk.
func TestControllerAway(t *testing.T) {
	now := start
	s := newSite(t, func(s *site) {
		s.noView = true
		s.cfg.Now = func() time.Time { return now }
	})
	step := func(after time.Duration, want string) {
		t.Helper()
		now = start.Add(after)
		if res, body := s.get(t, ask); res.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("after %v: status %d, want %q:\n%s", after, res.StatusCode, want, body)
		}
	}
	const waits, disk = "it waits here (ControllerAway)", "it boots its own disk (ControllerAway)"
	step(0, waits)
	step(119*time.Second, waits)
	step(2*time.Minute, disk)
	step(10*time.Minute, disk)
	step(time.Hour, waits) // another boot
	s.noView = false
	step(time.Hour+time.Second, "it boots the agent")
}

func TestNoRandomness(t *testing.T) {
	s := newSite(t, func(s *site) { s.cfg.Rand = broken{} })
	if res, _ := s.get(t, ask); res.StatusCode != http.StatusInternalServerError {
		t.Errorf("status %d", res.StatusCode)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestBadQueries(t *testing.T) {
	s := newSite(t, nil)
	for name, query := range map[string]string{
		"nothing":     "",
		"no MAC":      "?uuid=x",
		"short MAC":   "?mac=52-54-00",
		"MAC letters": "?mac=zz-54-00-78-00-01",
		"MAC mixed":   "?mac=52+54-00-78-00-01",
		"MAC twice":   "?mac=52-54-00-78-00-01&mac=52-54-00-78-00-02",
		"bad escape":  "?mac=52-54-00-78-00-01&serial=%zz",
		"many":        "?mac=52-54-00-78-00-01" + strings.Repeat("&", 16),
		"long":        "?mac=52-54-00-78-00-01&serial=" + strings.Repeat("a", 2048),
	} {
		if res, body := s.get(t, catalog.ScriptPath+query); res.StatusCode != http.StatusBadRequest || strings.HasPrefix(body, "#!ipxe") {
			t.Errorf("%s: status %d: %s", name, res.StatusCode, body)
		}
	}
	if res, _ := s.get(t, catalog.ScriptPath+"?mac=52-54-00-78-00-01"); res.StatusCode == http.StatusBadRequest {
		t.Errorf("control: status %d", res.StatusCode)
	}
}

// TestIsolated: without its controller a site gives systems their disk and begins nothing; machines that the controller would have let in wait for it for two
// minutes. The control: the same machines, connected.
func TestIsolated(t *testing.T) {
	now := start
	s := newSite(t, func(s *site) { s.cfg.Now = func() time.Time { return now } })
	known := boot.Server{Name: "rack1-04", Identity: boot.Identity{MACs: []string{"52:54:00:78:00:01"}}, Registered: true, Accepted: true, BootID: "expected"}
	step := func(after time.Duration, servers []boot.Server, isolated bool, status int, want string) {
		t.Helper()
		now = start.Add(after)
		s.view.Servers, s.view.Isolated = servers, isolated
		if res, body := s.get(t, ask); res.StatusCode != status || !strings.Contains(body, want) {
			t.Errorf("after %v: status %d, want %d with %q:\n%s", after, res.StatusCode, status, want, body)
		}
	}
	as := func(target boot.Target) []boot.Server {
		k := known
		k.Target = target
		return []boot.Server{k}
	}
	const waits = "it waits here (ControllerAway)"
	step(0, as(boot.Agent), false, 200, "ingot.boot=expected ")
	step(time.Second, as(boot.Agent), true, 200, waits)
	step(time.Hour, as(boot.Agent), true, 200, waits)
	step(time.Hour, as(boot.OS), true, 200, waits)
	step(time.Hour, as(boot.LocalDisk), true, 200, "it boots its own disk (Accepted)")
	step(2*time.Hour, nil, false, 200, "it boots the agent")
	step(2*time.Hour+time.Second, nil, true, 200, waits)
	step(2*time.Hour+3*time.Minute, nil, true, 404, reasons.ControllerAway)
	step(2*time.Hour+4*time.Minute, nil, false, 200, "it boots the agent")
	for isolated, want := range map[bool]string{true: "isolated: ", false: "ok"} {
		s.view.Isolated = isolated
		if res, body := s.get(t, "/readyz"); res.StatusCode != 200 || !strings.HasPrefix(body, want) {
			t.Errorf("readyz, isolated %v: %d %s", isolated, res.StatusCode, body)
		}
	}
}
