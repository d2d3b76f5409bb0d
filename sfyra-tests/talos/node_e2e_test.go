//go:build e2e_talos

package talos

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestNode: the installed system becomes a cluster of one node: etcd, kubelet and control plane from the registry, and Kubernetes calls the node Ready.
func TestNode(t *testing.T) {
	l := install(t, 4096)
	l.bootstrap()
	l.await("nodeReady: true", "get", "nodestatus", "--output", "yaml")
	l.lap(PhaseReady)
	l.await("running", "get", "machinestatus")
}

// bootstrap makes etcd begin, once Talos takes the order.
func (l *lab) bootstrap() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		said, err := l.call("bootstrap")
		if err == nil || strings.Contains(said, "AlreadyExists") {
			l.t.Logf("%5.1f s after power-on: etcd may begin", time.Since(l.begin).Seconds())
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("talosctl bootstrap: %v: %s", err, said)
		}
	}
}
