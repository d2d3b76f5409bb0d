//go:build e2e_talos

package talos

import (
	"strings"
	"testing"
)

// TestMaintenance: the guest is Talos. Without a config it waits in maintenance mode, says its version, and shows its hardware. Nobody told it where to tell
// how it fares, so Ingot's receivers hear nothing.
func TestMaintenance(t *testing.T) {
	l := newLab(t, 2048, "", nil)
	if said, err := l.call("version"); err == nil {
		t.Fatalf("control: a server that is off says %s", said)
	}
	heard := l.hear(func() bool { return true })
	l.powerOn()
	l.answers()
	l.await("maintenance", "get", "machinestatus")
	if disks := l.await("NVTALOS", "get", "disks", "--output", "yaml"); !strings.Contains(disks, "nvme0n1") {
		t.Errorf("the disk is not there: %s", disks)
	}
	heard.heardNothing(l)
}

// answers waits for the version that the server says.
func (l *lab) answers() {
	l.t.Helper()
	said := l.await("Server:", "version")
	if _, server, _ := strings.Cut(said, "Server:"); !strings.Contains(server, Version+"\n") {
		l.t.Errorf("the server's version is not %s: %s", Version, said)
	}
}
