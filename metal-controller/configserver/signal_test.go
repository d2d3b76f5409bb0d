package configserver_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

// TestSignals: from the config to a running system; what is told again changes nothing but memory.
func TestSignals(t *testing.T) {
	w := newWorld(t, nil)
	w.unchanged("before it has its config", func() { w.refused("installed", w.signal(`{"phase":"installed","boot":"boot1"}`)) })
	if got := w.fetch(); got.code != http.StatusOK {
		t.Fatalf("control: %d", got.code)
	}
	w.unchanged("before it is installed", func() { w.refused("running", w.signal(`{"phase":"running"}`)) })
	if !w.sightings.Alive(w.name).IsZero() {
		t.Error("refused signals are remembered")
	}
	for range 2 {
		if got := w.signal(`{"phase":"installed","boot":"boot1"}`); got.code != http.StatusNoContent {
			t.Fatalf("installed: %d %s", got.code, got.body)
		}
	}
	r := w.server().Spec.Record
	if i := r.Installed; i == nil || i.BootID != "boot1" || i.BindingID != "bind1" || i.Config == nil || i.Environment == "" || r.Boot.Phase != metal.BootVoid || r.Boot.Reason != "" {
		t.Fatalf("%+v, %+v", r.Installed, r.Boot)
	}
	w.wait(time.Minute)
	if got := w.signal(`{"phase":"running","everySeconds":10}`); got.code != http.StatusNoContent {
		t.Fatalf("running: %d %s", got.code, got.body)
	}
	if i := w.server().Spec.Record.Installed; i.RunningAt == nil || i.EverySeconds != 10 {
		t.Errorf("%+v", i)
	}
	w.wait(10 * time.Second)
	before := w.live.reads.Load()
	w.unchanged("running again", func() { w.signal(`{"phase":"running","everySeconds":99}`) })
	if got := w.sightings.Alive(w.name); !got.Equal(epoch.Add(70*time.Second)) || w.live.reads.Load() != before {
		t.Errorf("alive at %v, after %d readings of the API server", got, w.live.reads.Load()-before)
	}
	var stages []string
	for _, s := range w.sightings.Boots(w.name)[0].Stages {
		stages = append(stages, s.Stage)
	}
	if want := []string{metal.StageConfig, metal.StageInstalled, metal.StageRunning}; !slices.Equal(stages, want) {
		t.Errorf("the boot's timeline is %v, want %v", stages, want)
	}
	if lines := strings.Count(w.log.String(), "reason=Signal"); lines != 2 {
		t.Errorf("%d audit lines of signals:\n%s", lines, w.log.String())
	}
}

// TestSignalCapability: the token is of one server and one binding, and what is no signal is refused after it.
func TestSignalCapability(t *testing.T) {
	w := newWorld(t, func(r *metal.ServerRecord) {
		r.Installed = &metal.InstalledRecord{BootID: "boot1", At: metav1.NewTime(epoch), BindingID: "bind1"}
		r.Boot.Phase = metal.BootVoid
	})
	right := w.links.SignalURL(w.name, "bind1")
	running := `{"phase":"running"}`
	w.unchanged("refusals", func() {
		before := w.live.reads.Load()
		for name, url := range map[string]string{
			"another binding": strings.Replace(right, "/bind1/", "/bind2/", 1), "another server": strings.Replace(right, w.name, "x", 1), "a cut token": right[:len(right)-1],
		} {
			w.refused(name, w.call(http.MethodPost, url, running))
		}
		for _, body := range []string{"", "x", "[]", `{"phase":1}`, running + running, `{"phase":"running","everySeconds":1e99}`, `{"x":"` + strings.Repeat("x", 5000) + `"}`} {
			if got := w.call(http.MethodPost, right, body); got.code != http.StatusBadRequest {
				t.Errorf("%.40s: %d", body, got.code)
			}
		}
		if n := w.live.reads.Load() - before; n != 0 {
			t.Errorf("%d readings of the API server", n)
		}
		for _, body := range []string{`{"phase":"removed"}`, `{"phase":"running","everySeconds":-1}`, `{"phase":"installed","boot":"boot0"}`} {
			w.refused(body, w.call(http.MethodPost, right, body))
		}
	})
	if got := w.call(http.MethodPost, right, running); got.code != http.StatusNoContent {
		t.Errorf("control: %d", got.code)
	}
}

