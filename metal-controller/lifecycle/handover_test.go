package lifecycle_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// What the stories of a hand-over are about.
var (
	handoverNow    = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	sumA, sumB     = strings.Repeat("a", 64), strings.Repeat("b", 64)
	machineAddress = "192.0.2.7"
)

// bootingOS is a server whose operating system boots for a complete binding.
func bootingOS(change func(*metal.ServerRecord)) *metal.Server {
	at := metav1.NewTime(handoverNow.Add(-time.Minute))
	r := &metal.ServerRecord{
		Claim: &metal.ClaimRecord{Namespace: "team", Name: "web", BindingID: "bind1", Environment: "env", At: at, BoundAt: &at},
		Boot: &metal.BootRecord{
			ID: "boot1", Phase: metal.BootBooting, Target: metal.BootTargetOS, BindingID: "bind1", StartedAt: at, At: at, Deadline: metav1.NewTime(handoverNow.Add(time.Hour)),
		},
	}
	if change != nil {
		change(r)
	}
	return &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "rack1-01"}, Spec: metal.ServerSpec{Record: r}}
}

// closings are all that keeps a config from leaving; the first is the control.
var closings = []struct {
	name   string
	change func(*metal.ServerRecord)
	// signal is whether the boot can still tell that it installed the system, once its config left.
	signal bool
}{
	{"nothing", nil, true},
	{"no boot", func(r *metal.ServerRecord) { r.Boot = nil }, false},
	{"another boot", func(r *metal.ServerRecord) { r.Boot.ID = "boot2" }, false},
	{"a boot of the agent", func(r *metal.ServerRecord) { r.Boot.Target = metal.BootTargetAgent }, false},
	{"a boot without target", func(r *metal.ServerRecord) { r.Boot.Target = "" }, false},
	{"off is not read back", func(r *metal.ServerRecord) { r.Boot.Phase = metal.BootSwitchingOff }, false},
	{"on is not read back", func(r *metal.ServerRecord) { r.Boot.Phase = metal.BootSwitchingOn }, false},
	{"an agent claimed it", func(r *metal.ServerRecord) { r.Boot.Phase = metal.BootClaimed }, false},
	{"it is void", func(r *metal.ServerRecord) { r.Boot.Phase = metal.BootVoid }, false},
	{"it is late", func(r *metal.ServerRecord) { r.Boot.Deadline = metav1.NewTime(handoverNow.Add(-time.Second)) }, false},
	{"a boot of another binding", func(r *metal.ServerRecord) { r.Boot.BindingID = "bind0" }, false},
	{"bindings without an id", func(r *metal.ServerRecord) { r.Boot.BindingID, r.Claim.BindingID = "", "" }, false},
	{"no claim", func(r *metal.ServerRecord) { r.Claim = nil }, false},
	{"one side of the binding", func(r *metal.ServerRecord) { r.Claim.BoundAt = nil }, false},
	{"a release", func(r *metal.ServerRecord) { r.Release = &metal.ReleaseRecord{BindingID: "bind1"} }, false},
	{"a backup", func(r *metal.ServerRecord) { r.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored} }, false},
	{"a quarantine", func(r *metal.ServerRecord) {
		r.Quarantine = &metal.QuarantineRecord{Reason: reasons.QuarantineByPerson}
	}, true},
}

// TestConfigWindow: each single thing that closes the window closes it, before the first release and after it.
func TestConfigWindow(t *testing.T) {
	for i, c := range closings {
		for _, released := range []bool{false, true} {
			s := bootingOS(c.change)
			if released && s.Spec.Record.Boot != nil {
				s.Spec.Record.Boot.Config = &metal.ConfigRelease{SHA256: sumA, Source: machineAddress}
			}
			record, verdict := lifecycle.ReleaseConfig(s, "boot1", sumA, machineAddress, handoverNow)
			want := lifecycle.VerdictRefused
			switch {
			case i == 0 && released:
				want = lifecycle.VerdictAgain
			case i == 0:
				want = lifecycle.VerdictFirst
			}
			if verdict != want || (record != nil) != (want == lifecycle.VerdictFirst) || lifecycle.ConfigOpen(s, "boot1", handoverNow) != (i == 0) {
				t.Errorf("%s, released before: %v: %s, record %v", c.name, released, verdict, record != nil)
			}
			record, verdict = lifecycle.TakeSignal(s, "bind1", lifecycle.Signal{Phase: lifecycle.PhaseInstalled, BootID: "boot1"}, handoverNow)
			if ok := c.signal && released; (verdict == lifecycle.VerdictFirst) != ok || (record != nil) != ok {
				t.Errorf("%s, released before: %v: installed is %s", c.name, released, verdict)
			}
		}
	}
	if lifecycle.ConfigOpen(&metal.Server{}, "boot1", handoverNow) || lifecycle.ConfigOpen(bootingOS(func(r *metal.ServerRecord) { r.Boot.ID = "" }), "", handoverNow) {
		t.Error("it is open for a server without a record, or without an id")
	}
}

