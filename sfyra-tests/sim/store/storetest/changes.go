package storetest

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

var changes = []behaviour{
	{"nothing is found that is not there", func(w *world) {
		s := w.server("a")
		w.refused(w.Ingot.Get(w.Context(), client.ObjectKeyFromObject(s), s), metav1.StatusReasonNotFound)
		w.refused(w.Ingot.Delete(w.Context(), s), metav1.StatusReasonNotFound)
		w.refused(w.Ingot.Patch(w.Context(), s, client.MergeFrom(w.server("a"))), metav1.StatusReasonNotFound)
		w.refused(w.Ingot.Status().Patch(w.Context(), s, client.MergeFrom(w.server("a"))), metav1.StatusReasonNotFound)
		s.ResourceVersion = "1"
		w.refused(w.Ingot.Update(w.Context(), s), metav1.StatusReasonNotFound)
	}},
	{"versions grow, generations with the spec only, and no change is none", func(w *world) {
		s := w.server("a")
		w.create(s)
		step := func(what string, version bool, generation int64, change func(*metal.Server)) {
			before := s.ResourceVersion
			change(s)
			w.ok(w.Ingot.Update(w.Context(), s))
			if (s.ResourceVersion != before) != version || s.Generation != generation {
				w.Errorf("%s: version %s after %s, generation %d", what, s.ResourceVersion, before, s.Generation)
			}
		}
		step("nothing", false, 1, func(*metal.Server) {})
		step("label", true, 1, func(s *metal.Server) { s.Labels["a"] = "b" })
		step("spec", true, 2, func(s *metal.Server) { s.Spec.Accepted = true })
		step("same spec", false, 2, func(s *metal.Server) { s.Spec.Patches = []string{} })
		step("fake generation", false, 2, func(s *metal.Server) { s.Generation = 9 })
		step("fake creation", false, 2, func(s *metal.Server) { s.CreationTimestamp = metav1.NewTime(odd) })
		step("pointer to nothing", true, 3, func(s *metal.Server) { s.Spec.Location = &metal.Location{} })
	}},
	{"a stale update is a conflict", func(w *world) {
		s := w.server("a")
		w.create(s)
		stale := s.DeepCopy()
		s.Spec.Accepted = true
		w.ok(w.Ingot.Update(w.Context(), s))
		stale.Spec.Cordoned = true
		w.refused(w.Ingot.Update(w.Context(), stale), metav1.StatusReasonConflict)
		if got := reload(w, s); got.Spec.Cordoned || !got.Spec.Accepted {
			w.Errorf("stored %+v", got.Spec)
		}
	}},
	{"a conflict is said before what is wrong", func(w *world) {
		s := w.server("a")
		w.create(s)
		s.ResourceVersion, s.Spec.BootMode = "999999999", "Telepathy"
		w.refused(w.Ingot.Update(w.Context(), s), metav1.StatusReasonConflict)
	}},
	{"an update without a version is for built-in kinds", func(w *world) {
		s, m := w.server("a"), w.configMap(w.Namespaces[0], "m")
		w.create(s, m)
		s.ResourceVersion, m.ResourceVersion, m.Data["a"] = "", "", "2"
		w.refused(w.Ingot.Update(w.Context(), s), metav1.StatusReasonInvalid)
		w.refused(w.Ingot.Status().Update(w.Context(), s), metav1.StatusReasonInvalid)
		w.ok(w.Ingot.Update(w.Context(), m))
		if reload(w, m).Data["a"] != "2" {
			w.Error("the ConfigMap is as before")
		}
	}},
	{"another uid is another object", func(w *world) {
		s := w.server("a")
		w.create(s)
		s.UID = types.UID("00000000-0000-4000-8000-ffffffffffff")
		w.refused(w.Ingot.Update(w.Context(), s), metav1.StatusReasonConflict)
		s.UID = ""
		w.ok(w.Ingot.Update(w.Context(), s))
	}},
	{"a deletion cannot be written", func(w *world) {
		s := w.server("a")
		w.create(s)
		now := metav1.NewTime(odd)
		s.DeletionTimestamp = &now
		err := w.Ingot.Update(w.Context(), s)
		if got := reload(w, s); got.DeletionTimestamp != nil {
			w.Errorf("it is being deleted (%v)", err)
		}
	}},
	{"secrets keep their type, immutable ones everything", func(w *world) {
		s := w.secret("s")
		w.create(s)
		typed := s.DeepCopy()
		typed.Type = "example.org/other"
		w.refused(w.Ingot.Update(w.Context(), typed), metav1.StatusReasonInvalid)
		yes := true
		s.Immutable = &yes
		w.ok(w.Ingot.Update(w.Context(), s))
		s.Data["a"] = []byte("2")
		w.refused(w.Ingot.Update(w.Context(), s), metav1.StatusReasonInvalid)
	}},
}
