package storetest

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

var admissions = []behaviour{
	{"only Ingot writes a record", func(w *world) {
		record := &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: "i", Epoch: 1}, Acceptance: &metal.AcceptanceRecord{At: metav1.NewTime(odd)}}
		s := w.server("a")
		s.Spec.Record = record
		w.refused(w.Admin.Create(w.Context(), s.DeepCopy()), metav1.StatusReasonForbidden)
		w.ok(w.Ingot.Create(w.Context(), s))
		s.Spec.Accepted = true
		w.ok(w.Admin.Update(w.Context(), s))
		for _, change := range []func(*metal.ServerRecord) *metal.ServerRecord{
			func(*metal.ServerRecord) *metal.ServerRecord { return nil },
			func(r *metal.ServerRecord) *metal.ServerRecord { r.ManagedBy.Epoch++; return r },
			func(r *metal.ServerRecord) *metal.ServerRecord {
				r.Boot = &metal.BootRecord{ID: "b", Phase: metal.BootVoid, StartedAt: r.Acceptance.At, At: r.Acceptance.At, Deadline: r.Acceptance.At}
				return r
			},
		} {
			before := s.DeepCopy()
			next := s.DeepCopy()
			next.Spec.Record = change(next.Spec.Record)
			w.refused(w.Admin.Update(w.Context(), next.DeepCopy()), metav1.StatusReasonForbidden)
			w.refused(w.Admin.Patch(w.Context(), next.DeepCopy(), locked(before)), metav1.StatusReasonForbidden)
			w.refused(w.Admin.Patch(w.Context(), next.DeepCopy(), client.MergeFrom(before)), metav1.StatusReasonForbidden)
			w.ok(w.Ingot.Patch(w.Context(), next, locked(before)))
			s = next
			if s.Spec.Record == nil {
				s.Spec.Record = record.DeepCopy()
				w.ok(w.Ingot.Update(w.Context(), s))
			}
		}
		s.Status.State = metal.StateWiping
		w.ok(w.Admin.Status().Update(w.Context(), s))
	}},
	{"what is wrong is said before what is forbidden", func(w *world) {
		s := w.server("a")
		s.Spec.Record = &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: "i"}}
		w.refused(w.Admin.Create(w.Context(), s), metav1.StatusReasonInvalid)
	}},
	{"what is forbidden is said before that the name is taken", func(w *world) {
		s := w.server("a")
		w.create(s.DeepCopy())
		s.Spec.Record = &metal.ServerRecord{}
		w.refused(w.Admin.Create(w.Context(), s), metav1.StatusReasonForbidden)
	}},
	{"only Ingot writes an inventory", func(w *world) {
		i := w.inventory("a")
		w.refused(w.Admin.Create(w.Context(), i.DeepCopy()), metav1.StatusReasonForbidden)
		w.create(i)
		i.Labels = map[string]string{"a": "b"}
		w.ok(w.Admin.Update(w.Context(), i))
		i.Spec.Arch = "arm64"
		w.refused(w.Admin.Update(w.Context(), i.DeepCopy()), metav1.StatusReasonForbidden)
		w.ok(w.Ingot.Update(w.Context(), i))
	}},
	{"only Ingot binds, and once", func(w *world) {
		c := w.claim("c")
		w.ok(w.Admin.Create(w.Context(), c))
		c.Spec.ClassName = "large"
		w.ok(w.Admin.Update(w.Context(), c))
		c.Spec.Binding = &metal.Binding{Server: "s1", BindingID: "b"}
		w.refused(w.Admin.Update(w.Context(), c.DeepCopy()), metav1.StatusReasonForbidden)
		w.ok(w.Ingot.Update(w.Context(), c))
		for _, change := range []func(*metal.ServerClaimSpec){
			func(s *metal.ServerClaimSpec) { s.Binding = nil },
			func(s *metal.ServerClaimSpec) { s.Binding.Server = "s2" },
			func(s *metal.ServerClaimSpec) { s.ClassName = "small" },
			func(s *metal.ServerClaimSpec) { s.EnvironmentName = "other" },
		} {
			next := c.DeepCopy()
			change(&next.Spec)
			w.refused(w.Ingot.Update(w.Context(), next), metav1.StatusReasonInvalid)
		}
	}},
	{"the lock keeps from deletion", func(w *world) {
		s := w.server("a")
		s.Annotations = map[string]string{"metal.ingot.dev/lock": "claimed"}
		w.create(s)
		w.refused(w.Admin.Delete(w.Context(), s), metav1.StatusReasonForbidden)
		w.refused(w.Ingot.Delete(w.Context(), s), metav1.StatusReasonForbidden)
		s.Annotations["clusterctl.cluster.x-k8s.io/delete-for-move"] = ""
		w.ok(w.Ingot.Update(w.Context(), s))
		w.ok(w.Admin.Delete(w.Context(), s))
		i := w.inventory("a")
		i.Annotations = map[string]string{"metal.ingot.dev/lock": "claimed"}
		w.create(i)
		w.ok(w.Admin.Delete(w.Context(), i))
	}},
	{"who may move brings along what Ingot wrote elsewhere", func(w *world) {
		s, i := w.server("a"), w.inventory("a")
		s.Spec.Record, i.Spec.Agent.BootID = &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: "i", Epoch: 1}}, ""
		w.refused(w.Admin.Create(w.Context(), s.DeepCopy()), metav1.StatusReasonForbidden)
		w.refused(w.Admin.Create(w.Context(), i.DeepCopy()), metav1.StatusReasonForbidden)
		s.Spec.Record.ManagedBy.Object, i.Spec.Agent.BootID = "uid", "b"
		w.ok(w.Admin.Create(w.Context(), s))
		w.ok(w.Admin.Create(w.Context(), i))
		s.Spec.Record.ManagedBy.Epoch, i.Spec.Arch = 2, "arm64"
		w.refused(w.Admin.Update(w.Context(), s), metav1.StatusReasonForbidden)
		w.refused(w.Admin.Update(w.Context(), i), metav1.StatusReasonForbidden)
	}},
	{"a request keeps its meaning", requestsKeepTheirMeaning},
}

