package server_test

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
)

// TestProgress: the newest progress of the very wipe that runs is shown, whichever replica saw it, and none once the wipe is verified.
func TestProgress(t *testing.T) {
	w := newWorld(t, "progress", metal.ServerSpec{})
	w.settle()
	s := w.server()
	at := metav1.NewTime(w.now.Truncate(time.Second))
	s.Spec.Record.Wipe = &metal.WipeRecord{ID: "w1", Level: metal.WipeClear, GrantedAt: at, Generation: 2, BootID: "b1"}
	live := newClient(t, w.config())
	must(w, live.Update(t.Context(), s))
	tell := func(id string, generation int64, percent int32, later time.Duration) {
		w.memory.Progress(w.name, metal.WipeStatus{
			ID: id, Generation: generation, UpdatedAt: metav1.NewTime(at.Add(later)), Disks: []metal.DiskProgress{{Serial: "N1", Phase: "Discard", Percent: percent}},
		})
	}
	shown := func(what string, want int32) {
		t.Helper()
		w.settle()
		got := int32(-1)
		if p := w.server().Status.Wipe; p != nil {
			got = p.Disks[0].Percent
		}
		if got != want {
			t.Errorf("%s: %d percent are shown; want %d", what, got, want)
		}
	}
	tell("w0", 2, 90, 0)
	shown("another wipe", -1)
	tell("w1", 1, 80, 0)
	shown("an earlier generation", -1)
	tell("w1", 2, 10, 0)
	shown("this one", 10)
	w.restart()
	shown("after a restart", 10)
	tell("w1", 2, 30, time.Second)
	follow(w)
	if p := w.server().Status.Wipe; p == nil || p.Disks[0].Percent != 30 {
		t.Errorf("a replica without leadership saw 30 percent; shown is %+v", p)
	}
	w.restart()
	shown("the leader, who saw nothing", 30)
	before := w.writes
	for i := range int32(4) { // an agent tells every two seconds
		tell("w1", 2, 31+i, time.Duration(2*i)*time.Second)
		w.settle()
	}
	if n := w.writes - before; n > 1 {
		t.Errorf("%d writes for four percent; want one at most", n)
	}
	s = w.server()
	s.Spec.Record.Wipe.VerifiedAt = &at
	must(w, live.Update(t.Context(), s))
	shown("verified", -1)
}

// follow lets a replica without leadership write down what it saw.
func follow(w *world) {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	defer stop()
	f := &server.Follower{Reconciler: w.reconciler(stopAfter{w.live, stop}), Elected: make(chan struct{})}
	if err := f.Start(ctx); err != nil {
		w.t.Fatal(err)
	}
}
