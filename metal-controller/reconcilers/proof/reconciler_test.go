package proof_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

const disk = "talos.platform=metal"

// TestStory: a machine installs, boots its disk and runs; each step is recorded when it is proven and not before, and then it is asked once in a minute.
func TestStory(t *testing.T) {
	w := newWorld(t, nil)
	w.ask()
	if got := w.proven(); got != "" || w.questions() != 1 {
		t.Fatalf("one that installs is %q after %d questions", got, w.questions())
	}
	w.says(booting, true, disk)
	w.ask()
	s := w.server()
	i := s.Spec.Record.Installed
	if w.proven() != "installed" || i.BootID != "boot1" || i.BindingID != "bind1" || i.Config == nil || i.Config.Source != "127.0.0.1" || s.Spec.Record.Boot.Phase != metal.BootVoid {
		t.Fatalf("one that boots its disk: %+v, boot %+v", i, s.Spec.Record.Boot)
	}
	if alive := w.sightings.Alive(w.name); !alive.IsZero() {
		t.Errorf("one that does not run yet was heard at %s", alive)
	}
	w.says(running, true, disk)
	w.ask()
	if i = w.server().Spec.Record.Installed; w.proven() != "running" || i.EverySeconds != 60 || !i.RunningAt.Time.Equal(w.clock().Truncate(time.Second)) {
		t.Fatalf("one that runs: %+v", i)
	}
	if !w.sightings.Alive(w.name).Equal(w.clock()) {
		t.Errorf("it was heard at %s, and it is %s", w.sightings.Alive(w.name), w.clock())
	}
	stages := ""
	for _, stage := range w.sightings.Boots(w.name)[0].Stages {
		stages += stage.Stage + " "
	}
	if stages != metal.StageInstalled+" "+metal.StageRunning+" " {
		t.Errorf("the timeline of its boot is %s", stages)
	}
	if told := w.told(); len(told) != 0 {
		t.Errorf("people were told %v", told)
	}
	calm(t, w)
}

// calm: it is asked once in a minute, and one that falls silent is not heard.
func calm(t *testing.T, w *world) {
	t.Helper()
	if p := w.pause(); p != time.Minute {
		t.Errorf("it is asked again in %s", p)
	}
	version := w.server().ResourceVersion
	w.wait(time.Minute)
	if w.reconcile(); !w.sightings.Alive(w.name).Equal(w.clock()) {
		t.Error("it answered, and was not heard")
	}
	if w.server().ResourceVersion != version {
		t.Error("a word that says nothing new was written")
	}
	heard := w.clock()
	w.machine.Stop()
	w.wait(time.Minute)
	if after := w.reconcile(); !w.sightings.Alive(w.name).Equal(heard) || after != time.Minute {
		t.Errorf("one that is gone was heard, or is asked again in %s", after)
	}
	if told := w.told(); len(told) != 0 {
		t.Errorf("silence of a minute was told: %v", told)
	}
}

// TestNotProven: what does not prove it records nothing; in the same world, the right answer then does.
func TestNotProven(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"another machine of the cluster": {func(w *world) {
			w.machine.Set(func(s *talostest.State) { s.UUID = strings.Replace(uuid, "6", "7", 1) })
		}, ""},
		"from memory":                 {func(w *world) { w.says(running, false, "ingot.boot=boot1") }, ""},
		"installing to the disk":      {func(w *world) { w.says(installing, true, "ingot.boot=boot1") }, ""},
		"installed, from the network": {func(w *world) { w.says(running, true, "ingot.boot=boot1") }, "installed"},
		"junk":                        {func(w *world) { w.machine.Set(func(s *talostest.State) { s.Raw = []byte{0xff} }) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.says(running, true, disk)
			c.spoil(w)
			w.ask()
			if got := w.proven(); got != c.want || !w.sightings.Alive(w.name).IsZero() {
				t.Errorf("it is %q, want %q", got, c.want)
			}
			w.machine.Set(func(s *talostest.State) { s.UUID, s.Raw = uuid, nil })
			w.says(running, true, disk)
			if w.ask(); w.proven() != "running" {
				t.Errorf("control: it is %q", w.proven())
			}
		})
	}
}