// running is the record of a system that told before that it runs.
func running(r *metal.ServerRecord) {
	at := metav1.NewTime(epoch)
	r.Installed = &metal.InstalledRecord{BootID: "boot1", At: at, BindingID: "bind1", RunningAt: &at, EverySeconds: 10}
	r.Boot.Phase = metal.BootVoid
}

// TestHeardByOthers: a replica that does not lead writes down that it heard a system, at a pace. The leader only remembers it.
func TestHeardByOthers(t *testing.T) {
	w := newReplica(t, running)
	tell := func() reply { return w.signal(`{"phase":"running","everySeconds":10}`) }
	heard := func(what string, want time.Duration) {
		t.Helper()
		if at := w.server().Spec.Record.Installed.HeardAt; at == nil || !at.Time.Equal(epoch.Add(want)) {
			t.Errorf("%s: heard at %v, want %s after the start", what, at, want)
		}
	}
	if got := tell(); got.code != http.StatusNoContent {
		t.Fatalf("%d %s", got.code, got.body)
	}
	heard("at first", 0)
	for range 11 {
		w.wait(10 * time.Second)
		w.unchanged("within the pace", func() { tell() })
	}
	w.wait(10 * time.Second)
	tell()
	heard("two minutes later", 2*time.Minute)
	close(w.elected)
	w.wait(time.Hour)
	w.unchanged("the leader hears it", func() { tell() })
	if got := w.sightings.Alive(w.name); !got.Equal(w.clock()) {
		t.Errorf("the leader remembers %v", got)
	}
}

// TestHeardInVain: a word that a replica cannot write down where the leader finds it is not taken, so that the machine tells another replica.
func TestHeardInVain(t *testing.T) {
	w := newReplica(t, running)
	w.live.fail = func(client.Object) error { return errors.New("no connection") }
	got := w.signal(`{"phase":"running","everySeconds":10}`)
	if got.code != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || !w.sightings.Alive(w.name).IsZero() {
		t.Errorf("%d, Retry-After %q, remembered %v", got.code, got.header.Get("Retry-After"), w.sightings.Alive(w.name))
	}
	w.live.fail = nil
	if got := w.signal(`{"phase":"running","everySeconds":10}`); got.code != http.StatusNoContent {
		t.Errorf("control: %d %s", got.code, got.body)
	}
}

// TestCanary: no secret and no token is in logs, events or objects, after everything that can go right or wrong.
func TestCanary(t *testing.T) {
	w := newWorld(t, func(r *metal.ServerRecord) { r.Claim.PlainConfig = true })
	w.call(http.MethodGet, w.links.ConfigURL(w.name, "boot9", true), "")
	w.wait(2 * time.Minute)
	for _, broken := range []string{"password: *" + canary, "a: [" + canary, "- " + canary} {
		w.secret(broken)
		if got := w.fetch(); got.code != http.StatusServiceUnavailable {
			t.Errorf("%q: %d %s", broken, got.code, got.body)
		}
		w.wait(2 * time.Minute)
	}
	w.secret(base)
	first := w.fetch()
	if !strings.Contains(first.body, canary) || strings.Count(w.told(), reasons.ConfigRefused) != 4 {
		t.Fatalf("control: %d %s, events %q", first.code, first.body, w.told())
	}
	w.signal(`{"phase":"` + canary + `"}`)
	w.signal(`{"phase":"installed","boot":"` + canary + `"}`)
	w.secret(base + "x: 1\n")
	w.fetch()
	w.source = "127.0.0.8"
	w.fetch()
	server, err := json.Marshal(w.server())
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.log.String() + strings.Join(w.events, "\n") + string(server)
	for _, url := range []string{w.links.ConfigURL(w.name, "boot1", false), w.links.ConfigURL(w.name, "boot9", false), w.links.SignalURL(w.name, "bind1")} {
		if token := url[strings.LastIndex(url, "/")+1:]; strings.Contains(all, token) {
			t.Errorf("a token is in\n%s", all)
		}
	}
	if strings.Contains(all, canary) || !strings.Contains(all, "boot1") || !strings.Contains(all, "near line 1") {
		t.Errorf("a secret is in\n%s", all)
	}
}