// TestReleaseConfig: one address gets one file; everything else makes the boot void or is refused.
func TestReleaseConfig(t *testing.T) {
	for name, c := range map[string]struct {
		sum, source string
		want        lifecycle.Verdict
	}{
		"control: the same again":          {sumA, machineAddress, lifecycle.VerdictAgain},
		"the same address, mapped to IPv6": {sumA, "::ffff:" + machineAddress, lifecycle.VerdictAgain},
		"another address":                  {sumA, "192.0.2.8", lifecycle.VerdictContested},
		"another address and other bytes":  {sumB, "192.0.2.8", lifecycle.VerdictContested},
		"other bytes":                      {sumB, machineAddress, lifecycle.VerdictChanged},
		"no digest":                        {"", machineAddress, lifecycle.VerdictRefused},
		"a digest in capitals":             {strings.ToUpper(sumA), machineAddress, lifecycle.VerdictRefused},
		"no address":                       {sumA, "", lifecycle.VerdictRefused},
		"an unknown address":               {sumA, "0.0.0.0", lifecycle.VerdictRefused},
		"a name":                           {sumA, "rack1-01", lifecycle.VerdictRefused},
	} {
		s := bootingOS(func(r *metal.ServerRecord) {
			r.Boot.Config = &metal.ConfigRelease{SHA256: sumA, Source: machineAddress}
		})
		record, verdict := lifecycle.ReleaseConfig(s, "boot1", c.sum, c.source, handoverNow)
		if verdict != c.want {
			t.Errorf("%s: %s, want %s", name, verdict, c.want)
		}
		void := c.want == lifecycle.VerdictContested || c.want == lifecycle.VerdictChanged
		if void != (record != nil) || void && (record.Boot.Phase != metal.BootVoid || record.Boot.Reason != string(c.want) || !record.Boot.At.Time.Equal(handoverNow)) {
			t.Errorf("%s: the record is %+v", name, record)
		}
	}
	record, _ := lifecycle.ReleaseConfig(bootingOS(nil), "boot1", sumA, "fe80::1%eth0", handoverNow.Add(time.Millisecond))
	if want := (metal.ConfigRelease{SHA256: sumA, Source: "fe80::1", At: metav1.NewTime(handoverNow)}); record == nil || *record.Boot.Config != want {
		t.Errorf("the first release is %+v", record)
	}
}

// TestInstalled: the signal ends the boot and leaves the machine to its disk; sent again it changes nothing.
func TestInstalled(t *testing.T) {
	release := metal.ConfigRelease{SHA256: sumA, Source: machineAddress, At: metav1.NewTime(handoverNow)}
	s := bootingOS(func(r *metal.ServerRecord) { r.Boot.Config = &release })
	told := lifecycle.Signal{Phase: lifecycle.PhaseInstalled, BootID: "boot1"}
	for _, binding := range []string{"", "bind0"} {
		if _, verdict := lifecycle.TakeSignal(s, binding, told, handoverNow); verdict != lifecycle.VerdictRefused {
			t.Errorf("binding %q: %s", binding, verdict)
		}
	}
	record, verdict := lifecycle.TakeSignal(s, "bind1", told, handoverNow)
	want := metal.InstalledRecord{BootID: "boot1", At: metav1.NewTime(handoverNow), BindingID: "bind1", Environment: "env", Config: &release}
	if verdict != lifecycle.VerdictFirst || !reflect.DeepEqual(*record.Installed, want) || record.Boot.Phase != metal.BootVoid || record.Boot.Reason != "" {
		t.Fatalf("control: %s, %+v, %+v", verdict, record.Installed, record.Boot)
	}
	s.Spec.Record = record
	if again, verdict := lifecycle.TakeSignal(s, "bind1", told, handoverNow.Add(time.Hour)); again != nil || verdict != lifecycle.VerdictAgain {
		t.Errorf("again: %s", verdict)
	}
	if _, verdict := lifecycle.ReleaseConfig(s, "boot1", sumA, machineAddress, handoverNow); verdict != lifecycle.VerdictRefused {
		t.Errorf("the config after it was installed: %s", verdict)
	}
	for _, boot := range []string{"", "boot0"} {
		if _, verdict := lifecycle.TakeSignal(s, "bind1", lifecycle.Signal{Phase: lifecycle.PhaseInstalled, BootID: boot}, handoverNow); verdict != lifecycle.VerdictRefused {
			t.Errorf("boot %q: %s", boot, verdict)
		}
	}
}

