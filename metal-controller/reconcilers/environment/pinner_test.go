package environment_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bootfiles"
	"ingot.dev/ingot/metal-controller/reconcilers/environment"
	"ingot.dev/ingot/metal-controller/resolve"
	"ingot.dev/ingot/sfyra-tests/factory"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// leader is a world of Talos: a factory behind TLS, the pinner, and one replica that tells how files fare.
type leader struct {
	*world
	factory *factory.Server
	server  *httptest.Server
	jobs    *resolve.Jobs
	pinner  *environment.Pinner
	files   *replica
}

func newLeader(t *testing.T, name string, change func(*metal.TalosSource)) *leader {
	t.Helper()
	l := &leader{factory: factory.New("v1.12.5", "v1.13.0", "v1.13.1")}
	l.server = httptest.NewTLSServer(l.factory)
	t.Cleanup(l.server.Close)
	source := &metal.TalosSource{Version: "v1.13.0", FactoryURL: l.server.URL}
	if change != nil {
		change(source)
	}
	l.world = newWorld(t, name, metal.EnvironmentSpec{Talos: source})
	l.files = l.replica()
	l.lead(t)
	return l
}

// lead begins anew, as a leader that knows nothing. It runs as the controllers' identity.
func (l *leader) lead(t *testing.T) {
	t.Helper()
	l.jobs = resolve.NewJobs(resolve.Resolver{Transport: l.server.Client().Transport}, time.Now)
	l.pinner = &environment.Pinner{
		Client: newClient(t, testapi.Config(t).ControllerConfig), Jobs: l.jobs, Events: l.world, Now: func() time.Time { return l.now },
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func(j *resolve.Jobs) { ended <- j.Start(ctx) }(l.jobs)
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// look reconciles once, with both reconcilers.
func (l *leader) look() *metav1.Condition {
	l.t.Helper()
	if _, err := l.pinner.Reconcile(l.t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: l.name}}); err != nil {
		l.t.Fatal(err)
	}
	l.files.reconcile()
	return meta.FindStatusCondition(l.get().Status.Conditions, reasons.Resolved)
}

// until reconciles at all news until Resolved has a reason for the present spec; Ready has the same one unless it is pinned.
func (l *leader) until(what, reason string) *metal.Environment {
	l.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		c := l.look()
		if c != nil && c.Reason == reason && c.ObservedGeneration == l.get().Generation {
			break
		}
		select {
		case <-l.jobs.Changed():
		case <-limit:
			l.t.Fatalf("%s: it says %+v, and not %s", what, c, reason)
		}
	}
	env := l.get()
	ready := meta.FindStatusCondition(env.Status.Conditions, reasons.Ready)
	if (reason == reasons.Pinned) != (len(env.Unresolved()) == 0) || reason != reasons.Pinned && (ready.Status != metav1.ConditionFalse || ready.Reason != reason) {
		l.t.Errorf("%s: it is ready: %+v", what, ready)
	}
	return env
}

// change changes spec.talos.
func (l *leader) change(change func(*metal.TalosSource)) {
	l.t.Helper()
	env := l.get()
	change(env.Spec.Talos)
	if err := l.admin.Update(l.t.Context(), env); err != nil {
		l.t.Fatal(err)
	}
}

// tell says how the file of the first architecture's kernel fares at a site; all others are there.
func (l *leader) tell(kernel bootfiles.Report) {
	reports := map[string]bootfiles.Report{}
	for _, b := range l.get().Status.Talos.Boot {
		reports[b.Kernel.SHA256], reports[b.Initramfs.SHA256] = bootfiles.Report{State: bootfiles.Cached}, bootfiles.Report{State: bootfiles.Cached}
	}
	reports[l.get().Status.Talos.Boot[0].Kernel.SHA256] = kernel
	l.files.Files.Told("rack1", reports)
}

func digests(env *metal.Environment) []string {
	var out []string
	for _, b := range env.Boots() {
		out = append(out, b.Kernel.SHA256, b.Initramfs.SHA256)
	}
	return out
}

// TestPinned: what the factory has is pinned once; everything after that rests on it, whatever the factory says.
func TestPinned(t *testing.T) {
	l := newLeader(t, "pinned", nil)
	if c := l.look(); c.Reason != reasons.Resolving || c.Status != metav1.ConditionFalse {
		t.Errorf("at first %+v", c)
	}
	env := l.until("it is there", reasons.Pinned)
	pin, boot := env.Status.Talos, env.Boots()[0]
	if pin.Source != env.Spec.Talos.Source() || len(pin.SchematicID) != 64 || !strings.HasSuffix(pin.Installer, "/metal-installer/"+pin.SchematicID+":v1.13.0") || !pin.PinnedAt.Time.Equal(l.now.Truncate(time.Second)) {
		t.Errorf("%+v", pin)
	}
	if boot.Arch != "amd64" || !strings.HasPrefix(boot.Kernel.URL, l.server.URL+"/image/"+pin.SchematicID+"/v1.13.0/kernel-amd64") || boot.Kernel.SizeBytes == 0 || !slices.Contains(boot.Args, "talos.config={config}") {
		t.Errorf("%+v", boot)
	}
	l.want("nobody has it", metav1.ConditionFalse, reasons.AssetsFetching, "", "amd64/kernel")
	l.tell(bootfiles.Report{State: bootfiles.Cached})
	l.look()
	l.want("a site has it", metav1.ConditionTrue, reasons.AssetsCached, "", "")
	l.factory.Set(factory.Fault{Change: true})
	version := l.get().ResourceVersion
	asked := len(l.factory.Requests())
	l.lead(t)
	l.look()
	if l.get().ResourceVersion != version || len(l.factory.Requests()) != asked {
		t.Error("a new leader asks again, or writes")
	}
	if len(l.told) != 1 || l.told[0] != "Pinned the files of Talos v1.13.0 for amd64 are pinned" {
		t.Errorf("events %q", l.told)
	}
}

