package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/sfyra-tests/rack"
)

// TestSpecs: the rack takes as many as it may hold, all of them different.
func TestSpecs(t *testing.T) {
	all := specs(rack.MaxServers)
	if len(all) != rack.MaxServers {
		t.Fatalf("%d servers", len(all))
	}
	seen := map[string]string{}
	once := func(server, what, value string) {
		if other, found := seen[what+value]; found || value == "" {
			t.Errorf("%s and %s have the %s %q", server, other, what, value)
		}
		seen[what+value] = server
	}
	for i := range all {
		s := &all[i]
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		once(s.Name, "name", s.Name)
		once(s.Name, "UUID", s.UUID)
		once(s.Name, "serial", s.Serial)
		once(s.Name, "MAC", s.NICs[0].MAC.String())
		once(s.Name, "switch port", s.NICs[0].Neighbor.Port)
		for _, d := range s.Disks {
			once(s.Name, "disk serial", d.Serial)
		}
	}
	if all[0].Disks[1].Kind == all[1].Disks[1].Kind {
		t.Error("neighbours have the same kinds of disks")
	}
}

func TestCountOfServers(t *testing.T) {
	for _, count := range []string{"0", "17", "-1"} {
		cmd := Command(&cli.Env{})
		cmd.SetArgs([]string{"--servers", count})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		exit := &cli.ExitError{}
		if err := cmd.Execute(); !errors.As(err, &exit) || exit.Code != cli.CodeUsage || !strings.Contains(err.Error(), "1 to 16") {
			t.Errorf("--servers %s: %v", count, err)
		}
	}
}

// TestPreflight: what is missing is told with the command that mends it; the controls have it.
func TestPreflight(t *testing.T) {
	err := needQEMU(func(string) (string, error) { return "", os.ErrNotExist })
	if err == nil || !strings.Contains(err.Error(), "apt-get install qemu-system-x86 ovmf") {
		t.Errorf("without QEMU: %v", err)
	}
	if err := needQEMU(func(string) (string, error) { return "/usr/bin/qemu", nil }); err != nil {
		t.Errorf("with QEMU: %v", err)
	}
	device := filepath.Join(t.TempDir(), "tun")
	if err := needTun(device); err == nil || !strings.Contains(err.Error(), "modprobe tun") {
		t.Errorf("no device: %v", err)
	}
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := needTun(device); err != nil {
		t.Errorf("an open device: %v", err)
	}
	c := &config{agentImages: []string{t.TempDir()}}
	if err := c.preflight(); err == nil || !strings.Contains(err.Error(), "make images") {
		t.Errorf("no image: %v", err)
	}
}

func TestFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, remove, err := (&config{}).folder()
	if err != nil {
		t.Fatal(err)
	}
	remove()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder stays: %v", err)
	}
	kept := t.TempDir()
	dir, remove, err = (&config{stateDir: kept}).folder()
	if err != nil || dir != kept {
		t.Fatalf("%s, %v", dir, err)
	}
	remove()
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("the person's own folder was removed: %v", err)
	}
}
