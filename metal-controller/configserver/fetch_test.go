package configserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestFetch: the config goes to the machine, is written down before, and goes again, byte for byte, to the same address.
func TestFetch(t *testing.T) {
	w := newWorld(t, nil)
	first := w.fetch()
	for _, want := range []string{"token: " + canary, "disk: /dev/sdz", "sysctls: {a: 1}", "kind: Callback", "url: " + w.links.SignalURL(w.name, "bind1"), "boot: boot1", "pin: ", "providerID: ingot://" + w.name} {
		if !strings.Contains(first.body, want) {
			t.Errorf("the config has no %q:\n%s", want, first.body)
		}
	}
	h := first.header
	if first.code != http.StatusOK || h.Get("Content-Type") != "application/yaml" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Length") != fmt.Sprint(len(first.body)) {
		t.Errorf("%d, %v", first.code, h)
	}
	release := w.server().Spec.Record.Boot.Config
	if release == nil || release.Source != "127.0.0.2" || !release.At.Time.Equal(epoch) {
		t.Fatalf("the release is %+v", release)
	}
	w.unchanged("fetching again", func() {
		w.wait(30 * time.Minute)
		if again := w.fetch(); again.code != http.StatusOK || again.body != first.body {
			t.Errorf("again: %d\n%s", again.code, again.body)
		}
	})
	if got := w.told(); got != reasons.ConfigReleased {
		t.Errorf("events %q", got)
	}
	if lines := strings.Count(w.log.String(), "audit"); lines != 1 || !strings.Contains(w.log.String(), release.SHA256) {
		t.Errorf("%d audit lines:\n%s", lines, w.log.String())
	}
}

// TestTalosConfig: Talos gets no document of a kind that it does not know. The control is TestFetch.
func TestTalosConfig(t *testing.T) {
	w := newWorld(t, nil)
	w.talos([]string{"talos.config={config}"})
	w.base(talosBase(t))
	got := w.fetch()
	if got.code != http.StatusOK || strings.Contains(got.body, "Callback") || !strings.Contains(got.body, "disk: /dev/sdz") {
		t.Errorf("%d\n%s", got.code, got.body)
	}
}

// TestTruncated: a machine that lost the connection in the middle gets the whole config next time.
func TestTruncated(t *testing.T) {
	w := newWorld(t, func(r *metal.ServerRecord) { r.Claim.PlainConfig = true })
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(w.source)}}
	c, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(w.plain, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	url := w.links.ConfigURL(w.name, "boot1", true)
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", strings.TrimPrefix(url, w.plain)); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReaderSize(io.LimitReader(c, 15), 16).ReadString(' '); err != nil || line != "HTTP/1.1 " {
		t.Fatalf("%q, %v", line, err)
	}
	_ = c.Close()
	sum := w.server().Spec.Record.Boot.Config.SHA256
	if again := w.call(http.MethodGet, url, ""); again.code != http.StatusOK || !strings.HasSuffix(again.body, "\n") || !strings.Contains(again.body, canary) {
		t.Errorf("again: %d\n%s", again.code, again.body)
	}
	if now := w.server().Spec.Record.Boot.Config.SHA256; now != sum {
		t.Errorf("first %s, then %s", sum, now)
	}
}

// TestContested: a second address gets nothing and ends the boot, for the first one too.
func TestContested(t *testing.T) {
	w := newWorld(t, nil)
	if got := w.fetch(); got.code != http.StatusOK {
		t.Fatalf("control: %d", got.code)
	}
	w.source = "127.0.0.3"
	w.refused("the second address", w.fetch())
	if b := w.server().Spec.Record.Boot; b.Phase != metal.BootVoid || b.Reason != reasons.ConfigContested {
		t.Errorf("the boot is %+v", b)
	}
	w.source = "127.0.0.2"
	w.unchanged("afterwards", func() { w.refused("the first one", w.fetch()) })
	if got, want := w.told(), reasons.ConfigReleased+" "+reasons.ConfigContested+" "+reasons.ConfigRefused; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
}

// refused wants a 403 without any byte of the config.
func (w *world) refused(what string, got reply) {
	w.t.Helper()
	if got.code != http.StatusForbidden || strings.Contains(got.body, canary) || len(got.body) > 200 {
		w.t.Errorf("%s: %d %s", what, got.code, got.body)
	}
}

// TestRace: of two addresses that ask at the same moment, never both get the config.
func TestRace(t *testing.T) {
	w := newWorld(t, nil)
	sources := []string{"127.0.0.2", "127.0.0.3"}
	codes := make([]int, len(sources))
	var wg sync.WaitGroup
	for i, source := range sources {
		wg.Go(func() {
			d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
			c := &http.Client{Transport: &http.Transport{DialContext: d.DialContext, TLSClientConfig: w.pinned(), DisableKeepAlives: true}}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.links.ConfigURL(w.name, "boot1", false), http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := c.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			codes[i] = got.StatusCode
			_ = got.Body.Close()
		})
	}
	wg.Wait()
	if b := w.server().Spec.Record.Boot; codes[0]+codes[1] != http.StatusOK+http.StatusForbidden || b.Phase != metal.BootVoid {
		t.Errorf("%v, and the boot is %+v", codes, b)
	}
}