// TestOtherBytes: what is not as it was pinned is refused; another architecture changes nothing about it; a person's word, once, pins anew.
func TestOtherBytes(t *testing.T) {
	l := newLeader(t, "other-bytes", nil)
	first := digests(l.until("first", reasons.Pinned))
	l.factory.Set(factory.Fault{Change: true})
	l.change(func(s *metal.TalosSource) { s.Architectures = []string{"amd64", "arm64"} })
	both := digests(l.until("one more architecture", reasons.Pinned))
	if len(both) != 4 || !slices.Equal(both[:2], first) {
		t.Errorf("%v became %v", first, both)
	}
	pin := environment.PinName(l.get().Status.Talos)
	l.told = nil
	l.tell(bootfiles.Report{State: bootfiles.Failed, Message: "another file", OtherBytes: true})
	l.look()
	l.want("refused", metav1.ConditionFalse, reasons.AssetsChanged, "", "amd64/kernel: rack1: another file. They are refused")
	l.want("how to take it", metav1.ConditionFalse, reasons.AssetsChanged, "", metal.ForgetPin+"="+pin+" --overwrite")
	l.look()
	if len(l.told) != 1 || !strings.HasPrefix(l.told[0], reasons.AssetsChanged+" ") {
		t.Errorf("events %q", l.told)
	}
	annotate := func(value string) {
		t.Helper()
		env := l.get()
		meta := map[string]string{metal.ForgetPin: value}
		env.Annotations = meta
		if err := l.admin.Update(t.Context(), env); err != nil {
			t.Fatal(err)
		}
	}
	annotate("2000-01-01T00:00:00Z")
	if got := digests(l.until("control: another pin is named", reasons.Pinned)); !slices.Equal(got, both) {
		t.Errorf("%v became %v", both, got)
	}
	l.now = l.now.Add(time.Hour)
	annotate(pin)
	l.look()
	again := digests(l.until("anew", reasons.Pinned))
	if len(again) != 4 || again[0] == both[0] || !slices.Equal(again[2:], both[2:]) {
		t.Errorf("%v became %v", both, again)
	}
	l.factory.Set(factory.Fault{})
	l.look()
	l.lead(t)
	if got := digests(l.until("the annotation is still there", reasons.Pinned)); !slices.Equal(got, again) {
		t.Errorf("%v became %v", again, got)
	}
}

// TestAnotherRelease: the pin of one spec is never that of another; going back needs no factory.
func TestAnotherRelease(t *testing.T) {
	l := newLeader(t, "another", nil)
	first := digests(l.until("first", reasons.Pinned))
	l.factory.Set(factory.Fault{Status: 503})
	l.change(func(s *metal.TalosSource) { s.Version = "v1.13.1" })
	if env := l.until("the factory is away", reasons.FactoryUnreachable); len(env.Boots()) != 0 || len(env.Status.Assets) != 0 {
		t.Errorf("it boots %v", env.Boots())
	}
	l.change(func(s *metal.TalosSource) { s.Version = "v1.13.0" })
	if got := digests(l.until("back", reasons.Pinned)); !slices.Equal(got, first) {
		t.Errorf("%v became %v", first, got)
	}
	l.factory.Set(factory.Fault{})
	l.change(func(s *metal.TalosSource) { s.Version = "v1.13.1" })
	if got := digests(l.until("the factory is back", reasons.Pinned)); len(got) != 2 || got[0] == first[0] {
		t.Errorf("%v became %v", first, got)
	}
	env := l.get()
	env.Spec = bootSpec()
	if err := l.admin.Update(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	if c := l.look(); c != nil || l.get().Status.Talos != nil {
		t.Errorf("of Talos no more, and it says %+v", c)
	}
}

// TestWhyNot: each trouble has its reason, in Resolved and in Ready; the control in each is the same Environment once it is mended.
func TestWhyNot(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*metal.TalosSource)
		fault  factory.Fault
		reason string
		says   string
	}{
		"away":      {nil, factory.Fault{Status: 503}, reasons.FactoryUnreachable, "503 Service Unavailable. It is tried again by itself"},
		"licence":   {nil, factory.Fault{Status: 402}, reasons.FactoryRefused, "402 Payment Required"},
		"portal":    {nil, factory.Fault{Junk: true}, reasons.FactoryRefused, "check spec.talos.factoryURL"},
		"schematic": {func(s *metal.TalosSource) { s.Schematic = "kustomisation: {}" }, factory.Fault{}, reasons.SchematicRefused, "kustomisation"},
		"version":   {func(s *metal.TalosSource) { s.Version = "v1.99.0" }, factory.Fault{}, reasons.ReleaseMissing, "v1.13.1; change spec.talos.version"},
		"id":        {func(s *metal.TalosSource) { s.SchematicID = strings.Repeat("0", 64) }, factory.Fault{}, reasons.ReleaseMissing, "check spec.talos.schematicID"},
		"line": {func(s *metal.TalosSource) {
			s.Schematic = "customization: {extraKernelArgs: [" + strings.Repeat("a="+strings.Repeat("b", 400)+", ", 5) + "]}"
		}, factory.Fault{}, reasons.KernelLineRefused, "shorten customization.extraKernelArgs"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLeader(t, "why-"+name, c.change)
			l.factory.Set(c.fault)
			env := l.until("in trouble", c.reason)
			for _, condition := range []string{reasons.Resolved, reasons.Ready} {
				if got := meta.FindStatusCondition(env.Status.Conditions, condition); !strings.Contains(got.Message, c.says) {
					t.Errorf("%s says %q, and not %q", condition, got.Message, c.says)
				}
			}
			l.factory.Set(factory.Fault{})
			l.change(func(s *metal.TalosSource) { s.Version, s.Schematic, s.SchematicID = "v1.13.1", "", "" })
			l.until("control: mended", reasons.Pinned)
		})
	}
}

