package environment_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bootfiles"
	"ingot.dev/ingot/metal-controller/reconcilers/environment"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

var kernel, initramfs = strings.Repeat("a", 64), strings.Repeat("b", 64)

func bootSpec() metal.EnvironmentSpec {
	return metal.EnvironmentSpec{Boot: []metal.BootAssets{{
		Arch: "amd64", Kernel: &metal.Asset{URL: "https://h/k", SHA256: kernel}, Initramfs: &metal.Asset{URL: "https://h/i", SHA256: initramfs},
	}}}
}

// world is one Environment on a real API server, and the replicas that look after it.
type world struct {
	t     *testing.T
	admin client.Client
	name  string
	now   time.Time
	told  []string // events, as REASON MESSAGE
}

// Event records one.
func (w *world) Event(_ *metal.Environment, _ bool, reason, message string) {
	w.told = append(w.told, reason+" "+message)
}

// replica is a controller with the memory of its own sites.
type replica struct {
	*environment.Reconciler
	w *world
}

func newClient(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := metal.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newWorld(t *testing.T, name string, spec metal.EnvironmentSpec) *world {
	t.Helper()
	w := &world{t: t, name: name, now: time.Now().UTC(), admin: newClient(t, testapi.Config(t).AdminConfig)}
	env := &metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	if err := w.admin.Create(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.admin.Delete(context.Background(), env) })
	return w
}

// replica runs as the controllers' identity.
func (w *world) replica() *replica {
	w.t.Helper()
	clock := func() time.Time { return w.now }
	return &replica{&environment.Reconciler{Client: newClient(w.t, testapi.Config(w.t).ControllerConfig), Files: bootfiles.NewStore(clock), Events: w, Now: clock}, w}
}

func (r *replica) told(site, kernelState string, percent int32, message string) *replica {
	r.Files.Told(site, map[string]bootfiles.Report{
		kernel: {State: kernelState, Percent: percent, Message: message}, initramfs: {State: bootfiles.Cached, Percent: 100},
	})
	return r
}

func (r *replica) reconcile() ctrl.Result {
	r.w.t.Helper()
	result, err := r.Reconcile(r.w.t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: r.w.name}})
	if err != nil {
		r.w.t.Fatal(err)
	}
	return result
}

func (w *world) get() *metal.Environment {
	w.t.Helper()
	var env metal.Environment
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: w.name}, &env); err != nil {
		w.t.Fatal(err)
	}
	return &env
}

// want compares the condition Ready and the state of the kernel.
func (w *world) want(what string, status metav1.ConditionStatus, reason, state, message string) {
	w.t.Helper()
	env := w.get()
	c := meta.FindStatusCondition(env.Status.Conditions, reasons.Ready)
	if c == nil || c.Status != status || c.Reason != reason || !strings.Contains(c.Message, message) || c.ObservedGeneration != env.Generation {
		w.t.Errorf("%s: condition %+v", what, c)
	}
	if a := env.Status.Assets; state != "" && (len(a) != 2 || a[0].Name != "amd64/kernel" || a[0].SHA256 != kernel || a[0].State != state) {
		w.t.Errorf("%s: assets %+v, want the kernel %s", what, a, state)
	}
}

