package agentserver

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/notify"
	"ingot.dev/ingot/metal-controller/sightings"
)

// shelf holds one Server and its inventory, as both cache and API server; nothing is written to it.
type shelf struct {
	client.Client
	server    metal.Server
	inventory metal.ServerInventory
}

func (s *shelf) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch o := into.(type) {
	case *metal.Server:
		s.server.DeepCopyInto(o)
	case *metal.ServerInventory:
		s.inventory.DeepCopyInto(o)
	}
	return nil
}

func (s *shelf) List(_ context.Context, _ client.ObjectList, _ ...client.ListOption) error {
	return nil
}

// stream hands directives to the test.
type stream struct {
	grpc.ServerStream
	ctx  context.Context
	sent chan *protocol.Directive
}

func (s *stream) Context() context.Context         { return s.ctx }
func (s *stream) Send(d *protocol.Directive) error { s.sent <- d; return nil }

// settlingShelf is a Server whose boot was claimed five seconds ago, with a grant.
func settlingShelf(now time.Time) *shelf {
	claimed, disks := metav1.NewTime(now.Add(-5*time.Second)), []metal.DiskID{{WWID: "naa.1", Serial: "S1"}}
	s := &shelf{server: metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}, Spec: metal.ServerSpec{Accepted: true, BMC: &metal.BMC{}, Record: &metal.ServerRecord{
		ManagedBy:  &metal.ManagedBy{Installation: "here", Epoch: 1},
		Acceptance: &metal.AcceptanceRecord{At: claimed, Level: metal.WipeClear, Disks: disks},
		Boot:       &metal.BootRecord{ID: "b1", Phase: metal.BootClaimed, Claimant: "k1", ClaimedAt: &claimed},
		Wipe:       &metal.WipeRecord{ID: "w1", Level: metal.WipeClear, Disks: disks, Generation: 1, BootID: "b1"},
	}}}}
	s.inventory.Spec = metal.ServerInventorySpec{
		Agent: metal.AgentInfo{BootID: "b1", Proven: 1},
		Disks: []metal.Disk{{Name: "sda", WWID: "naa.1", Serial: "S1", Transport: "sata", SizeBytes: 1 << 30, Contents: metal.DiskData}},
	}
	return s
}

// TestWatchAsksAgain: a task that only needs time comes when its time has come, with no change of anything; a change brings the next directive, and the
// end of trust ends the stream.
func TestWatchAsksAgain(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	waits, timer := make(chan time.Duration, 10), make(chan time.Time)
	hub, objects := &notify.Hub{}, settlingShelf(now)
	s := New(Config{
		Client: objects, Live: objects, Installation: "here", Sightings: sightings.New(clock), Changes: hub, Now: clock, Log: logr.Discard(),
		After: func(d time.Duration) <-chan time.Time { waits <- d; return timer },
	})
	who := caller{Caller: lifecycle.Caller{BootID: "b1", Key: "k1"}, server: "s1", notAfter: now.Add(time.Hour)}
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), admissionKey{}, &admission{caller: who}), time.Minute)
	defer cancel()
	st, ended := &stream{ctx: ctx, sent: make(chan *protocol.Directive)}, make(chan error, 1)
	go func() { ended <- s.Watch(nil, st) }()
	next := func() *protocol.Directive {
		t.Helper()
		select {
		case d := <-st.sent:
			return d
		case err := <-ended:
			t.Fatalf("the stream ended: %v", err)
			return nil
		}
	}
	if d := next(); d.GetWait().GetReason() != reasons.BootRunning {
		t.Errorf("first: %v", d)
	}
	select {
	case d := <-waits:
		if d != 10*time.Second {
			t.Errorf("it asks again after %s", d)
		}
	case <-ctx.Done():
		t.Fatal("no timer")
	}
	now = now.Add(10 * time.Second)
	timer <- now
	if d := next().GetWipe(); d.GetId() != "w1" || d.GetGeneration() != 1 || len(d.GetDisks()) != 1 {
		t.Errorf("when its time has come: %v", d)
	}
	objects.server.Spec.Record.Boot.Phase = metal.BootVoid
	hub.Changed("s1")
	if err := <-ended; status.Code(err) != codes.Unauthenticated {
		t.Errorf("after the boot became void: %v", err)
	}
	if len(waits) != 0 {
		t.Errorf("a timer of %s without need", <-waits)
	}
}
