package sightings_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/sightings"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 123456789, time.UTC)

// clock only moves when told.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func boot(id string, stages ...string) metal.BootTimeline {
	b := metal.BootTimeline{ID: id}
	for i, s := range stages {
		b.Stages = append(b.Stages, metal.BootStage{Stage: s, At: metav1.NewMicroTime(epoch.Add(time.Duration(i) * time.Second))})
	}
	return b
}

func stages(b metal.BootTimeline) (names []string) {
	for _, s := range b.Stages {
		names = append(names, s.Stage)
	}
	return names
}

// TestTimeline: what was seen before the machine had a name joins its server when it enrols.
func TestTimeline(t *testing.T) {
	c := &clock{epoch.Add(time.Minute)}
	s := sightings.New(c.read)
	s.Boot("", boot("b1", "DHCP", "Script"))
	s.Boot("", metal.BootTimeline{ID: ""}) // without an id it is nobody's
	if got := s.Drain(); len(got) != 0 {
		t.Errorf("an unknown machine woke %v", got)
	}
	s.Adopt("srv", "b1", "Enrolled")
	s.Boot("srv", boot("b1", "DHCP")) // seen again: the first time stays
	s.Drain()
	s.Adopt("srv", "b1", "Enrolled")
	if names := s.Drain(); len(names) != 0 {
		t.Errorf("what was known woke %v", names)
	}
	s.Adopt("srv", "b1", "Inventory")
	got := s.Boots("srv")
	if len(got) != 1 || !slices.Equal(stages(got[0]), []string{"DHCP", "Script", "Enrolled", "Inventory"}) {
		t.Fatalf("%+v", got)
	}
	if names := s.Drain(); !slices.Equal(names, []string{"srv"}) {
		t.Errorf("woken: %v", names)
	}
	for i := range 5 {
		s.Boot("srv", boot(fmt.Sprint("n", i), "DHCP"))
	}
	if got = s.Boots("srv"); len(got) != 3 || got[0].ID != "n4" || got[2].ID != "n2" {
		t.Errorf("the last three: %+v", got)
	}
}

// TestAfter: what a machine does once its boot is over joins the newest boot, once; a server without a boot gets none.
func TestAfter(t *testing.T) {
	s := sightings.New((&clock{epoch}).read)
	restart := boot("", "Restarted", "LocalDisk").Stages
	s.After("srv", restart...)
	if got := s.Boots("srv"); len(got) != 0 {
		t.Errorf("a boot out of nothing: %+v", got)
	}
	s.Boot("srv", boot("b1", "DHCP"))
	s.Boot("srv", boot("b2", "DHCP"))
	s.After("srv", restart...)
	s.Drain()
	s.After("srv", metal.BootStage{Stage: "LocalDisk", At: metav1.NewMicroTime(epoch.Add(time.Hour))})
	got := s.Boots("srv")
	if len(got) != 2 || !slices.Equal(stages(got[0]), []string{"DHCP", "Restarted", "LocalDisk"}) || len(got[1].Stages) != 1 {
		t.Errorf("%+v", got)
	}
	if last := got[0].Stages[2].At; last.After(epoch.Add(time.Minute)) || len(s.Drain()) != 0 {
		t.Errorf("a later restart counts: %v", last)
	}
}

// TestMerge: status and memory join; merging again changes nothing, so that an idle server costs no writes.
func TestMerge(t *testing.T) {
	s := sightings.New((&clock{epoch}).read)
	s.Boot("srv", boot("b2", "DHCP"))
	s.Boot("srv", boot("b3", "DHCP"))
	shown := []metal.BootTimeline{boot("b1", "DHCP"), boot("b0", "DHCP")}
	once := sightings.Merge(shown, s.Boots("srv"))
	if len(once) != 3 || once[0].ID != "b3" || once[1].ID != "b2" || once[2].ID != "b1" {
		t.Fatalf("%+v", once)
	}
	twice := sightings.Merge(once, s.Boots("srv"))
	if fmt.Sprint(once) != fmt.Sprint(twice) {
		t.Errorf("%+v\n%+v", once, twice)
	}
	if len(shown) != 2 || len(sightings.Merge(nil, nil)) != 0 {
		t.Error("the input changed")
	}
}

func TestConflicts(t *testing.T) {
	c := &clock{epoch}
	s := sightings.New(c.read)
	s.Conflict([]string{"a", "b"})
	if got := s.Conflicts("a"); !slices.Equal(got, []string{"b"}) {
		t.Errorf("a conflicts with %v", got)
	}
	if got := s.Drain(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("woken: %v", got)
	}
	s.Conflict([]string{"a", "b"})
	if got := s.Drain(); len(got) != 0 {
		t.Errorf("the same again woke %v", got)
	}
	c.now = epoch.Add(11 * time.Minute)
	if got := s.Conflicts("a"); got != nil {
		t.Errorf("an old conflict is shown: %v", got)
	}
}

