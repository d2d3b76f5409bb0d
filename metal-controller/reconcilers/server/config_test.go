package server_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/configserver"
	"ingot.dev/ingot/metal-controller/taloscheck/talosconfigtest"
)

// marker is a value of the config and its patches, which nobody who reads conditions may see.
const marker = "marker-77d1"

// talosWorld is a clean server with both sides of a binding, whose claim names a config of Talos, and the real maker of configs.
type talosWorld struct {
	*world
	maker configserver.Maker
}

// talosClaim has a class and an Environment of the server's name.
func talosClaim(t *testing.T, name string) *talosWorld {
	t.Helper()
	w, claim := claimed(t, name, nil)
	ours := newClient(t, w.config())
	asset := &metal.Asset{URL: "http://files.example/a", SHA256: strings.Repeat("0", 64)}
	for _, o := range []client.Object{
		&metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{Arch: "amd64", Kernel: asset, Initramfs: asset}}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string][]byte{"value": talosconfigtest.Generate(t, "worker")}},
	} {
		must(w, w.admin.Create(t.Context(), o))
		t.Cleanup(func() { _ = w.admin.Delete(t.Context(), o) })
	}
	inventory := &metal.ServerInventory{}
	must(w, ours.Get(t.Context(), client.ObjectKey{Name: name}, inventory))
	inventory.Spec.Arch = "amd64"
	must(w, ours.Update(t.Context(), inventory))
	must(w, ours.Get(t.Context(), client.ObjectKeyFromObject(claim), claim))
	claim.Spec.ConfigSecret = name
	must(w, ours.Update(t.Context(), claim))
	s := w.server()
	s.Spec.Record.Claim.Class, s.Spec.Record.Claim.Environment = name, name
	must(w, ours.Update(t.Context(), s))
	key, err := capability.NewKey(bytes.Repeat([]byte{7}, capability.KeySize))
	must(w, err)
	maker := configserver.Maker{Live: w.admin, Links: capability.Links{Key: key, HTTPS: "https://192.0.2.1:7445"}, Pin: strings.Repeat("0", 64)}
	w.workloads = maker
	return &talosWorld{w, maker}
}

func (w *talosWorld) class(change func(*metal.ServerClassSpec)) {
	w.t.Helper()
	var class metal.ServerClass
	must(w.world, w.admin.Get(w.t.Context(), client.ObjectKey{Name: w.name}, &class))
	change(&class.Spec)
	must(w.world, w.admin.Update(w.t.Context(), &class))
}

func (w *talosWorld) claim(patches ...string) {
	w.t.Helper()
	var claim metal.ServerClaim
	must(w.world, w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: "default", Name: w.name}, &claim))
	claim.Spec.Patches = patches
	must(w.world, w.admin.Update(w.t.Context(), &claim))
}

func (w *talosWorld) spec(change func(*metal.ServerSpec)) {
	w.t.Helper()
	s := w.server()
	change(&s.Spec)
	must(w.world, w.admin.Update(w.t.Context(), s))
}

// untouched plays most of an hour, and wants nothing begun on the machine since.
func (w *talosWorld) untouched(orders int, boot string) {
	w.t.Helper()
	for range 5 {
		w.now = w.now.Add(10 * time.Minute)
		if _, err := w.reconcile(); err != nil {
			w.t.Fatal(err)
		}
	}
	s := w.server()
	if r := s.Spec.Record; len(w.plane.orders) != orders || r.Boot.ID != boot || r.Claim.ConfigAt != nil || s.Status.Boot.Target == metal.BootTargetOS {
		w.t.Fatalf("something was begun: orders %v, boot %+v, target %s", w.plane.orders[orders:], r.Boot, s.Status.Boot.Target)
	}
	if strings.Contains(fmt.Sprint(s.Status, w.events), marker) {
		w.t.Errorf("a value is shown: %+v", s.Status.Conditions)
	}
}

// TestPatchErrorIsACondition: a patch that cannot be applied, or that Talos would refuse, is a condition in clear words, and nothing is begun on the machine.
// The control is the end: mended, the very same server boots.
func TestPatchErrorIsACondition(t *testing.T) {
	w := talosClaim(t, "patch-error")
	server := func(patches ...string) { w.spec(func(s *metal.ServerSpec) { s.Patches = patches }) }
	orders, boot := len(w.plane.orders), w.server().Spec.Record.Boot.ID // the agent's, of the wipe
	for _, c := range []struct {
		name  string
		apply func()
		says  []string
	}{
		{"RFC 6902", func() { server(`[{"op": "replace", "path": "/machine/token", "value": "` + marker + `"}]`) }, []string{"server patch-error, patch 1", "JSON patch (RFC 6902)", "{machine: {token: VALUE}}"}},
		{"another kind", func() { server("machine: " + marker) }, []string{"server patch-error, patch 1", "machine is a map there, and a scalar here"}},
		{"an unknown field", func() { server(); w.claim("machine: {instal: " + marker + "}") }, []string{"Talos would not take the machine config: v1alpha1: Talos knows no field machine.instal"}},
		{"another type", func() { w.claim("machine: {install: {wipe: " + marker + "}}") }, []string{"machine.install.wipe is a text"}},
		{"what does not fit together", func() { w.claim("machine: {ca: {$patch: delete}, env: {a: " + marker + "}}") }, []string{"v1alpha1.Config: issuing CA"}},
		{"no such disk", func() {
			w.claim()
			w.class(func(s *metal.ServerClassSpec) { s.InstallDisk = &metal.InstallDisk{Model: "NONE"} })
		}, []string{"installDisk of class patch-error: none of the server's disks can be taken: nvme0n1 (another model)"}},
		{"an ignored disk", func() {
			w.class(func(s *metal.ServerClassSpec) { s.InstallDisk = nil })
			w.claim("machine: {install: {diskSelector: {type: nvme}}}")
			w.spec(func(s *metal.ServerSpec) { s.IgnoredDisks = []metal.DiskSelector{{Serial: "N-" + w.name}} })
		}, []string{"machine.install.diskSelector fits the disk nvme0n1, which Ingot gives to no installer"}},
	} {
		c.apply()
		w.until(c.name, func(s *metal.Server) bool {
			p := condition(s, reasons.Provisioned)
			return p.Reason == reasons.ConfigInvalid && !slices.ContainsFunc(c.says, func(said string) bool { return !strings.Contains(p.Message, said) })
		})
		w.untouched(orders, boot)
	}
	w.claim("machine: {env: {a: " + marker + "}}")
	w.spec(func(s *metal.ServerSpec) { s.IgnoredDisks = nil })
	w.class(func(s *metal.ServerClassSpec) { s.InstallDisk = &metal.InstallDisk{Transports: []string{"nvme"}} })
	s := w.until("mended, it boots", func(s *metal.Server) bool {
		b := s.Spec.Record.Boot
		return b != nil && b.Phase == metal.BootBooting && b.Target == metal.BootTargetOS
	})
	config, err := w.maker.Make(t.Context(), s)
	for _, want := range []string{"wwid: eui." + w.name, "provider-id: ingot://" + w.name, marker} {
		if err != nil || !strings.Contains(string(config.Bytes()), want) {
			t.Errorf("%v: what goes out has no %s", err, want)
		}
	}
}
