package configserver_test

import (
	"bytes"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

// args changes the arguments of the world's Environment, and of nothing else.
func (w *world) args(args ...string) {
	w.t.Helper()
	var env metal.Environment
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: w.name}, &env); err != nil {
		w.t.Fatal(err)
	}
	env.Spec.Boot[0].Args = args
	if err := w.admin.Update(w.t.Context(), &env); err != nil {
		w.t.Fatal(err)
	}
}

// base replaces the config in the claim's Secret.
func (w *world) base(config []byte) {
	w.t.Helper()
	var secret corev1.Secret
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "web"}, &secret); err != nil {
		w.t.Fatal(err)
	}
	secret.Data["value"] = config
	if err := w.admin.Update(w.t.Context(), &secret); err != nil {
		w.t.Fatal(err)
	}
}

// talosBase is a config that Talos takes, with the canary in it.
func talosBase(t *testing.T) []byte {
	t.Helper()
	return bytes.Replace(talostest.NewCluster(t, epoch).Worker(), []byte("  install:"), []byte("  env: {CANARY: "+canary+"}\n  install:"), 1)
}

// TestTalosKnowsNoCallback: the config of a Talos has no document of ours, which it would refuse; that of any other system has.
func TestTalosKnowsNoCallback(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		args []string
		base []byte
		want int
	}{{[]string{"console=ttyS0"}, []byte(base), 1}, {[]string{"talos.config={config}"}, talosBase(t), 0}} {
		w.args(c.args...)
		w.base(c.base)
		config, err := w.maker.Make(t.Context(), w.server())
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(config.Bytes(), []byte("kind: Callback")); n != c.want || !bytes.Contains(config.Bytes(), []byte(canary)) {
			t.Errorf("with %v it has %d callbacks", c.args, n)
		}
	}
}

// TestTalosReady: a Talos that nothing could prove, or whose kernel line is too long, is not booted; the same system otherwise is.
func TestTalosReady(t *testing.T) {
	w := newWorld(t, nil)
	w.maker.Links.Early = "talos.config.early=" + strings.Repeat("A", 700)
	ready := func() (string, string) {
		t.Helper()
		reason, message, err := w.maker.Ready(t.Context(), w.server())
		if err != nil {
			t.Fatal(err)
		}
		return reason, message
	}
	w.args("talos.config={config}")
	w.base(talosBase(t))
	if reason, message := ready(); reason != reasons.ProofMissing || !strings.Contains(message, "cluster.x-k8s.io/cluster-name") || strings.Contains(message, canary) {
		t.Errorf("without credentials: %s %s", reason, message)
	}
	w.base(talostest.NewCluster(t, epoch).ControlPlane())
	if reason, message := ready(); reason != "" {
		t.Errorf("control: %s %s", reason, message)
	}
	long := []string{strings.Repeat("a", 500), strings.Repeat("b", 500), strings.Repeat("c", 400)}
	w.args(append(long, "talos.config={config}")...)
	if reason, message := ready(); reason != reasons.EnvironmentUnsupported || !strings.Contains(message, "719 of it let Talos trust Ingot") {
		t.Errorf("a long line: %s %s", reason, message)
	}
	w.args(append(long, "ingot.config={config}")...)
	if reason, message := ready(); reason != "" {
		t.Errorf("control: the same line of another system: %s %s", reason, message)
	}
}
