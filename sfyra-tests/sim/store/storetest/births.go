package storetest

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

var births = []behaviour{
	{"a new object gets uid, time, version and generation, and loses its status", func(w *world) {
		s := w.server("a")
		s.UID, s.Generation, s.CreationTimestamp = "mine", 7, metav1.NewTime(odd)
		s.Status.State = metal.StateRunning
		w.create(s)
		if s.UID == "" || s.UID == "mine" || s.ResourceVersion == "" || s.Generation != 1 || s.CreationTimestamp.IsZero() || s.CreationTimestamp.Time.Equal(odd) {
			w.Errorf("metadata %+v", s.ObjectMeta)
		}
		if got := reload(w, s); got.Status.State != "" || got.UID != s.UID || got.CreationTimestamp.Nanosecond() != 0 {
			w.Errorf("stored %+v %+v", got.ObjectMeta, got.Status)
		}
	}},
	{"a name is taken once", func(w *world) {
		w.create(w.server("a"))
		w.refused(w.Ingot.Create(w.Context(), w.server("a")), metav1.StatusReasonAlreadyExists)
	}},
	{"what is wrong is said before that the name is taken", func(w *world) {
		w.create(w.server("a"))
		bad := w.server("a")
		bad.Spec.BootMode = "Telepathy"
		w.refused(w.Ingot.Create(w.Context(), bad), metav1.StatusReasonInvalid)
	}},
	{"a new object has no version", func(w *world) {
		s := w.server("a")
		s.ResourceVersion = "1"
		if err := w.Ingot.Create(w.Context(), s); err == nil {
			w.Error("it was created")
		}
	}},
	{"a name may be generated", func(w *world) {
		a, b := w.server("x"), w.server("x")
		a.Name, a.GenerateName, b.Name, b.GenerateName = "", w.name("g-"), "", w.name("g-")
		w.create(a, b)
		if a.Name == b.Name || !strings.HasPrefix(a.Name, w.name("g-")) {
			w.Errorf("names %q and %q", a.Name, b.Name)
		}
		none := w.server("x")
		none.Name = ""
		w.refused(w.Ingot.Create(w.Context(), none), metav1.StatusReasonInvalid)
	}},
	{"absent fields get their defaults", func(w *world) {
		s := w.server("a")
		s.Spec.BMC = &metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "bmc"}
		c := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: w.name("c")}}
		w.create(s, c)
		if got := reload(w, s); got.Spec.BMC.Protocol != metal.BMCAuto || s.Spec.BMC.Protocol != metal.BMCAuto {
			w.Errorf("protocol %q", got.Spec.BMC.Protocol)
		}
		if got := reload(w, c).Spec; got.MinimumTrust != 1 || got.WipeLevel != metal.WipeClear || got.IdlePolicy != metal.IdleOff {
			w.Errorf("class %+v", got)
		}
	}},
	{"times are kept in whole seconds or microseconds, empty lists are absent", timesAreCut},
	{"a secret takes strings and has a type and no generation", func(w *world) {
		s := w.secret("s")
		s.StringData = map[string]string{"b": "2"}
		w.create(s)
		got := reload(w, s)
		if string(got.Data["a"]) != "1" || string(got.Data["b"]) != "2" || got.StringData != nil || got.Type != corev1.SecretTypeOpaque || got.Generation != 0 {
			w.Errorf("%+v", got)
		}
	}},
	{"a namespaced object needs a namespace", func(w *world) {
		m := w.configMap("", "m")
		if err := w.Ingot.Create(w.Context(), m); err == nil {
			w.Error("it was created")
		}
		if err := w.Ingot.Delete(w.Context(), m); err == nil {
			w.Error("it was deleted")
		}
	}},
}

func timesAreCut(w *world) {
	s := w.server("a")
	s.Spec.PowerRequest = &metal.PowerRequest{ID: "p", Action: metal.PowerActionOn, RequestedAt: metav1.NewTime(odd)}
	s.Spec.Patches, s.Labels["empty"] = []string{}, ""
	s.Spec.Record = &metal.ServerRecord{Acceptance: &metal.AcceptanceRecord{At: metav1.NewTime(odd), Disks: []metal.DiskID{}}}
	w.create(s)
	s = reload(w, s)
	if at := s.Spec.PowerRequest.RequestedAt; !at.Time.Equal(odd.Truncate(time.Second)) || at.Location() != time.Local {
		w.Errorf("requested at %v", at)
	}
	if s.Spec.Patches != nil || s.Spec.Record.Acceptance.Disks != nil || s.Finalizers != nil {
		w.Errorf("empty lists %#v %#v %#v", s.Spec.Patches, s.Spec.Record.Acceptance.Disks, s.Finalizers)
	}
	s.Status.Boots = []metal.BootTimeline{{ID: "b", Stages: []metal.BootStage{{Stage: "DHCP", At: metav1.NewMicroTime(odd)}}}}
	s.Status.Power = &metal.PowerStatus{State: metal.PowerOn, ObservedAt: &metav1.Time{}}
	w.ok(w.Ingot.Status().Update(w.Context(), s))
	s = reload(w, s)
	if at := s.Status.Boots[0].Stages[0].At; !at.Time.Equal(odd.Truncate(time.Microsecond)) {
		w.Errorf("stage at %v", at)
	}
	if s.Status.Power.ObservedAt != nil {
		w.Errorf("a pointer to no time stays: %v", s.Status.Power.ObservedAt)
	}
}