// TestWhyUnserved: what a boot server cannot give is shown until it can, the agent is there, or nobody says so any more.
func TestWhyUnserved(t *testing.T) {
	c := &clock{epoch}
	s := sightings.New(c.read)
	want := func(reason, arch string, woken int) {
		t.Helper()
		if r, a := s.WhyUnserved("a"); r != reason || a != arch {
			t.Errorf("it is unserved: %q %q, want %q %q", r, a, reason, arch)
		}
		if got := s.Drain(); len(got) != woken {
			t.Errorf("woken: %v", got)
		}
	}
	s.Unserved("a", "", "arm64")
	want("", "", 0)
	s.Unserved("a", "AgentImageMissing", "arm64")
	want("AgentImageMissing", "arm64", 1)
	c.now = c.now.Add(9 * time.Minute)
	s.Unserved("a", "AgentImageMissing", "arm64")
	want("AgentImageMissing", "arm64", 0)
	c.now = c.now.Add(9 * time.Minute)
	want("AgentImageMissing", "arm64", 0)
	c.now = c.now.Add(2 * time.Minute)
	want("", "", 0)
	s.Unserved("a", "AgentImageMissing", "arm64")
	want("AgentImageMissing", "arm64", 1)
	s.Unserved("a", "", "arm64")
	want("", "", 1)
	s.Unserved("a", "AgentImageMissing", "arm64")
	s.Connected("a", "b1")
	want("", "", 1)
}

func TestSessions(t *testing.T) {
	s := sightings.New((&clock{epoch}).read)
	end1 := s.Connected("srv", "b1")
	end2 := s.Connected("srv", "b2")
	if id, ok := s.Session("srv"); !ok || id != "b2" {
		t.Errorf("%q %v", id, ok)
	}
	end2()
	if id, ok := s.Session("srv"); !ok || id != "b1" {
		t.Errorf("%q %v", id, ok)
	}
	end1()
	if _, ok := s.Session("srv"); ok {
		t.Error("still connected")
	}
	s.At("srv", []string{"192.0.2.1"})
	if got := s.Addresses("srv"); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Errorf("%v", got)
	}
	s.Forget("srv")
	if s.Addresses("srv") != nil || s.Addresses("nobody") != nil || s.Boots("nobody") != nil {
		t.Error("something is remembered")
	}
}

// TestBounds: made-up servers, boots and stages do not fill the memory.
func TestBounds(t *testing.T) {
	s := sightings.New((&clock{epoch}).read)
	for i := range 3000 {
		s.Boot("", boot(fmt.Sprint("u", i), "DHCP"))
	}
	s.Adopt("srv", "u0", "Enrolled") // long forgotten
	if got := s.Boots("srv"); len(got[0].Stages) != 1 {
		t.Errorf("%+v", got)
	}
	many := metal.BootTimeline{ID: "m"}
	for i := range 100 {
		many.Stages = append(many.Stages, metal.BootStage{Stage: fmt.Sprint(i)})
	}
	s.Boot("srv", many)
	if got := s.Boots("srv"); len(got[0].Stages) != 32 {
		t.Errorf("%d stages", len(got[0].Stages))
	}
	for i := range 20100 {
		s.Boot(fmt.Sprint("s", i), boot("b", "DHCP"))
	}
	if got := s.Boots("s20099"); got != nil {
		t.Error("there is no bound on servers")
	}
}

// TestGreatConflict: evidence of very many Servers is bounded, and the same once more is no news.
func TestGreatConflict(t *testing.T) {
	c := &clock{epoch}
	s := sightings.New(c.read)
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("srv-%02d", i))
	}
	s.Conflict(many)
	if n := len(s.Drain()); n != 16 {
		t.Errorf("a contradiction of 40 Servers wakes %d, want 16", n)
	}
	s.Conflict(many)
	if n := len(s.Drain()); n != 0 {
		t.Errorf("the same contradiction once more wakes %d", n)
	}
	s.Conflict(many[1:])
	if n := len(s.Drain()); n != 16 {
		t.Errorf("control: another contradiction wakes %d, want 16", n)
	}
}

// TestHint: a machine's own words join a boot that is known, wake nobody, are of a fixed list, and push nothing out.
func TestHint(t *testing.T) {
	s := sightings.New((&clock{epoch}).read)
	s.Hint("fresh", "b1", metal.StageTalosBooting)
	if got := s.Boots("fresh"); len(got) != 1 || !slices.Equal(stages(got[0]), []string{metal.StageTalosBooting}) {
		t.Errorf("after a start: %+v", got)
	}
	if woken := s.Drain(); len(woken) != 0 {
		t.Errorf("a hint woke %v", woken)
	}
	s.Boot("srv", boot("b1", "DHCP"))
	if woken := s.Drain(); !slices.Equal(woken, []string{"srv"}) {
		t.Errorf("control: a boot woke %v", woken)
	}
	for _, h := range []struct{ boot, stage string }{
		{"b1", metal.StageTalosRunning}, {"b1", metal.StageTalosRunning}, {"b1", metal.StageRunning}, {"b1", "Anything"}, {"b0", metal.StageTalosRunning}, {"", metal.StageTalosRunning},
	} {
		s.Hint("srv", h.boot, h.stage)
	}
	if got := s.Boots("srv"); len(got) != 1 || !slices.Equal(stages(got[0]), []string{"DHCP", metal.StageTalosRunning}) || len(s.Drain()) != 0 {
		t.Errorf("%+v", got)
	}
}