// TestNamed: files that a person names need no factory, and another digest is another pin.
func TestNamed(t *testing.T) {
	asset := func(c string) *metal.Asset {
		return &metal.Asset{URL: "https://mirror.example/" + c, SHA256: strings.Repeat(c, 64)}
	}
	l := newLeader(t, "named", func(s *metal.TalosSource) {
		s.SchematicID = strings.Repeat("0", 64)
		s.Boot = []metal.BootAssets{{Arch: "arm64", Kernel: asset("a"), Initramfs: asset("b")}}
	})
	env := l.until("named", reasons.Pinned)
	if got := digests(env); !slices.Equal(got, []string{asset("a").SHA256, asset("b").SHA256}) || !slices.Contains(env.Boots()[0].Args, "talos.config={config}") {
		t.Errorf("%+v", env.Boots())
	}
	l.change(func(s *metal.TalosSource) { s.Boot[0].Kernel = asset("c") })
	if got := digests(l.until("changed", reasons.Pinned)); !slices.Equal(got, []string{asset("c").SHA256, asset("b").SHA256}) {
		t.Errorf("%v", got)
	}
	l.tell(bootfiles.Report{State: bootfiles.Failed, Message: "another file", OtherBytes: true})
	l.look()
	l.want("a bad digest", metav1.ConditionFalse, reasons.AssetsFailed, "", "Mend the URL or the digest in spec.talos.boot")
	if n := len(l.factory.Requests()); n != 0 {
		t.Errorf("the factory was asked %d times", n)
	}
}

// TestPlainHTTP: what came without proof says so.
func TestPlainHTTP(t *testing.T) {
	plain := httptest.NewServer(factory.New("v1.13.0"))
	t.Cleanup(plain.Close)
	l := newLeader(t, "plain-http", func(s *metal.TalosSource) { s.FactoryURL = plain.URL })
	if c := meta.FindStatusCondition(l.until("plain", reasons.Pinned).Status.Conditions, reasons.Resolved); !strings.Contains(c.Message, "plain HTTP, where nothing proves") {
		t.Errorf("%+v", c)
	}
}

// TestProgress: a slow factory shows how far it is, in few writes.
func TestProgress(t *testing.T) {
	l := newLeader(t, "progress", nil)
	l.factory.Extra = 400 << 10
	l.factory.Set(factory.Fault{BytesPerSecond: 1 << 20})
	seen := map[string]bool{}
	limit := time.After(20 * time.Second)
	for {
		c := l.look()
		seen[c.Message] = true
		if c.Reason == reasons.Pinned {
			break
		}
		select {
		case <-l.jobs.Changed():
		case <-limit:
			t.Fatalf("it says %+v", c)
		}
	}
	percent := 0
	for m := range seen {
		if strings.Contains(m, "fetching amd64/") && strings.HasSuffix(m, " %") {
			percent++
		}
	}
	if percent < 3 || len(seen) > 60 {
		t.Errorf("%d messages, %d with a percentage: %v", len(seen), percent, seen)
	}
}

// TestPinnerGone: an Environment that is gone is no error, and nothing is done for it any more.
func TestPinnerGone(t *testing.T) {
	l := newLeader(t, "pinner-gone", nil)
	l.factory.Set(factory.Fault{Hold: true})
	l.look()
	name := client.ObjectKey{Name: l.name}
	if err := l.admin.Delete(t.Context(), l.get()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.pinner.Reconcile(t.Context(), ctrl.Request{NamespacedName: name}); err != nil {
		t.Fatal(err)
	}
}