// TestTrust: another authority, or a certificate for another address, records nothing.
func TestTrust(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"another cluster's machine": func(w *world) {
			w.machine = talostest.NewCluster(w.t, epoch).Listen(w.t, "127.0.0.1:0", talostest.State{UUID: uuid, OnDisk: true, Stage: running})
		},
		"a machine of another address": func(w *world) {
			w.machine = w.cluster.Listen(w.t, "127.0.0.1:0", talostest.State{UUID: uuid, OnDisk: true, Stage: running}, net.ParseIP("192.0.2.9"))
		},
	} {
		w := newWorld(t, nil)
		right := w.machine
		spoil(w)
		w.proof = w.leader()
		w.reconcile()
		if w.proven() != "" || w.questions() != 0 {
			t.Errorf("%s: %q after %d questions", name, w.proven(), w.questions())
		}
		w.machine = right
		w.proof = w.leader()
		w.says(running, true, disk)
		if w.reconcile(); w.proven() != "running" {
			t.Errorf("%s: control: it is %q", name, w.proven())
		}
	}
}

// TestOvertaken: an answer counts for the boot and binding that it was asked for; what came meanwhile is not proven by it.
func TestOvertaken(t *testing.T) {
	for name, change := range map[string]func(*metal.ServerRecord){
		"released": func(r *metal.ServerRecord) {
			r.Release = &metal.ReleaseRecord{BindingID: "bind1", At: metav1.NewTime(epoch)}
		},
		"another binding": func(r *metal.ServerRecord) { r.Claim.BindingID, r.Boot.BindingID = "bind2", "bind2" },
		"another boot":    func(r *metal.ServerRecord) { r.Boot.ID = "boot2" },
		"another address": func(r *metal.ServerRecord) { r.Boot.Config.Source = "127.0.0.9" },
		"a void boot":     func(r *metal.ServerRecord) { r.Boot.Phase = metal.BootVoid },
		"another owner":   func(r *metal.ServerRecord) { r.ManagedBy.Installation = strings.Repeat("f", 32) },
		"nothing":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.says(running, true, disk)
			w.machine.Set(func(s *talostest.State) {
				s.Before = func(_ context.Context, asked string) error {
					if asked == "MachineStatuses.runtime.talos.dev" && change != nil {
						w.edit(change)
					}
					return nil
				}
			})
			w.reconcile()
			if got, want := w.proven(), map[bool]string{true: "", false: "running"}[change != nil]; got != want || w.questions() != 1 {
				t.Errorf("it is %q after %d questions, want %q", got, w.questions(), want)
			}
		})
	}
}