// TestReady: what is missing for a boot has a reason and a message that names what to do; a stranger's config never blocks another's.
func TestReady(t *testing.T) {
	for name, c := range map[string]struct {
		record func(*metal.ServerRecord)
		change func(*world)
		reason string
		says   string
	}{
		"control":                {},
		"before a boot is begun": {record: func(r *metal.ServerRecord) { r.Boot = nil }},
		"no claim":               {record: func(r *metal.ServerRecord) { r.Claim = nil; r.Boot = nil }, reason: reasons.ClaimMissing, says: "no claim"},
		"the claim is gone":      {record: func(r *metal.ServerRecord) { r.Claim.Name = "gone" }, reason: reasons.ClaimMissing, says: "/gone"},
		"the claim of another":   {record: func(r *metal.ServerRecord) { r.Claim.BindingID = "bind2" }, reason: reasons.BindingIncomplete, says: "not bound"},
		"no class":               {record: func(r *metal.ServerRecord) { r.Claim.Class = "gone" }, reason: reasons.ClassMissing, says: "gone"},
		"nothing to boot":        {record: func(r *metal.ServerRecord) { r.Claim.Environment = "" }, reason: reasons.EnvironmentMissing, says: "spec.environmentName"},
		"no such Environment":    {record: func(r *metal.ServerRecord) { r.Claim.Environment = "gone" }, reason: reasons.EnvironmentMissing, says: "gone"},
		"no such Secret": {change: func(w *world) {
			if err := w.admin.Delete(w.t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"}}); err != nil {
				w.t.Fatal(err)
			}
		}, reason: reasons.ConfigMissing, says: "/web"},
		"an empty Secret": {change: func(w *world) { w.secret(" \n") }, reason: reasons.ConfigMissing, says: "key value"},
		"a broken one":    {change: func(w *world) { w.secret("a: [" + canary) }, reason: reasons.ConfigInvalid, says: "near line 1"},
		"a broken patch": {change: func(w *world) {
			s := w.server()
			s.Spec.Patches = []string{"- {op: replace, path: /machine/token, value: " + canary + "}"}
			if err := w.admin.Update(w.t.Context(), s); err != nil {
				w.t.Fatal(err)
			}
		}, reason: reasons.ConfigInvalid, says: "patch 1: it is a JSON patch"},
		"another architecture": {change: func(w *world) {
			i := &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
			if err := w.ingot.Get(w.t.Context(), nameOf(i), i); err != nil {
				w.t.Fatal(err)
			}
			i.Spec.Arch = "arm64"
			if err := w.ingot.Update(w.t.Context(), i); err != nil {
				w.t.Fatal(err)
			}
		}, reason: reasons.EnvironmentUnsupported, says: "arm64"},
		"Talos, not resolved": {change: func(w *world) { w.talos(nil) }, reason: reasons.Resolving, says: "condition Resolved"},
		"Talos, resolved": {change: func(w *world) {
			w.talos([]string{"talos.platform=metal", "talos.config={config}"})
			w.base(talostest.NewCluster(w.t, epoch).ControlPlane())
		}},
		"Talos, a long line": {change: func(w *world) {
			w.talos([]string{strings.Repeat("a", 500), strings.Repeat("b", 500), strings.Repeat("c", 500), strings.Repeat("d", 400), "talos.config={config}"})
			w.base(talostest.NewCluster(w.t, epoch).ControlPlane())
		}, reason: reasons.EnvironmentUnsupported, says: "too long by"},
		"no right to read it": {change: func(w *world) { w.forbid() }, reason: reasons.ConfigMissing, says: "create rolebinding ingot-config-reader"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.record)
			if c.change != nil {
				c.change(w)
			}
			reason, message, err := w.maker.Ready(t.Context(), w.server())
			if err != nil || reason != c.reason || !strings.Contains(message, c.says) || (message == "") != (reason == "") || strings.Contains(message, canary) {
				t.Errorf("%q, %q, %v", reason, message, err)
			}
		})
	}
}