func requestsKeepTheirMeaning(w *world) {
	at, later := metav1.NewTime(odd), metav1.NewTime(odd.Add(2e9))
	s := w.server("a")
	s.Spec.PowerRequest = &metal.PowerRequest{ID: "p", Action: metal.PowerActionOn, RequestedAt: at}
	s.Spec.AcceptRequest = &metal.AcceptRequest{ID: "a", WipeData: []metal.DiskID{{WWID: "w"}}, RequestedAt: at}
	s.Spec.QuarantineRequest = &metal.QuarantineRequest{ID: "q", Action: metal.QuarantineSet, RequestedAt: at}
	s.Spec.ReleaseRequest = &metal.ReleaseRequest{ID: "r", BindingID: "b", RequestedAt: at}
	s.Spec.BMCRequest = &metal.BMCRequest{ID: "m", Action: metal.BMCRotate, RequestedAt: at}
	s.Spec.OwnerRequest = &metal.OwnerRequest{ID: "o", Action: metal.OwnerLetGo, Epoch: 1, RequestedAt: at}
	w.create(s)
	for _, change := range []func(*metal.ServerSpec){
		func(s *metal.ServerSpec) { s.PowerRequest.Action = metal.PowerActionOff },
		func(s *metal.ServerSpec) { s.PowerRequest.RequestedAt = later },
		func(s *metal.ServerSpec) { s.AcceptRequest.WipeData[0].Serial = "s" },
		func(s *metal.ServerSpec) { s.AcceptRequest.WipeData = nil },
		func(s *metal.ServerSpec) { s.AcceptRequest.Level = metal.WipePurge },
		func(s *metal.ServerSpec) { s.QuarantineRequest.Action = metal.QuarantineLift },
		func(s *metal.ServerSpec) { s.QuarantineRequest.Message = "why" },
		func(s *metal.ServerSpec) { s.ReleaseRequest.ConfirmPoweredOff = true },
		func(s *metal.ServerSpec) { s.ReleaseRequest.BindingID = "other" },
		func(s *metal.ServerSpec) { s.BMCRequest.RequestedAt = later },
		func(s *metal.ServerSpec) { s.OwnerRequest.Action = metal.OwnerAdopt },
		func(s *metal.ServerSpec) { s.OwnerRequest.Epoch = 2 },
		func(s *metal.ServerSpec) { s.OwnerRequest.Force = true },
	} {
		next := s.DeepCopy()
		change(&next.Spec)
		w.refused(w.Ingot.Update(w.Context(), next.DeepCopy()), metav1.StatusReasonInvalid)
		next.Spec.PowerRequest.ID, next.Spec.AcceptRequest.ID, next.Spec.QuarantineRequest.ID = s.Spec.PowerRequest.ID+"x", s.Spec.AcceptRequest.ID+"x", s.Spec.QuarantineRequest.ID+"x"
		next.Spec.ReleaseRequest.ID, next.Spec.BMCRequest.ID, next.Spec.OwnerRequest.ID = s.Spec.ReleaseRequest.ID+"x", s.Spec.BMCRequest.ID+"x", s.Spec.OwnerRequest.ID+"x"
		w.ok(w.Ingot.Update(w.Context(), next))
		s = next
	}
	s.Spec.PowerRequest.RequestedAt = metav1.NewTime(s.Spec.PowerRequest.RequestedAt.Add(1e6)) // the same second
	w.ok(w.Ingot.Update(w.Context(), s))
	s.Spec.PowerRequest, s.Spec.AcceptRequest, s.Spec.QuarantineRequest, s.Spec.ReleaseRequest = nil, nil, nil, nil
	w.ok(w.Ingot.Update(w.Context(), s))
}
