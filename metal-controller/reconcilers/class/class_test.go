package class_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate/expr"
	"ingot.dev/ingot/metal-controller/reconcilers/class"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	ok(t, errors.Join(clientgoscheme.AddToScheme(s), metal.AddToScheme(s)))
	return s
}

// manage runs the reconciler in a manager until the test ends, and returns a client that reads what is so.
func manage(t *testing.T) client.Client {
	t.Helper()
	m, err := ctrl.NewManager(testapi.Config(t).ControllerConfig, ctrl.Options{Scheme: scheme(t), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0"})
	ok(t, err)
	cel, err := expr.New()
	ok(t, err)
	ok(t, (&class.Reconciler{Client: m.GetClient(), CEL: cel, Installation: "here", Now: time.Now}).SetupWithManager(m))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c, err := client.New(testapi.Config(t).ControllerConfig, client.Options{Scheme: scheme(t)})
	ok(t, err)
	return c
}

// server makes an available server with so many cores, which each test's class tells from others by a label.
func server(t *testing.T, c client.Client, name string, cores int32) *metal.Server {
	t.Helper()
	at := metav1.Now()
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"test": t.Name()}}, Spec: metal.ServerSpec{Accepted: true, Record: &metal.ServerRecord{
		Acceptance: &metal.AcceptanceRecord{At: at}, ManagedBy: &metal.ManagedBy{Installation: "here", Epoch: 1},
		Wipe: &metal.WipeRecord{ID: "w", Level: metal.WipeClear, GrantedAt: at, Generation: 1, BootID: "b", VerifiedAt: &at},
	}}}
	i := &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerInventorySpec{Arch: "amd64", CPUs: []metal.CPU{{Cores: cores}}, Memory: metal.Memory{TotalBytes: 8 << 30}, ReportedAt: at}}
	for _, o := range []client.Object{s, i} {
		ok(t, c.Create(t.Context(), o))
		t.Cleanup(func() { _ = c.Delete(context.Background(), o) })
	}
	s.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: metav1.ConditionTrue, Reason: reasons.Available, LastTransitionTime: at}}
	ok(t, c.Status().Update(t.Context(), s))
	return s
}

// until waits until the class's status is as wanted, for a minute.
func until(t *testing.T, c client.Client, x *metal.ServerClass, wanted func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok(t, c.Get(t.Context(), client.ObjectKeyFromObject(x), x))
		if wanted() {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("its status is %+v", x.Status)
		case <-tick.C:
		}
	}
}

// TestStatus: the counts follow the servers, and the condition follows the class.
func TestStatus(t *testing.T) {
	c := manage(t)
	x := &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "status"}, Spec: metal.ServerClassSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"test": t.Name()}}, Requirements: metal.Requirements{CEL: []string{"inventory.cpus[0].cores > 4"}},
	}}
	ok(t, c.Create(t.Context(), x))
	t.Cleanup(func() { _ = c.Delete(context.Background(), x) })
	until(t, c, x, func() bool { return is(x, metav1.ConditionTrue, reasons.ClassReady) })
	if x.Status.Total != 0 || x.Status.Capacity != nil {
		t.Errorf("control: its status is %+v", x.Status)
	}
	server(t, c, "status-small", 4)
	s := server(t, c, "status-a", 8)
	server(t, c, "status-b", 16)
	until(t, c, x, func() bool { return counts(x, 2, 2, 0) })
	if cpu, memory := x.Status.Capacity["cpu"], x.Status.Capacity["memory"]; cpu.String() != "8" || memory.String() != "8Gi" {
		t.Errorf("capacity %v", x.Status.Capacity)
	}
	s.Spec.Record.Claim = &metal.ClaimRecord{Namespace: "n", Name: "c", BindingID: "x", At: metav1.Now()}
	ok(t, c.Update(t.Context(), s))
	until(t, c, x, func() bool { return counts(x, 2, 1, 1) })
	x.Spec.Requirements.CEL = []string{"inventory.ram > 4"}
	ok(t, c.Update(t.Context(), x))
	until(t, c, x, func() bool { return is(x, metav1.ConditionFalse, reasons.InvalidClass) && counts(x, 0, 0, 0) })
	x.Spec.Requirements.CEL = []string{`inventory.cpus[0].cores > 4 && labels["rack"] == "r1"`}
	ok(t, c.Update(t.Context(), x))
	until(t, c, x, func() bool { return is(x, metav1.ConditionTrue, reasons.ClassReady) && counts(x, 0, 0, 0) })
	if m := meta.FindStatusCondition(x.Status.Conditions, reasons.Ready).Message; m == "Claims can take servers of this class." {
		t.Errorf("it does not tell of the label that is missing: %s", m)
	}
}

func is(x *metal.ServerClass, status metav1.ConditionStatus, reason string) bool {
	c := meta.FindStatusCondition(x.Status.Conditions, reasons.Ready)
	return c != nil && c.Status == status && c.Reason == reason && c.ObservedGeneration == x.Generation && x.Status.ObservedGeneration == x.Generation
}

func counts(x *metal.ServerClass, total, available, claimed int32) bool {
	return x.Status.Total == total && x.Status.Available == available && x.Status.Claimed == claimed
}
