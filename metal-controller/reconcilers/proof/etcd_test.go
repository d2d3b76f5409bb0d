package proof_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/enums"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

// newControlPlane is a world whose claim asks for etcd's bootstrap; its Talos is installed, and waits for it.
func newControlPlane(t *testing.T, asks bool) *world {
	t.Helper()
	w := newWorld(t, func(w *world, s *setting) {
		s.config, s.label, s.talosconfig, s.etcd = w.cluster.ControlPlane(), "", "", asks
	})
	w.says(booting, true, disk)
	return w
}

// orders is how often the machine was told to begin.
func (w *world) orders() (n int) {
	asked, _ := w.machine.Asked()
	for _, a := range asked {
		if a == "Bootstrap" {
			n++
		}
	}
	return n
}

func (w *world) etcd() *metal.EtcdRecord {
	w.t.Helper()
	return w.server().Spec.Record.Claim.Etcd
}

// TestEtcd: a control plane whose claim asks for it is told once to begin, after it is recorded that it will be, and by an admin.
func TestEtcd(t *testing.T) {
	w := newControlPlane(t, true)
	var recorded *metal.EtcdRecord
	w.machine.Set(func(s *talostest.State) {
		s.Before = func(_ context.Context, asked string) error {
			if asked == "Bootstrap" {
				recorded = w.etcd()
			}
			return nil
		}
	})
	w.ask()
	if recorded == nil || recorded.BootID != "boot1" || recorded.DoneAt != nil {
		t.Errorf("when it was told, the record was %+v", recorded)
	}
	if e := w.etcd(); w.orders() != 1 || e == nil || e.DoneAt == nil || w.proven() != "installed" {
		t.Fatalf("%d orders, %+v, %q", w.orders(), e, w.proven())
	}
	if told := w.told(); len(told) != 1 || !strings.HasPrefix(told[0], reasons.EtcdBootstrapped) {
		t.Errorf("people were told %v", told)
	}
	for range 3 {
		w.ask()
	}
	w.wait(11 * time.Minute)
	if w.ask(); !strings.Contains(strings.Join(w.told(), ""), "`ingot logs "+w.name+"`") {
		t.Errorf("long after that people were told %v", w.told())
	}
	w.proof = w.leader()
	if w.ask(); w.orders() != 1 {
		t.Errorf("a new leader, and time: %d orders", w.orders())
	}
	w.says(running, true, disk)
	if w.ask(); w.proven() != "running" || w.orders() != 1 {
		t.Errorf("%q after %d orders", w.proven(), w.orders())
	}
}

// TestEtcdNotAsked: without the claim's word nobody is told; with it, the same machine is.
func TestEtcdNotAsked(t *testing.T) {
	for _, asks := range []bool{false, true} {
		w := newControlPlane(t, asks)
		w.ask()
		if w.proven() != "installed" || (w.orders() == 1) != asks || (w.etcd() != nil) != asks {
			t.Errorf("asks %t: %d orders, %+v, %q", asks, w.orders(), w.etcd(), w.proven())
		}
	}
}

// TestEtcdAgain: an order that failed, or whose end nobody recorded, is given again to the same installation.
func TestEtcdAgain(t *testing.T) {
	w := newControlPlane(t, true)
	w.machine.Set(func(s *talostest.State) {
		s.Before = func(_ context.Context, asked string) error {
			if asked == "Bootstrap" {
				return status.Error(codes.FailedPrecondition, "canary")
			}
			return nil
		}
	})
	w.ask()
	if e := w.etcd(); w.orders() != 1 || e == nil || e.DoneAt != nil || len(w.told()) != 0 {
		t.Fatalf("one that cannot yet: %d orders, %+v, told %v", w.orders(), e, w.told())
	}
	w.proof = w.leader() // as after a crash: nothing is remembered
	w.wait(11 * time.Minute)
	w.ask()
	w.wait(11 * time.Minute)
	w.ask()
	if told := w.told(); !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, reasons.EtcdBootstrapRefused) }) || strings.Contains(strings.Join(told, ""), "canary") {
		t.Errorf("people were told %v", told)
	}
	w.machine.Set(func(s *talostest.State) { s.Before = nil })
	if w.ask(); w.etcd().DoneAt == nil {
		t.Errorf("after %d orders: %+v", w.orders(), w.etcd())
	}
}

// TestEtcdLost: once an installation was told, a later one of the same claim never is, and a person hears of it at once; before, it is.
func TestEtcdLost(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		w := newControlPlane(t, true)
		if ordered {
			w.edit(func(r *metal.ServerRecord) {
				r.Claim.Etcd = &metal.EtcdRecord{BootID: "boot0", At: metav1.NewTime(epoch.Add(-time.Hour))}
			})
		}
		w.ask()
		if w.proven() != "installed" || (w.orders() == 0) != ordered {
			t.Errorf("ordered before: %t: %d orders, %q", ordered, w.orders(), w.proven())
		}
		if told := w.told(); len(told) != 1 || strings.HasPrefix(told[0], reasons.EtcdLost) != ordered {
			t.Errorf("ordered before: %t: people were told %v", ordered, told)
		}
	}
}

// TestEtcdOfAnother: while the record is about another binding, or a machine of the cluster answers in the place of the one that is meant, nobody is told.
func TestEtcdOfAnother(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"another machine": func(w *world) {
			w.machine.Set(func(s *talostest.State) { s.UUID = "6f1f1a5e-0001-4000-8000-00000000000b" })
		},
		"given back meanwhile": func(w *world) {
			w.machine.Set(func(s *talostest.State) {
				s.Before = func(_ context.Context, asked string) error {
					if asked == "MachineStatuses.runtime.talos.dev" {
						w.edit(func(r *metal.ServerRecord) {
							r.Release = &metal.ReleaseRecord{Namespace: "a", Name: "b", BindingID: "bind1", At: metav1.NewTime(epoch)}
						})
					}
					return nil
				}
			})
		},
		"installs": func(w *world) {
			w.machine.Set(func(s *talostest.State) { s.Stage = enums.RuntimeMachineStage_MACHINE_STAGE_INSTALLING })
		},
	} {
		w := newControlPlane(t, true)
		spoil(w)
		if w.ask(); w.orders() != 0 || w.etcd() != nil {
			t.Errorf("%s: %d orders, %+v", name, w.orders(), w.etcd())
		}
		control := newControlPlane(t, true)
		if control.ask(); control.orders() != 1 {
			t.Errorf("%s: control: %d orders", name, control.orders())
		}
	}
}
