//go:build e2e

package scenarios

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/crds/reasons"
)

// TestOtherDHCPServers: where Ingot only names boot files, it is said that nobody gives addresses, and when that is over; where it gives them itself, that another
// server does, too. Each within a minute of the fact, as an event, and in the metric.
func TestOtherDHCPServers(t *testing.T) {
	s := newSiteWith(t, []string{"--proxy-dhcp"}, plain("n1", 0x71))
	s.awaitTrouble(reasons.NoDHCPServer, "--proxy-dhcp")
	if n := s.trouble(reasons.NoDHCPServer); n != "1" {
		t.Errorf("the metric says %q of it", n)
	}
	s.otherDHCP()
	s.await(time.Minute, "it is told that somebody gives addresses now", func() bool { return s.told(reasons.DHCPAsExpected) != "" })
	s.stopUp(syscall.SIGTERM)
	s.flags = nil
	s.startUp()
	s.awaitTrouble(reasons.OtherDHCPServer, otherServer.Addr().String())
	for reason, want := range map[string]string{reasons.OtherDHCPServer: "1", reasons.NoDHCPServer: "0"} {
		if n := s.trouble(reason); n != want {
			t.Errorf("the metric says %q of %s, want %s", n, reason, want)
		}
	}
	if log, err := os.ReadFile(filepath.Join(s.stateDir(), "logs", "control-plane.log")); err != nil || strings.Count(string(log), "reason=OtherDHCPServer") > 4 {
		t.Errorf("it fills the log: %d lines, %v", strings.Count(string(log), "reason=OtherDHCPServer"), err)
	}
}

func (s *site) awaitTrouble(reason, says string) {
	s.t.Helper()
	s.await(time.Minute, reason+" is told", func() bool { return strings.Contains(s.told(reason), says) })
}

// told is the note of the event of that reason, empty when there is none.
func (s *site) told(reason string) string {
	list := &corev1.EventList{}
	if s.client.List(s.t.Context(), list, client.InNamespace(corev1.NamespaceDefault)) != nil {
		return ""
	}
	i := slices.IndexFunc(list.Items, func(e corev1.Event) bool { return e.Reason == reason && e.InvolvedObject.Kind == "Namespace" })
	if i < 0 {
		return ""
	}
	return list.Items[i].Message
}

// trouble is what the metric says of a reason.
func (s *site) trouble(reason string) string {
	res, err := http.Get("http://127.0.0.1:7490/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `metal_dhcp_trouble{reason="`+reason+`"} `)
	value, _, _ := strings.Cut(rest, "\n")
	return value
}
