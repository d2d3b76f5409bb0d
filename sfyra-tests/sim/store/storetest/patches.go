package storetest

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

func raw(text string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(text)) }

var patches = []behaviour{
	{"a locked patch of what was read is written, of what is stale a conflict", func(w *world) {
		s := w.server("a")
		w.create(s)
		stale, before := s.DeepCopy(), s.DeepCopy()
		s.Spec.Accepted = true
		w.ok(w.Ingot.Patch(w.Context(), s, locked(before)))
		if s.Generation != 2 || s.ResourceVersion == before.ResourceVersion || !reload(w, s).Spec.Accepted {
			w.Errorf("answer %+v", s.ObjectMeta)
		}
		before = stale.DeepCopy()
		stale.Spec.Cordoned = true
		w.refused(w.Ingot.Patch(w.Context(), stale, locked(before)), metav1.StatusReasonConflict)
		w.refused(w.Ingot.Patch(w.Context(), before.DeepCopy(), locked(before)), metav1.StatusReasonConflict)
	}},
	{"a patch without a lock changes only what it names", func(w *world) {
		s := w.server("a")
		w.create(s)
		stale := s.DeepCopy()
		s.Spec.Accepted = true
		w.ok(w.Ingot.Update(w.Context(), s))
		before := stale.DeepCopy()
		stale.Spec.Cordoned = true
		w.ok(w.Ingot.Patch(w.Context(), stale, client.MergeFrom(before)))
		if got := reload(w, s); !got.Spec.Accepted || !got.Spec.Cordoned || got.Generation != 3 {
			w.Errorf("stored %+v", got.Spec)
		}
	}},
	{"what was changed before the base was copied is not in the patch", func(w *world) {
		s := w.server("a")
		w.create(s)
		s.Spec.Accepted = true
		before := s.DeepCopy()
		s.Spec.Cordoned = true
		w.ok(w.Ingot.Patch(w.Context(), s, locked(before)))
		if got := reload(w, s); got.Spec.Accepted || !got.Spec.Cordoned {
			w.Errorf("stored %+v", got.Spec)
		}
	}},
	{"a patch of nothing changes nothing", func(w *world) {
		s := w.server("a")
		w.create(s)
		before := s.ResourceVersion
		w.ok(w.Ingot.Patch(w.Context(), s, client.MergeFrom(s.DeepCopy())))
		w.ok(w.Ingot.Patch(w.Context(), s, locked(s.DeepCopy())))
		w.ok(w.Ingot.Status().Patch(w.Context(), s, locked(s.DeepCopy())))
		if s.ResourceVersion != before || s.Generation != 1 {
			w.Errorf("version %s after %s", s.ResourceVersion, before)
		}
	}},
	{"a raw merge patch removes by null and replaces lists", func(w *world) {
		s := w.server("a")
		s.Spec.Patches, s.Spec.Location = []string{"a", "b"}, &metal.Location{Site: "x", Rack: "y"}
		w.create(s)
		w.ok(w.Ingot.Patch(w.Context(), s, raw(`{"metadata":{"labels":{"test":null,"n":"m"}},"spec":{"patches":["c"],"location":{"site":null,"unit":3},"accepted":true}}`)))
		got := reload(w, s)
		if len(got.Labels) != 1 || len(got.Spec.Patches) != 1 || *got.Spec.Location != (metal.Location{Rack: "y", Unit: 3}) || !got.Spec.Accepted {
			w.Errorf("stored %v %+v", got.Labels, got.Spec)
		}
		w.refused(w.Ingot.Patch(w.Context(), s, raw(`{"metadata":{"resourceVersion":"999999999"},"spec":{"accepted":false}}`)), metav1.StatusReasonConflict)
		if err := w.Ingot.Patch(w.Context(), s, raw(`{`)); err == nil {
			w.Error("half a patch was taken")
		}
	}},
	{"a lock needs a version", func(w *world) {
		s := w.server("a")
		w.create(s)
		before := s.DeepCopy()
		before.ResourceVersion = ""
		if err := w.Ingot.Patch(w.Context(), s, locked(before)); err == nil {
			w.Error("it was patched")
		}
	}},
	{"an answer replaces what the caller had", func(w *world) {
		s := w.server("a")
		w.create(s)
		before := s.DeepCopy()
		s.Spec.Accepted, s.Status.State = true, metal.StateRunning
		w.ok(w.Ingot.Patch(w.Context(), s, locked(before)))
		if s.Status.State != "" || s.Kind != "" {
			w.Errorf("kind %q, status %+v", s.Kind, s.Status)
		}
		s.Spec.Cordoned = true
		w.ok(w.Ingot.Get(w.Context(), client.ObjectKeyFromObject(s), s))
		if s.Spec.Cordoned || !s.Spec.Accepted {
			w.Errorf("read %+v", s.Spec)
		}
	}},
	{"a uid is not patched", func(w *world) {
		s := w.server("a")
		w.create(s)
		before := s.DeepCopy()
		s.UID = "other"
		w.refused(w.Ingot.Patch(w.Context(), s, client.MergeFrom(before)), metav1.StatusReasonInvalid, metav1.StatusReasonConflict)
	}},
	{"configmaps are patched", func(w *world) {
		m := w.configMap(w.Namespaces[0], "m")
		w.create(m)
		before := m.DeepCopy()
		delete(m.Data, "a")
		m.Data["b"], m.BinaryData = "2", map[string][]byte{"c": {0}}
		w.ok(w.Ingot.Patch(w.Context(), m, locked(before)))
		if got := reload(w, m); len(got.Data) != 1 || got.Data["b"] != "2" || len(got.BinaryData["c"]) != 1 || got.Generation != 0 {
			w.Errorf("%+v", got)
		}
	}},
}

