package backup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
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

// TestUnverify: the record stays, it is marked, and what was wanted before the restore counts as done.
func TestUnverify(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	s := &metal.Server{}
	unverify(s, at)
	if r := s.Spec.Record; r == nil || r.Unverified == nil || r.Unverified.Reason != reasons.Restored || !r.Unverified.Since.Equal(&at) || r.Power != nil {
		t.Errorf("without a record: %+v", r)
	}
	s = &metal.Server{Spec: metal.ServerSpec{
		PowerRequest: &metal.PowerRequest{ID: "p2"},
		Record: &metal.ServerRecord{
			Acceptance: &metal.AcceptanceRecord{RequestID: "a"}, Power: &metal.PowerRecord{ID: "p1", Step: metal.PowerDone},
			Unverified: &metal.UnverifiedRecord{Reason: reasons.Restored},
		},
	}}
	unverify(s, at)
	if r := s.Spec.Record; r.Acceptance == nil || r.Power.ID != "p2" || r.Power.Step != metal.PowerExpired || !r.Unverified.Since.Equal(&at) {
		t.Errorf("with a request that was not begun: %+v", r)
	}
	s.Spec.Record.Power = &metal.PowerRecord{ID: "p2", Step: metal.PowerDone}
	unverify(s, at)
	if r := s.Spec.Record; r.Power.Step != metal.PowerDone {
		t.Errorf("control: a request that was done: %+v", r.Power)
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
