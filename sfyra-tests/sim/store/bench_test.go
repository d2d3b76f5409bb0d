package store_test

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ingot = store.Identity{Name: "ingot", Ingot: true}
	admin = store.Identity{Name: "admin"}
)

func clock() time.Time { return start }

// typical is a Server in the middle of a wipe: four disks, ten conditions, three boots.
func typical(name string) *metal.Server {
	now := metav1.NewTime(start)
	var ids []metal.DiskID
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"metal.ingot.dev/class": "small"}}}
	for i := range 4 {
		id := metal.DiskID{WWID: fmt.Sprintf("eui.%s-%d", name, i), Serial: fmt.Sprintf("SN-%s-%d", name, i)}
		ids = append(ids, id)
		s.Status.Disks = append(s.Status.Disks, metal.DiskStatus{DiskID: id, Name: "nvme0n1", Contents: metal.DiskData, Verdict: metal.DiskOwn})
	}
	s.Spec = metal.ServerSpec{
		Accepted: true,
		BMC:      &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: "192.0.2.1", CredentialsSecret: "bmc"},
		Identity: &metal.Identity{MACs: []string{"52:54:00:00:00:01"}, Serial: "S1", Manufacturer: "M"},
		Record: &metal.ServerRecord{
			Acceptance: &metal.AcceptanceRecord{At: now, RequestID: "a1", Level: metal.WipeClear, Disks: ids},
			Boot:       &metal.BootRecord{ID: "b1", Phase: metal.BootClaimed, StartedAt: now, At: now, Deadline: now},
			Wipe:       &metal.WipeRecord{ID: "w1", Level: metal.WipeClear, Disks: ids, GrantedAt: now, Generation: 1, BootID: "b1"},
			ManagedBy:  &metal.ManagedBy{Installation: "i", Epoch: 1},
		},
	}
	for i := range 10 {
		s.Status.Conditions = append(s.Status.Conditions, metav1.Condition{
			Type: fmt.Sprintf("Condition%d", i), Status: "True", Reason: "AsExpected", Message: "All is well.", LastTransitionTime: now,
		})
	}
	for i := range 3 {
		b := metal.BootTimeline{ID: fmt.Sprintf("b%d", i)}
		for range 8 {
			b.Stages = append(b.Stages, metal.BootStage{Stage: "Kernel", At: metav1.NewMicroTime(start)})
		}
		s.Status.Boots = append(s.Status.Boots, b)
	}
	return s
}

func filled(b testing.TB, n int) (*store.Store, *store.Client) {
	s := store.New(clock)
	c := s.Client(ingot)
	for i := range n {
		o := typical(fmt.Sprintf("s%d", i))
		status := o.Status
		if err := c.Create(b.Context(), o); err != nil {
			b.Fatal(err)
		}
		o.Status = status
		if err := c.Status().Update(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
	return s, c
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		store.New(clock)
	}
}

func BenchmarkDeepCopy(b *testing.B) {
	s := typical("s")
	for b.Loop() {
		s.DeepCopy()
	}
}

func BenchmarkGet(b *testing.B) {
	_, c := filled(b, 8)
	var o metal.Server
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Get(b.Context(), client.ObjectKey{Name: "s3"}, &o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	s, _ := filled(b, 8)
	for name, opts := range map[string][]client.ListOption{"copies": nil, "shared": {client.UnsafeDisableDeepCopy}} {
		b.Run(name, func(b *testing.B) {
			c := s.Cached(store.Fresh).Client(ingot)
			b.ReportAllocs()
			for b.Loop() {
				var l metal.ServerList
				if err := c.List(b.Context(), &l, opts...); err != nil || len(l.Items) != 8 {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPatch(b *testing.B) {
	_, c := filled(b, 8)
	var o metal.Server
	if err := c.Get(b.Context(), client.ObjectKey{Name: "s3"}, &o); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		before := o.DeepCopy()
		o.Spec.Record.Boot.Attempt = int32(i)
		if err := c.Patch(b.Context(), &o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStatusPatch(b *testing.B) {
	_, c := filled(b, 8)
	var o metal.Server
	if err := c.Get(b.Context(), client.ObjectKey{Name: "s3"}, &o); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		before := o.DeepCopy()
		o.Status.Disks[1].NeedsConfirmation = i%2 == 0
		if err := c.Status().Patch(b.Context(), &o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			b.Fatal(err)
		}
	}
}
