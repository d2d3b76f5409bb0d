//go:build e2e_talos

package talos

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/machineconfig"
	"ingot.dev/ingot/metal-controller/signals"
)

// Where Ingot's own receivers hear the guest.
const (
	eventsAddress = "192.168.77.1:7447"
	kernelAddress = "192.168.77.1:7448"
)

// told is what Ingot's receivers made of what a guest said. It is known to them only once it is a server's, as by the release of its machine config.
type told struct {
	*signals.Receiver

	mu     sync.Mutex
	known  func() bool
	stages []string
	kernel []string
	talos  []string
	doubts []string
	news   chan struct{}
}

// hear opens Ingot's ports for events and kernel logs.
func (l *lab) hear(known func() bool) *told {
	l.t.Helper()
	h := &told{known: known, news: make(chan struct{}, 1)}
	h.Receiver = signals.New(signals.Config{Whose: h.whose, Ear: h, Now: time.Now, Log: testr.New(l.t)})
	events, kernel := h.Events(), h.KernelLog()
	ended := make(chan error, 2)
	eventsPort, kernelPort := listen(l.t, eventsAddress), listen(l.t, kernelAddress)
	go func() { ended <- events.Serve(eventsPort) }()
	go func() { ended <- kernel.Serve(kernelPort) }()
	l.t.Cleanup(func() {
		events.Stop()
		kernel.Close()
		for range 2 {
			if err := <-ended; err != nil {
				l.t.Error(err)
			}
		}
	})
	return h
}

func listen(t *testing.T, at string) net.Listener {
	t.Helper()
	port, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (h *told) whose(_ context.Context, from netip.Addr) (signals.Speaker, bool) {
	return signals.Speaker{Server: "talos", Boot: "b1"}, from == address && h.known()
}

// note keeps what was heard.
func (h *told) note(list *[]string, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*list = append(*list, text)
	select {
	case h.news <- struct{}{}:
	default:
	}
}

func (h *told) Hint(_ signals.Speaker, stage string) { h.note(&h.stages, stage) }
func (h *told) Kernel(_, line string)                { h.note(&h.kernel, line) }
func (h *told) Talos(_, line string)                 { h.note(&h.talos, line) }
func (h *told) Doubt(_, message string)              { h.note(&h.doubts, message) }

// all is everything that was heard so far.
func (h *told) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Concat(h.stages, h.kernel, h.talos, h.doubts)
}

// await waits until something that was heard has a text.
func (h *told) await(l *lab, want string) {
	l.t.Helper()
	over := time.NewTimer(patience)
	defer over.Stop()
	for !slices.ContainsFunc(h.all(), func(s string) bool { return strings.Contains(s, want) }) {
		select {
		case <-h.news:
		case <-over.C:
			l.t.Fatalf("the guest never said %q; it said\n%s", want, strings.Join(h.all(), "\n"))
		}
	}
	l.t.Logf("%5.1f s after power-on: the guest has said %q", time.Since(l.begin).Seconds(), want)
}

// heardNothing is the control of a guest that was not told where to tell how it fares.
func (h *told) heardNothing(l *lab) {
	l.t.Helper()
	if n := h.Counts(); n != (signals.Counts{}) || len(h.all()) > 0 {
		l.t.Errorf("the guest said %+v:\n%s", n, strings.Join(h.all(), "\n"))
	}
}

// links are those of an Ingot that hears this lab's guests, with a key of its own.
func links(t *testing.T) capability.Links {
	t.Helper()
	key, err := capability.NewKey([]byte(strings.Repeat("k", capability.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return capability.Links{Key: key, Plain: "http://" + configAddress, Events: eventsAddress, KernelLog: kernelAddress}
}

// line is what Ingot adds to a Talos' kernel line: its capability, and where it tells its events. Where its kernel's log goes, the machine config alone says, as
// it is when that comes over HTTPS.
func line(c capability.Links) string {
	c.KernelLog = ""
	return strings.Join(c.Args([]string{capability.TalosConfig + capability.Placeholder}, "talos", "b1", true, ""), " ")
}

// adds puts into a machine config what Ingot adds.
func (l *lab) adds(file string, c capability.Links) string {
	l.t.Helper()
	base, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Name: "talos"}
	r, err := machineconfig.Make(base, machineconfig.Facts{
		Class: &metal.ServerClass{ObjectMeta: meta}, Claim: &metal.ServerClaim{ObjectMeta: meta}, Server: &metal.Server{ObjectMeta: meta}, Talos: true, Events: c.Events, KernelLog: c.KernelLogURL(),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, kind := range []string{"kind: EventSinkConfig", "kind: KmsgLogConfig"} {
		if !strings.Contains(string(r.Bytes()), kind) {
			l.t.Errorf("control: no %s in the config", kind)
		}
	}
	if err := os.WriteFile(file, r.Bytes(), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return file
}

// saidAll checks what was heard of a guest that took its config: stages and services by its events, its kernel's log from the first line on and each line
// once, and nowhere its capability.
func (h *told) saidAll(l *lab, c capability.Links) {
	l.t.Helper()
	h.await(l, metal.StageTalosBooting)
	h.await(l, "service apid: running, healthy")
	h.await(l, "Linux version")
	h.await(l, "talos.config=[redacted]")
	token := c.Key.Token("config", "talos", "b1")
	if !strings.Contains(l.console(), token) {
		l.t.Error("control: the capability is not on the console, so nothing was taken out")
	}
	if all := strings.Join(h.all(), "\n"); strings.Contains(all, token[:20]) || strings.Contains(all, capability.ConfigPrefix+"talos") {
		l.t.Errorf("the capability is in\n%s", all)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	first := 0
	for _, text := range h.kernel {
		if strings.Contains(text, "Linux version") {
			first++
		}
	}
	if first != 1 || len(h.kernel) < 100 {
		l.t.Errorf("the kernel's first line came %d times, of %d", first, len(h.kernel))
	}
	l.t.Logf("heard %+v; stages %v; events\n%s", h.Counts(), h.stages, strings.Join(h.talos, "\n"))
}
