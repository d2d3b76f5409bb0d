package lifecycle_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestBootstrapEtcd: one installation of a binding is ordered, as often as it takes; after it is lost no other one ever is.
func TestBootstrapEtcd(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 7, time.UTC)
	at := metav1.NewTime(now.Truncate(time.Second))
	claim := metal.ClaimRecord{Namespace: "prod", Name: "cp", BindingID: "b1", BoundAt: &at}
	installed := &metal.InstalledRecord{BootID: "boot1", BindingID: "b1"}
	ordered, done := &metal.EtcdRecord{BootID: "boot1", At: at}, &metal.EtcdRecord{BootID: "boot1", At: at, DoneAt: &at}
	with := func(e *metal.EtcdRecord, i *metal.InstalledRecord, change func(*metal.ServerRecord)) *metal.Server {
		c := claim
		c.Etcd = e
		s := &metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{Claim: &c, Installed: i}}}
		if change != nil {
			change(s.Spec.Record)
		}
		return s
	}
	for name, c := range map[string]struct {
		server *metal.Server
		want   lifecycle.EtcdStep
	}{
		"first":                     {with(nil, installed, nil), lifecycle.EtcdOrder},
		"again after a crash":       {with(ordered, installed, nil), lifecycle.EtcdOrder},
		"done":                      {with(done, installed, nil), lifecycle.EtcdDone},
		"not installed":             {with(nil, nil, nil), lifecycle.EtcdNotNow},
		"installed for another":     {with(nil, &metal.InstalledRecord{BootID: "boot1", BindingID: "b0"}, nil), lifecycle.EtcdNotNow},
		"installed again, ordered":  {with(ordered, &metal.InstalledRecord{BootID: "boot2", BindingID: "b1"}, nil), lifecycle.EtcdLost},
		"installed again, begun":    {with(done, &metal.InstalledRecord{BootID: "boot2", BindingID: "b1"}, nil), lifecycle.EtcdLost},
		"given back":                {with(nil, installed, func(r *metal.ServerRecord) { r.Release = &metal.ReleaseRecord{} }), lifecycle.EtcdNotNow},
		"from a backup":             {with(nil, installed, func(r *metal.ServerRecord) { r.Unverified = &metal.UnverifiedRecord{} }), lifecycle.EtcdNotNow},
		"one side only":             {with(nil, installed, func(r *metal.ServerRecord) { r.Claim.BoundAt = nil }), lifecycle.EtcdNotNow},
		"no record":                 {&metal.Server{}, lifecycle.EtcdNotNow},
		"taken back by its release": {with(ordered, installed, func(r *metal.ServerRecord) { r.Release = &metal.ReleaseRecord{} }), lifecycle.EtcdNotNow},
	} {
		record, step := lifecycle.BootstrapEtcd(c.server, "b1", now)
		if step != c.want {
			t.Errorf("%s: %s, not %s", name, step, c.want)
		}
		if first := name == "first"; (record != nil) != first {
			t.Errorf("%s: the record to write is %+v", name, record)
		} else if first && (record.Claim.Etcd == nil || *record.Claim.Etcd != *ordered) {
			t.Errorf("the record of the order is %+v", record.Claim.Etcd)
		}
		if _, step := lifecycle.BootstrapEtcd(c.server, "b2", now); step != lifecycle.EtcdNotNow {
			t.Errorf("%s: for another binding %s", name, step)
		}
	}
}

// TestEtcdBegun: only the order that was recorded can have been taken, and it is noted once.
func TestEtcdBegun(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	at := metav1.NewTime(now)
	server := func(e *metal.EtcdRecord) *metal.Server {
		return &metal.Server{Spec: metal.ServerSpec{Record: &metal.ServerRecord{Claim: &metal.ClaimRecord{BindingID: "b1", BoundAt: &at, Etcd: e}}}}
	}
	ordered := server(&metal.EtcdRecord{BootID: "boot1"})
	if r := lifecycle.EtcdBegun(ordered, "b1", "boot1", now); r == nil || r.Claim.Etcd.DoneAt == nil || !r.Claim.Etcd.DoneAt.Equal(&at) {
		t.Errorf("the order that was taken: %+v", r)
	}
	if ordered.Spec.Record.Claim.Etcd.DoneAt != nil {
		t.Error("what was read was changed")
	}
	for name, r := range map[string]*metal.ServerRecord{
		"never ordered":        lifecycle.EtcdBegun(server(nil), "b1", "boot1", now),
		"another installation": lifecycle.EtcdBegun(ordered, "b1", "boot2", now),
		"another binding":      lifecycle.EtcdBegun(ordered, "b2", "boot1", now),
		"noted before":         lifecycle.EtcdBegun(server(&metal.EtcdRecord{BootID: "boot1", DoneAt: &at}), "b1", "boot1", now),
		"no record":            lifecycle.EtcdBegun(&metal.Server{}, "b1", "boot1", now),
	} {
		if r != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestEtcdLeft: it is noted once, for the claim of a cluster that got a config.
func TestEtcdLeft(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	at := metav1.NewTime(now)
	with := func(change func(*metal.ServerRecord)) *metal.Server {
		r := &metal.ServerRecord{Claim: &metal.ClaimRecord{BindingID: "b1", BoundAt: &at, ConfigAt: &at, Cluster: "lab", LeavingAt: &at}}
		if change != nil {
			change(r)
		}
		return &metal.Server{Spec: metal.ServerSpec{Record: r}}
	}
	if r := lifecycle.EtcdLeft(with(nil), "b1", now); r == nil || !r.Claim.LeftAt.Equal(&at) {
		t.Errorf("a member that left: %+v", r)
	}
	for name, s := range map[string]*metal.Server{
		"noted before":    with(func(r *metal.ServerRecord) { r.Claim.LeftAt = &at }),
		"not decided":     with(func(r *metal.ServerRecord) { r.Claim.LeavingAt = nil }),
		"of no cluster":   with(func(r *metal.ServerRecord) { r.Claim.Cluster = "" }),
		"never had one":   with(func(r *metal.ServerRecord) { r.Claim.ConfigAt = nil }),
		"given back":      with(func(r *metal.ServerRecord) { r.Release = &metal.ReleaseRecord{} }),
		"from a backup":   with(func(r *metal.ServerRecord) { r.Unverified = &metal.UnverifiedRecord{} }),
		"another binding": with(func(r *metal.ServerRecord) { r.Claim.BindingID = "b2" }),
	} {
		if r := lifecycle.EtcdLeft(s, "b1", now); r != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