// TestCredentials: they come from the cluster's Secret, or from the config of a control plane; without either a person is told what to do, before a boot too.
func TestCredentials(t *testing.T) {
	plane := func(w *world, s *setting) { s.config = w.cluster.ControlPlane() }
	for name, c := range map[string]struct {
		change func(*world, *setting)
		want   string // proven
		says   string // to people
	}{
		"the cluster's":     {nil, "running", ""},
		"a control plane's": {func(w *world, s *setting) { plane(w, s); s.label, s.talosconfig = "", "" }, "running", ""},
		"a control plane's, before the cluster has a Secret": {func(w *world, s *setting) { plane(w, s); s.talosconfig = "" }, "running", ""},
		"no label":     {func(_ *world, s *setting) { s.label = "" }, "", "has no label cluster.x-k8s.io/cluster-name"},
		"no Secret":    {func(_ *world, s *setting) { s.talosconfig = "" }, "", "c1-talosconfig"},
		"a bad Secret": {func(_ *world, s *setting) { s.talosconfig = "canary: [" }, "", "mend the Secret"},
		"an empty one": {func(_ *world, s *setting) { s.talosconfig = " " }, "", "has no key talosconfig"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			w.says(running, true, disk)
			w.reconcile()
			w.ask()
			reason, message, err := w.maker.Ready(t.Context(), w.server())
			if err != nil || w.proven() != c.want {
				t.Fatalf("it is %q (%v)", w.proven(), err)
			}
			told := w.told()
			if c.says == "" {
				if len(told) != 0 || reason != "" {
					t.Errorf("told %v, not ready: %s %s", told, reason, message)
				}
				return
			}
			if len(told) != 1 || !strings.HasPrefix(told[0], reasons.ProofMissing+" ") || !strings.Contains(told[0], c.says) || reason != reasons.ProofMissing || !strings.Contains(told[0], message) {
				t.Errorf("told %q, not ready: %s %q", told, reason, message)
			}
			if strings.Contains(message, "canary") || w.questions() != 0 {
				t.Errorf("%d questions; %q", w.questions(), message)
			}
		})
	}
}

// TestWhoIsAsked: only a Talos is asked, and only for a boot or an installation that counts.
func TestWhoIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world, *setting)
		edit   func(*metal.ServerRecord)
		asked  int
	}{
		"a Talos":                {nil, func(*metal.ServerRecord) {}, 1},
		"another system":         {func(_ *world, s *setting) { s.args = []string{"console=ttyS0"} }, func(*metal.ServerRecord) {}, 0},
		"before its config left": {nil, func(r *metal.ServerRecord) { r.Boot.Config, r.Claim.ConfigAt = nil, nil }, 0},
		"too late":               {nil, func(r *metal.ServerRecord) { r.Boot.Deadline = metav1.NewTime(epoch.Add(-time.Second)) }, 0},
		"a backup's": {nil, func(r *metal.ServerRecord) {
			r.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: metav1.NewTime(epoch)}
		}, 0},
		"an agent's": {nil, func(r *metal.ServerRecord) { r.Boot.Target = metal.BootTargetAgent }, 0},
		"another's":  {nil, func(r *metal.ServerRecord) { r.ManagedBy.Installation = strings.Repeat("f", 32) }, 0},
		"no address": {nil, func(r *metal.ServerRecord) { r.Boot.Config.Source = "nowhere" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			w.edit(c.edit)
			w.reconcile()
			if w.questions() != c.asked {
				t.Errorf("%d questions, want %d", w.questions(), c.asked)
			}
		})
	}
}

// TestPeopleHear: what goes on for ten minutes is told once, and again when it is something else; and a Server that is gone is forgotten.
func TestPeopleHear(t *testing.T) {
	w := newWorld(t, nil)
	w.says(running, true, "ingot.boot=boot1")
	for began := w.clock(); w.clock().Sub(began) < 9*time.Minute; {
		w.ask()
	}
	if told := w.told(); len(told) != 0 {
		t.Fatalf("too early: %v", told)
	}
	for began := w.clock(); w.clock().Sub(began) < 5*time.Minute; {
		w.ask()
	}
	if told := w.told(); len(told) != 1 || !strings.HasPrefix(told[0], reasons.ProofRefused+" ") || !strings.Contains(told[0], "restart the machine") {
		t.Errorf("told %q", told)
	}
	w.machine.Set(func(s *talostest.State) { s.UUID = strings.Replace(uuid, "6", "7", 1) })
	w.ask()
	if told := w.told(); len(told) != 2 || !strings.Contains(told[1], "another machine") {
		t.Errorf("told %q", told)
	}
	if err := w.admin.Delete(t.Context(), w.claim); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	w.edit(func(r *metal.ServerRecord) { r.Claim, r.Boot, r.Installed = nil, nil, nil })
	if after := w.reconcile(); after != 0 {
		t.Errorf("a Server without a claim is looked at in %s", after)
	}
}