// TestRunning: it counts for the system of this binding, and once.
func TestRunning(t *testing.T) {
	installed := func(change func(*metal.ServerRecord)) *metal.Server {
		return bootingOS(func(r *metal.ServerRecord) {
			r.Boot.Phase = metal.BootVoid
			r.Installed = &metal.InstalledRecord{BootID: "boot1", BindingID: "bind1"}
			if change != nil {
				change(r)
			}
		})
	}
	for name, c := range map[string]struct {
		server *metal.Server
		signal lifecycle.Signal
		want   lifecycle.Verdict
	}{
		"control":                   {installed(nil), lifecycle.Signal{Phase: "running", EverySeconds: 10}, lifecycle.VerdictFirst},
		"without a promise":         {installed(nil), lifecycle.Signal{Phase: "running"}, lifecycle.VerdictFirst},
		"before it is installed":    {bootingOS(nil), lifecycle.Signal{Phase: "running"}, lifecycle.VerdictRefused},
		"an earlier binding's disk": {installed(func(r *metal.ServerRecord) { r.Installed.BindingID = "bind0" }), lifecycle.Signal{Phase: "running"}, lifecycle.VerdictRefused},
		"released":                  {installed(func(r *metal.ServerRecord) { r.Release = &metal.ReleaseRecord{} }), lifecycle.Signal{Phase: "running"}, lifecycle.VerdictRefused},
		"a promise below zero":      {installed(nil), lifecycle.Signal{Phase: "running", EverySeconds: -1}, lifecycle.VerdictRefused},
		"a promise of two days":     {installed(nil), lifecycle.Signal{Phase: "running", EverySeconds: 172800}, lifecycle.VerdictRefused},
		"another phase":             {installed(nil), lifecycle.Signal{Phase: "Running"}, lifecycle.VerdictRefused},
		"no record":                 {&metal.Server{}, lifecycle.Signal{Phase: "running"}, lifecycle.VerdictRefused},
	} {
		record, verdict := lifecycle.TakeSignal(c.server, "bind1", c.signal, handoverNow)
		if verdict != c.want || (record != nil) != (c.want == lifecycle.VerdictFirst) {
			t.Errorf("%s: %s, want %s", name, verdict, c.want)
			continue
		}
		if record == nil {
			continue
		}
		if i := record.Installed; !i.RunningAt.Time.Equal(handoverNow) || i.EverySeconds != c.signal.EverySeconds {
			t.Errorf("%s: %+v", name, i)
		}
		c.server.Spec.Record = record
		if again, verdict := lifecycle.TakeSignal(c.server, "bind1", lifecycle.Signal{Phase: "running", EverySeconds: 99}, handoverNow.Add(time.Hour)); again != nil || verdict != lifecycle.VerdictAgain {
			t.Errorf("%s: later ones: %s", name, verdict)
		}
	}
}

// TestHandoverProperties plays random calls against one boot, with what can happen to it in between: bytes leave in the window only, once to one address, and
// never others than those that left first; what is judged is never changed.
func TestHandoverProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := bootingOS(nil)
		now, left := handoverNow, map[string]string{} // what left: boot → address and digest
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			boot := rapid.SampledFrom([]string{"boot1", "boot1", "boot2", ""}).Draw(t, "boot")
			before := s.DeepCopy()
			var record *metal.ServerRecord
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				sum, from := rapid.SampledFrom([]string{sumA, sumA, sumB, "x"}).Draw(t, "sum"), rapid.SampledFrom([]string{machineAddress, machineAddress, "192.0.2.8", "x"}).Draw(t, "from")
				var verdict lifecycle.Verdict
				record, verdict = lifecycle.ReleaseConfig(s, boot, sum, from, now)
				if verdict != lifecycle.VerdictFirst && verdict != lifecycle.VerdictAgain {
					break
				}
				r := s.Spec.Record
				if r.Boot.Phase != metal.BootBooting || now.After(r.Boot.Deadline.Time) || r.Release != nil || r.Quarantine != nil || r.Boot.ID != boot {
					t.Fatalf("bytes left outside of the window: %+v", r)
				}
				if was, again := left[boot]; again && was != from+sum {
					t.Fatalf("first %s left for %s, and now %s", was, boot, from+sum)
				}
				left[boot] = from + sum
			case 2:
				record, _ = lifecycle.TakeSignal(s, "bind1", lifecycle.Signal{Phase: lifecycle.PhaseInstalled, BootID: boot}, now)
				if _, had := left[boot]; record != nil && !had {
					t.Fatal("installed without a config")
				}
			case 3:
				record = lifecycle.VoidBoot(s, boot, reasons.BootVoided, now)
			case 4:
				record = s.Spec.Record.DeepCopy()
				rapid.SampledFrom([]func(){
					func() { record.Release = &metal.ReleaseRecord{} }, func() { record.Quarantine = &metal.QuarantineRecord{} }, func() { record.Quarantine = nil },
				}).Draw(t, "change")()
			}
			if !reflect.DeepEqual(before, s) {
				t.Fatal("what was judged was changed")
			}
			if record != nil {
				s.Spec.Record = record
			}
		}
	})
}
