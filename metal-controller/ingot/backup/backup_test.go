package backup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/metal-controller/ingot/archive"
	"ingot.dev/ingot/metal-controller/ingot/controlplane"
	"ingot.dev/ingot/metal-controller/ingot/statedir"
)

func manifest(change func(*archive.Manifest)) archive.Manifest {
	m := archive.Manifest{FormatVersion: archive.FormatVersion, LayoutVersion: statedir.Layout, Ingot: version.Version, Kubernetes: version.Kubernetes}
	for _, name := range append(controlplane.RootFiles(), controlplane.DatabaseFile) {
		m.Members = append(m.Members, archive.Member{Name: name})
	}
	if change != nil {
		change(&m)
	}
	return m
}

func TestSuits(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*archive.Manifest)
		part   string
		newer  bool
	}{
		"ours":               {nil, "", false},
		"with leases":        {func(m *archive.Manifest) { m.Members = append(m.Members, archive.Member{Name: "pxe-server/leases"}) }, "", false},
		"older Kubernetes":   {func(m *archive.Manifest) { m.Kubernetes = "v1.30.9" }, "", false},
		"newer patch":        {func(m *archive.Manifest) { m.Kubernetes += "9" }, "", false},
		"newer Kubernetes":   {func(m *archive.Manifest) { m.Kubernetes = "v1.99.0" }, "v1.99.0", true},
		"unknown Kubernetes": {func(m *archive.Manifest) { m.Kubernetes = "" }, "install", true},
		"newer layout":       {func(m *archive.Manifest) { m.LayoutVersion++ }, "install", true},
		"a foreign member":   {func(m *archive.Manifest) { m.Members = append(m.Members, archive.Member{Name: "state.json"}) }, "state.json", false},
		"without a key":      {func(m *archive.Manifest) { m.Members = m.Members[1:] }, "lacks pki/server-ca.pem", false},
		"without data":       {func(m *archive.Manifest) { m.Members = m.Members[:4] }, "lacks etcd/snapshot.db", false},
	} {
		err := suits(manifest(c.change))
		if (err == nil) != (c.part == "") || err != nil && !strings.Contains(err.Error(), c.part) || errors.Is(err, archive.ErrNewer) != c.newer {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNameReplacesNothing: also a file that came while the backup was made stays.
func TestNameReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	made, file := filepath.Join(dir, "made"), filepath.Join(dir, "file")
	for path, text := range map[string]string{made: "new", file: "old"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exit := &cli.ExitError{}
	if err := (&save{}).name(made, file); !errors.As(err, &exit) || exit.Code != cli.CodeRefused {
		t.Errorf("replaced: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "old" {
		t.Errorf("%q, %v", data, err)
	}
	if err := (&save{force: true}).name(made, file); err != nil {
		t.Errorf("with --force: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "new" {
		t.Errorf("%q, %v", data, err)
	}
}