var statuses = []behaviour{
	{"status and all else are written apart", func(w *world) {
		s := w.server("a")
		w.create(s)
		s.Spec.Accepted, s.Status.State = true, metal.StateWiping
		w.ok(w.Ingot.Update(w.Context(), s))
		if got := reload(w, s); got.Status.State != "" || !got.Spec.Accepted {
			w.Errorf("after the update %+v %+v", got.Spec, got.Status)
		}
		s = reload(w, s)
		s.Spec.Cordoned, s.Labels["a"], s.Status.State = true, "b", metal.StateWiping
		w.ok(w.Ingot.Status().Update(w.Context(), s))
		got := reload(w, s)
		if got.Status.State != metal.StateWiping || got.Spec.Cordoned || got.Labels["a"] != "" || got.Generation != 2 {
			w.Errorf("after the status update %+v %+v", got.Spec, got.Status)
		}
		before := got.DeepCopy()
		got.Spec.Cordoned, got.Status.State = true, metal.StateAvailable
		w.ok(w.Ingot.Status().Patch(w.Context(), got, locked(before)))
		if got = reload(w, s); got.Status.State != metal.StateAvailable || got.Spec.Cordoned {
			w.Errorf("after the status patch %+v %+v", got.Spec, got.Status)
		}
		before = got.DeepCopy()
		got.Spec.Cordoned, got.Status.State = true, metal.StateRunning
		w.ok(w.Ingot.Patch(w.Context(), got, locked(before)))
		if got = reload(w, s); got.Status.State != metal.StateAvailable || !got.Spec.Cordoned {
			w.Errorf("after the patch %+v %+v", got.Spec, got.Status)
		}
	}},
	{"a stale status is a conflict", func(w *world) {
		s := w.server("a")
		w.create(s)
		stale := s.DeepCopy()
		s.Spec.Accepted = true
		w.ok(w.Ingot.Update(w.Context(), s))
		before := stale.DeepCopy()
		stale.Status.State = metal.StateWiping
		w.refused(w.Ingot.Status().Patch(w.Context(), stale.DeepCopy(), locked(before)), metav1.StatusReasonConflict)
		w.refused(w.Ingot.Status().Update(w.Context(), stale.DeepCopy()), metav1.StatusReasonConflict)
		w.ok(w.Ingot.Status().Patch(w.Context(), stale, client.MergeFrom(before)))
	}},
	{"what has no status has no status", func(w *world) {
		i := w.inventory("a")
		w.create(i)
		w.refused(w.Ingot.Status().Update(w.Context(), i), metav1.StatusReasonNotFound)
	}},
	{"an inventory's spec has a generation too", func(w *world) {
		i := w.inventory("a")
		w.create(i)
		i.Spec.Arch = "arm64"
		w.ok(w.Ingot.Update(w.Context(), i))
		if i.Generation != 2 {
			w.Errorf("generation %d", i.Generation)
		}
	}},
}
