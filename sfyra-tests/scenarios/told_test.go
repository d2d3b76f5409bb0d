//go:build e2e

package scenarios

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/rack/wire"
)

// wiretap is a record of the switch.
type wiretap struct {
	capture *wire.Capture
	path    string
}

// tap records every frame on the switch from now on.
func (s *site) tap(t *testing.T) *wiretap {
	t.Helper()
	w := &wiretap{path: filepath.Join(s.dir, fmt.Sprintf("switch%d.pcap", len(s.taps)))}
	s.taps = append(s.taps, w)
	var err error
	if w.capture, err = wire.StartCapture(s.rack.Bridge(), w.path, time.Now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.capture.Close() }) // again, after a failure only
	return w
}

// bytes ends the record.
func (w *wiretap) bytes(t *testing.T) string {
	t.Helper()
	if err := w.capture.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// everythingToldOf is what Ingot writes for people and machines: logs, events, objects, metrics, and what the commands print.
func (c *cluster) everythingToldOf(t *testing.T) map[string]string {
	t.Helper()
	places := map[string]string{"the metrics": c.metrics(t)}
	for _, args := range [][]string{{"why", "c1"}, {"logs", "c1"}, {"get", "servers", "-o", "yaml"}} {
		places["`ingot "+strings.Join(args, " ")+"`"] = c.ingot(args...)
	}
	for name, list := range map[string]client.ObjectList{
		"Servers": &metal.ServerList{}, "ServerClaims": &metal.ServerClaimList{}, "ServerClasses": &metal.ServerClassList{},
		"Environments": &metal.EnvironmentList{}, "inventories": &metal.ServerInventoryList{}, "events": &corev1.EventList{}, "ConfigMaps": &corev1.ConfigMapList{},
	} {
		if err := c.client.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		places[name] = string(text)
	}
	c.addLogs(t, places)
	return places
}

// addLogs reads all logs. The database is none: it holds Secrets, as every API server's does.
func (c *cluster) addLogs(t *testing.T, places map[string]string) {
	t.Helper()
	err := filepath.WalkDir(c.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".log") || entry.Name() == "serial.log" {
			return err
		}
		text, err := os.ReadFile(path)
		places[entry.Name()] += string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(places["control-plane.log"]) == 0 {
		t.Error("control: no log of the control plane was found")
	}
}

// metrics is what `ingot up` serves to whoever scrapes it.
func (c *cluster) metrics(t *testing.T) string {
	t.Helper()
	r, err := http.Get("http://127.0.0.1:7490/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(text), `controller="claim"`) {
		t.Errorf("control: the metrics have %d bytes and nothing of Ingot: %v", len(text), err)
	}
	return string(text)
}

// audited are the lines of the audit with all of some words.
func (s *site) audited(t *testing.T, words ...string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.stateDir(), "logs", "control-plane.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.Contains(line, "audit") && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			lines = append(lines, line)
		}
	}
	return lines
}