// TestLifeOfFiles: from nobody's word to ready, through a failure, with the site and the next step named.
func TestLifeOfFiles(t *testing.T) {
	w := newWorld(t, "life", bootSpec())
	r := w.replica()
	if again := r.reconcile().RequeueAfter; again != 5*time.Minute {
		t.Errorf("looked at again after %v", again)
	}
	w.want("no site", metav1.ConditionFalse, reasons.AssetsFetching, "Unknown", "no pxe-server has told")
	r.told("rack1", "Fetching", 42, "").reconcile()
	w.want("fetching", metav1.ConditionFalse, reasons.AssetsFetching, "Fetching", "amd64/kernel (rack1, 40 %)")
	r.told("rack2", "Failed", 0, "https://h/k: 404 Not Found").reconcile()
	w.want("failed at one site", metav1.ConditionFalse, reasons.AssetsFailed, "Failed", "amd64/kernel: rack2: https://h/k: 404 Not Found. Mend the URL")
	r.told("rack2", "Cached", 100, "").reconcile()
	w.want("the other one", metav1.ConditionFalse, reasons.AssetsFetching, "Fetching", "rack1")
	if again := r.told("rack1", "Cached", 100, "").reconcile().RequeueAfter; again != 0 {
		t.Errorf("looked at again after %v", again)
	}
	w.want("ready", metav1.ConditionTrue, reasons.AssetsCached, "Cached", "")
	env := w.get()
	env.Spec.Boot[0].Initramfs.SHA256 = strings.Repeat("c", 64)
	if err := w.admin.Update(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	r.reconcile()
	w.want("another file", metav1.ConditionFalse, reasons.AssetsFetching, "Cached", "amd64/initramfs (no pxe-server")
}

// TestIdle: after convergence nothing is written, and a few bytes more are no news.
func TestIdle(t *testing.T) {
	w := newWorld(t, "idle", bootSpec())
	r := w.replica().told("rack1", "Fetching", 40, "")
	r.reconcile()
	before := w.get().ResourceVersion
	for percent := range int32(5) {
		w.now = w.now.Add(time.Minute)
		r.told("rack1", "Fetching", 40+percent, "").reconcile()
	}
	if after := w.get().ResourceVersion; after != before {
		t.Errorf("written again: %+v", w.get().Status)
	}
	r.told("rack1", "Fetching", 45, "").reconcile()
	if w.get().ResourceVersion == before {
		t.Error("control: five percent more were not written")
	}
}

// TestReplicas: two replicas, each with a site of its own, agree on the worst of both, and neither takes back what the other was told.
func TestReplicas(t *testing.T) {
	w := newWorld(t, "replicas", bootSpec())
	a, b := w.replica().told("rack1", "Cached", 100, ""), w.replica().told("rack2", "Failed", 0, "404")
	settle := func() {
		for range 3 {
			a.reconcile()
			b.reconcile()
		}
		before := w.get().ResourceVersion
		a.reconcile()
		b.reconcile()
		if w.get().ResourceVersion != before {
			t.Errorf("they write for ever: %+v", w.get().Status)
		}
	}
	settle()
	w.want("one failed", metav1.ConditionFalse, reasons.AssetsFailed, "Failed", "rack2: 404")
	a.told("rack1", "Fetching", 10, "")
	b.told("rack2", "Cached", 100, "")
	settle()
	w.want("the other one fetches", metav1.ConditionFalse, reasons.AssetsFetching, "Fetching", "rack1")
	a.told("rack1", "Cached", 100, "")
	settle()
	w.want("both have it", metav1.ConditionTrue, reasons.AssetsCached, "Cached", "")
	a = w.replica() // starts anew and knows nothing
	settle()
	w.want("after a restart", metav1.ConditionTrue, reasons.AssetsCached, "Cached", "")
}

// TestSilentSite: a site that is gone does not keep an Environment from being ready for ever.
func TestSilentSite(t *testing.T) {
	w := newWorld(t, "silent", bootSpec())
	r := w.replica().told("rack1", "Failed", 0, "404")
	r.reconcile()
	w.want("control", metav1.ConditionFalse, reasons.AssetsFailed, "Failed", "404")
	w.now = w.now.Add(16 * time.Minute)
	r.told("rack2", "Cached", 100, "").reconcile()
	w.want("the other site has it", metav1.ConditionTrue, reasons.AssetsCached, "Cached", "")
}

// TestGone: an Environment that is gone is no error.
func TestGone(t *testing.T) {
	w := newWorld(t, "gone", bootSpec())
	w.name = "never-there"
	w.replica().reconcile()
}