// TestChanged: other bytes do not leave in the same boot; the next one gets them.
func TestChanged(t *testing.T) {
	w := newWorld(t, nil)
	if got := w.fetch(); got.code != http.StatusOK {
		t.Fatalf("control: %d", got.code)
	}
	w.secret(strings.Replace(base, "/dev/sda", "/dev/sdb", 1) + "x: 1\n")
	w.refused("after an edit", w.fetch())
	if b := w.server().Spec.Record.Boot; b.Phase != metal.BootVoid || b.Reason != reasons.ConfigChanged {
		t.Errorf("the boot is %+v", b)
	}
	w.edit(func(r *metal.ServerRecord) {
		r.Boot = &metal.BootRecord{ID: "boot2", Phase: metal.BootBooting, Target: metal.BootTargetOS, BindingID: "bind1", StartedAt: r.Boot.At, At: r.Boot.At, Deadline: r.Boot.Deadline}
	})
	w.refused("the old boot", w.fetch())
	if got := w.call(http.MethodGet, w.links.ConfigURL(w.name, "boot2", false), ""); got.code != http.StatusOK || !strings.Contains(got.body, "x: 1") {
		t.Errorf("the next boot: %d\n%s", got.code, got.body)
	}
	if !strings.Contains(w.told(), reasons.ConfigChanged) {
		t.Errorf("events %q", w.told())
	}
}

// TestChangedMeanwhile: somebody ends the binding between our reading and our writing. The release loses the race, and nothing leaves.
func TestChangedMeanwhile(t *testing.T) {
	w := newWorld(t, nil)
	once := sync.OnceFunc(func() {
		w.edit(func(r *metal.ServerRecord) {
			r.Release = &metal.ReleaseRecord{Namespace: w.namespace, Name: "web", BindingID: "bind1", At: metav1.NewTime(epoch)}
		})
	})
	w.live.before = func(o client.Object) {
		if _, ok := o.(*metal.ServerClaim); ok { // the Server was read before it
			once()
		}
	}
	w.refused("the release", w.fetch())
	if r := w.server().Spec.Record; r.Boot.Config != nil || r.Release == nil {
		t.Errorf("the record is %+v", r)
	}
}

// TestAfterInstalled: the boot is over, and who asks again raises an alarm.
func TestAfterInstalled(t *testing.T) {
	w := newWorld(t, nil)
	if got := w.fetch(); got.code != http.StatusOK {
		t.Fatalf("control: %d", got.code)
	}
	if got := w.signal(`{"phase":"installed","boot":"boot1"}`); got.code != http.StatusNoContent {
		t.Fatalf("installed: %d %s", got.code, got.body)
	}
	w.unchanged("afterwards", func() {
		for range 3 {
			w.refused("the config of an installed boot", w.fetch())
		}
	})
	if got, want := w.told(), reasons.ConfigReleased+" "+reasons.ConfigRefused; got != want {
		t.Errorf("events %q, want %q: one alarm in a minute", got, want)
	}
	w.wait(61 * time.Second)
	w.refused("a minute later", w.fetch())
	if strings.Count(w.told(), reasons.ConfigRefused) != 2 {
		t.Errorf("events %q", w.told())
	}
}

// TestClosed: what closes the window at lifecycle closes it here; the message tells people, not the caller.
func TestClosed(t *testing.T) {
	for name, change := range map[string]func(*metal.ServerRecord){
		"another installation's": func(r *metal.ServerRecord) { r.ManagedBy.Installation = strings.Repeat("f", 32) },
		"not bound":              func(r *metal.ServerRecord) { r.Claim.BoundAt = nil },
		"late":                   func(r *metal.ServerRecord) { r.Boot.Deadline = metav1.NewTime(epoch.Add(-time.Second)) },
		"a boot of the agent":    func(r *metal.ServerRecord) { r.Boot.Target = metal.BootTargetAgent },
	} {
		w := newWorld(t, change)
		w.unchanged(name, func() { w.refused(name, w.fetch()) })
		if w.told() != reasons.ConfigRefused {
			t.Errorf("%s: events %q", name, w.told())
		}
	}
	w := newWorld(t, nil)
	if err := w.ingot.Delete(context.Background(), w.server()); err != nil {
		t.Fatal(err)
	}
	w.refused("a Server that is gone", w.fetch())
}

