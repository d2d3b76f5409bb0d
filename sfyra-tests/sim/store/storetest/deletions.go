package storetest

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

const finalizer = "metal.ingot.dev/test"

var deletions = []behaviour{
	{"what nothing holds goes at once", func(w *world) {
		s := w.server("a")
		w.create(s)
		w.ok(w.Admin.Delete(w.Context(), s))
		if !w.gone(s) {
			w.Error("it is still there")
		}
		w.create(w.server("a"))
		if again := reload(w, s); again.UID == s.UID {
			w.Error("another object has the same uid")
		}
	}},
	{"a finalizer holds, and the last one lets go", func(w *world) {
		s := w.server("a")
		s.Finalizers = []string{finalizer, finalizer + "2"}
		w.create(s)
		w.ok(w.Admin.Delete(w.Context(), s))
		got := reload(w, s)
		if got.DeletionTimestamp == nil || got.DeletionTimestamp.Nanosecond() != 0 || got.Generation != 2 || got.DeletionGracePeriodSeconds == nil || got.ResourceVersion == s.ResourceVersion {
			w.Fatalf("metadata %+v", got.ObjectMeta)
		}
		w.ok(w.Admin.Delete(w.Context(), s))
		if again := reload(w, s); again.ResourceVersion != got.ResourceVersion {
			w.Error("a second delete changed it")
		}
		got.Spec.Cordoned, got.Finalizers = true, []string{finalizer}
		w.ok(w.Ingot.Update(w.Context(), got))
		got.Status.State = metal.StateReleasing
		w.ok(w.Ingot.Status().Update(w.Context(), got))
		if got.Generation != 3 {
			w.Errorf("generation %d", got.Generation)
		}
		before := got.DeepCopy()
		got.Finalizers = nil
		w.ok(w.Ingot.Patch(w.Context(), got, locked(before)))
		if !w.gone(s) {
			w.Error("it is still there")
		}
	}},
	{"an update lets go too", func(w *world) {
		m := w.configMap(w.Namespaces[0], "m")
		m.Finalizers = []string{finalizer}
		w.create(m)
		w.ok(w.Admin.Delete(w.Context(), m))
		m = reload(w, m)
		m.Finalizers = []string{}
		w.ok(w.Ingot.Update(w.Context(), m))
		if !w.gone(m) {
			w.Error("it is still there")
		}
	}},
	{"no finalizer comes while it is being deleted", func(w *world) {
		s := w.server("a")
		s.Finalizers = []string{finalizer}
		w.create(s)
		w.ok(w.Admin.Delete(w.Context(), s))
		s = reload(w, s)
		s.Finalizers = append(s.Finalizers, finalizer+"2")
		w.refused(w.Ingot.Update(w.Context(), s), metav1.StatusReasonInvalid)
		s = reload(w, s)
		s.DeletionTimestamp = nil
		w.ok(w.Ingot.Update(w.Context(), s))
		if reload(w, s).DeletionTimestamp == nil {
			w.Error("the deletion was taken back")
		}
	}},
	{"a precondition is kept", func(w *world) {
		s := w.server("a")
		w.create(s)
		old := s.ResourceVersion
		s.Spec.Accepted = true
		w.ok(w.Ingot.Update(w.Context(), s))
		uid := types.UID("00000000-0000-4000-8000-ffffffffffff")
		w.refused(w.Ingot.Delete(w.Context(), s, client.Preconditions{UID: &uid}), metav1.StatusReasonConflict)
		w.refused(w.Ingot.Delete(w.Context(), s, client.Preconditions{ResourceVersion: &old}), metav1.StatusReasonConflict)
		w.ok(w.Ingot.Delete(w.Context(), s, client.Preconditions{UID: &s.UID, ResourceVersion: &s.ResourceVersion}))
		if !w.gone(s) {
			w.Error("it is still there")
		}
	}},
	{"a client deletes all of a kind by labels", func(w *world) {
		a, b := w.configMap(w.Namespaces[0], "a"), w.configMap(w.Namespaces[0], "b")
		other := w.configMap(w.Namespaces[1], "a")
		w.create(a, b, other)
		w.ok(w.Ingot.DeleteAllOf(w.Context(), a, client.InNamespace(w.Namespaces[0]), client.MatchingLabels{"app": "a"}))
		if !w.gone(a) || w.gone(b) || w.gone(other) {
			w.Error("the wrong ones went")
		}
	}},
	{"what is owned goes with the last of its owners", func(w *world) {
		a, b := w.server("a"), w.server("b")
		w.create(a, b)
		both, held := w.inventory("both"), w.inventory("held")
		both.OwnerReferences = []metav1.OwnerReference{ownedBy(a), ownedBy(b)}
		held.OwnerReferences, held.Finalizers = []metav1.OwnerReference{ownedBy(a)}, []string{finalizer}
		m := w.configMap(w.Namespaces[0], "m")
		m.OwnerReferences = []metav1.OwnerReference{ownedBy(a)}
		w.create(both, held, m)
		w.ok(w.Admin.Delete(w.Context(), a))
		w.eventually("what a owned alone goes, or is marked", func() bool { return w.gone(m) && reload(w, held).DeletionTimestamp != nil })
		if w.gone(both) {
			w.Error("an object with an owner went")
		}
		held = reload(w, held)
		held.Finalizers = nil
		w.ok(w.Ingot.Update(w.Context(), held))
		w.ok(w.Admin.Delete(w.Context(), b))
		w.eventually("the last owner takes it along", func() bool { return w.gone(both) })
	}},
	{"an owner that was made anew is another", func(w *world) {
		a := w.server("a")
		w.create(a)
		i := w.inventory("a")
		i.OwnerReferences = []metav1.OwnerReference{ownedBy(a)}
		i.OwnerReferences[0].UID = "00000000-0000-4000-8000-eeeeeeeeeeee"
		w.create(i)
		w.eventually("the inventory of another goes", func() bool { return w.gone(i) })
		if w.gone(a) {
			w.Error("the owner went")
		}
	}},
}

func ownedBy(s *metal.Server) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: metal.GroupVersion.String(), Kind: "Server", Name: s.Name, UID: s.UID}
}
