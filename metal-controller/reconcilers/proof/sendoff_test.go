package proof_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

// givenBack is a world whose Talos runs on a server without a BMC that is given back.
func givenBack(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, func(w *world, s *setting) { s.talosconfig = string(w.cluster.Talosconfig("os:admin")) })
	w.says(running, true, "")
	at := metav1.NewTime(epoch)
	w.edit(func(r *metal.ServerRecord) {
		r.Installed = &metal.InstalledRecord{BootID: "boot1", BindingID: "bind1", At: at, RunningAt: &at, Config: r.Boot.Config.DeepCopy()}
		r.Boot.Phase = metal.BootVoid
		r.Release = &metal.ReleaseRecord{Namespace: r.Claim.Namespace, Name: r.Claim.Name, BindingID: "bind1", At: at}
	})
	return w
}

// restarts is how often the machine was told to restart.
func (w *world) restarts() (n int) {
	asked, _ := w.machine.Asked()
	for _, a := range asked {
		if a == "Reboot" {
			n++
		}
	}
	return n
}

// TestSendOff: the Talos of a server without a BMC that is given back is told to restart its machine, and again only when nothing came of it for long.
func TestSendOff(t *testing.T) {
	w := givenBack(t)
	for range 3 {
		w.reconcile()
	}
	if n := w.restarts(); n != 1 {
		t.Fatalf("told %d times", n)
	}
	if !slices.ContainsFunc(w.told(), func(e string) bool { return strings.HasPrefix(e, reasons.Releasing+" ") }) {
		t.Errorf("people were told %q", w.told())
	}
	w.wait(10*time.Minute - time.Second)
	w.reconcile()
	if n := w.restarts(); n != 1 {
		t.Errorf("told %d times within ten minutes", n)
	}
	w.wait(time.Second)
	w.reconcile()
	if n := w.restarts(); n != 2 {
		t.Errorf("told %d times after ten minutes", n)
	}
	if r := w.server().Spec.Record; r.Release.OffAt != nil {
		t.Error("the order counted as a proof")
	}
}

// TestNoSendOff: nobody else's system is ever told so. The control is TestSendOff.
func TestNoSendOff(t *testing.T) {
	for name, change := range map[string]func(*metal.Server){
		"it is not given back":         func(s *metal.Server) { s.Spec.Record.Release = nil },
		"its BMC does it":              func(s *metal.Server) { s.Spec.BMC = &metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "bmc"} },
		"it is paused":                 func(s *metal.Server) { s.Annotations = map[string]string{lifecycle.PausedAnnotation: ""} },
		"it is proven to have stopped": func(s *metal.Server) { s.Spec.Record.Release.OffAt = &s.Spec.Record.Release.At },
		"an agent runs there": func(s *metal.Server) {
			s.Spec.Record.Agent = &metal.AgentRecord{BootID: "b", Key: "k", HeardAt: metav1.NewTime(epoch)}
		},
		"another binding": func(s *metal.Server) { s.Spec.Record.Release.BindingID = "bind0" },
		"the release is of a backup": func(s *metal.Server) {
			s.Spec.Record.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: metav1.NewTime(epoch.Add(time.Hour))}
		},
	} {
		w := givenBack(t)
		s := w.server()
		change(s)
		if err := w.ingot.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Hour)
		w.reconcile()
		if n := w.restarts(); n != 0 {
			t.Errorf("%s: told %d times", name, n)
		}
	}
	w := givenBack(t)
	w.machine.Set(func(s *talostest.State) { s.UUID = strings.Replace(uuid, "6", "7", 1) })
	w.reconcile()
	if n := w.restarts(); n != 0 {
		t.Errorf("another machine was told %d times", n)
	}
}