// TestCapability: a wrong capability gives nothing and costs no reading, whatever is wrong with it.
func TestCapability(t *testing.T) {
	w := newWorld(t, nil)
	right := w.links.ConfigURL(w.name, "boot1", false)
	token := right[strings.LastIndex(right, "/")+1:]
	other := w.links.SignalURL(w.name, "bind1")
	w.unchanged("wrong capabilities", func() {
		before := w.live.reads.Load()
		for name, url := range map[string]string{
			"another token":       strings.TrimSuffix(right, token) + strings.Repeat("A", len(token)),
			"another boot":        strings.Replace(right, "/boot1/", "/boot2/", 1),
			"another server":      strings.Replace(right, w.name, "rack1-02", 1),
			"a signal's token":    strings.TrimSuffix(right, token) + other[strings.LastIndex(other, "/")+1:],
			"no token":            strings.TrimSuffix(right, token),
			"a cut token":         right[:len(right)-1],
			"a query":             right + "?x=1",
			"an empty query":      right + "?",
			"a slash behind":      right + "/",
			"two slashes":         strings.Replace(right, "/boot1/", "//boot1/", 1),
			"an escaped letter":   strings.Replace(right, "/boot1/", "/boot%31/", 1),
			"a way back":          strings.Replace(right, "/v1/config/", "/v1/config/x/../", 1),
			"a server's odd name": strings.Replace(right, w.name, "Rack_1", 1),
		} {
			w.refused(name, w.call(http.MethodGet, url, ""))
		}
		if reads := w.live.reads.Load() - before; reads != 0 {
			t.Errorf("%d readings of the API server", reads)
		}
		for method, url := range map[string]string{http.MethodHead: right, http.MethodPost: right, http.MethodGet: other, http.MethodPut: other} {
			if got := w.call(method, url, ""); got.code != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", method, got.code)
			}
		}
		if got := w.call(http.MethodGet, w.https+"/", ""); got.code != http.StatusNotFound {
			t.Errorf("another path: %d", got.code)
		}
	})
	if got := w.call(http.MethodGet, right, ""); got.code != http.StatusOK || w.live.reads.Load() == 0 {
		t.Errorf("control: %d, %d readings", got.code, w.live.reads.Load())
	}
}

// TestPlain: the port without TLS refuses unless the class lets the config travel so, and says what to set.
func TestPlain(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		w := newWorld(t, func(r *metal.ServerRecord) { r.Claim.PlainConfig = allowed })
		url := w.links.ConfigURL(w.name, "boot1", true)
		if !strings.HasPrefix(url, w.plain+"/") {
			t.Fatal("the address is not that of the plain port")
		}
		got := w.call(http.MethodGet, url, "")
		if allowed && (got.code != http.StatusOK || !strings.Contains(got.body, canary)) {
			t.Errorf("allowed: %d", got.code)
		}
		if allowed {
			continue
		}
		w.refused("not allowed", got)
		if w.mu.Lock(); len(w.events) != 1 || !strings.Contains(w.events[0], reasons.ConfigRefused) || !strings.Contains(w.events[0], "spec.configDelivery") {
			t.Errorf("events %q", w.events)
		}
		w.mu.Unlock()
		if again := w.fetch(); again.code != http.StatusOK {
			t.Errorf("control: over HTTPS: %d", again.code)
		}
		signal := strings.Replace(w.links.SignalURL(w.name, "bind1"), w.https, w.plain, 1)
		w.refused("a signal", w.call(http.MethodPost, signal, `{"phase":"installed","boot":"boot1"}`))
	}
}

// TestLimits: one source that asks too often is told to come back, and another one is not.
func TestLimits(t *testing.T) {
	w := newWorld(t, nil)
	limited := 0
	for range 60 {
		if got := w.call(http.MethodGet, w.https+"/v1/config/x/y/z", ""); got.code == http.StatusTooManyRequests && got.header.Get("Retry-After") != "" {
			limited++
		}
	}
	if limited == 0 {
		t.Error("there is no limit")
	}
	w.source = "127.0.0.9"
	if got := w.fetch(); got.code != http.StatusOK {
		t.Errorf("control: another source: %d", got.code)
	}
}

// TestRecordedDigest: what another replica released counts here.
func TestRecordedDigest(t *testing.T) {
	w := newWorld(t, func(r *metal.ServerRecord) {
		r.Boot.Config = &metal.ConfigRelease{SHA256: strings.Repeat("a", 64), Source: "127.0.0.2", At: metav1.NewTime(epoch)}
	})
	w.refused("bytes other than those that left", w.fetch())
	if _, verdict := lifecycle.ReleaseConfig(w.server(), "boot1", strings.Repeat("a", 64), "127.0.0.2", epoch); verdict != lifecycle.VerdictRefused {
		t.Errorf("the boot goes on: %s", verdict)
	}
}
