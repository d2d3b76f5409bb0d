package whose_test

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/signals/whose"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

// release is that of a machine config to an address at a minute.
func release(address string, minute int) *metal.ConfigRelease {
	return &metal.ConfigRelease{
		SHA256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Source: address, At: metav1.NewTime(time.Date(2026, 5, 1, 12, minute, 0, 0, time.UTC)),
	}
}

func booted(id string, c *metal.ConfigRelease) *metal.BootRecord {
	now := metav1.NewTime(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	return &metal.BootRecord{ID: id, Phase: metal.BootVoid, StartedAt: now, At: now, Deadline: now, Config: c}
}

func installed(id string, c *metal.ConfigRelease) *metal.InstalledRecord {
	return &metal.InstalledRecord{BootID: id, At: c.At, Config: c}
}

// records are those of servers by their names.
func records() map[string]*metal.ServerRecord {
	ours := &metal.ManagedBy{Installation: "here", Epoch: 1}
	return map[string]*metal.ServerRecord{
		"whose-boots":  {ManagedBy: ours, Boot: booted("b1", release("192.0.2.1", 1))},
		"whose-runs":   {ManagedBy: ours, Boot: booted("b2", nil), Installed: installed("b2", release("192.0.2.2", 1))},
		"whose-moved":  {ManagedBy: ours, Boot: booted("b4", nil), Installed: installed("b3", release("192.0.2.3", 1))},
		"whose-old":    {ManagedBy: ours, Boot: booted("b5", release("192.0.2.4", 1))},
		"whose-new":    {ManagedBy: ours, Boot: booted("b6", release("192.0.2.4", 2)), Installed: installed("b6", release("192.0.2.4", 2))},
		"whose-others": {ManagedBy: &metal.ManagedBy{Installation: "there", Epoch: 1}, Boot: booted("b7", release("192.0.2.5", 1))},
		"whose-six":    {ManagedBy: ours, Boot: booted("b8", release("2001:db8::1", 1))},
		"whose-none":   nil,
	}
}

// TestServer: the index and the plain list give the same answer: the server whose config left last for the address, and its last boot if it is of that one.
func TestServer(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := metal.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cfg := testapi.Config(t).ControllerConfig
	api, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	for name, record := range records() {
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Record: record}}
		if err := api.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = api.Delete(context.Background(), s) })
	}
	cached := testapi.Cache(t, scheme, whose.Index)
	for address, want := range map[string]struct {
		server, boot string
	}{
		"192.0.2.1":        {"whose-boots", "b1"},
		"192.0.2.2":        {"whose-runs", "b2"},
		"192.0.2.3":        {"whose-moved", ""},
		"192.0.2.4":        {"whose-new", "b6"},
		"192.0.2.5":        {},
		"192.0.2.6":        {},
		"2001:db8::1":      {"whose-six", "b8"},
		"2001:db8:0:0::1":  {"whose-six", "b8"},
		"::ffff:192.0.2.6": {},
	} {
		for kind, f := range map[string]whose.Finder{"index": {Reader: cached, Indexed: true, Installation: "here"}, "list": {Reader: api, Installation: "here"}} {
			server, boot, ok := f.Server(t.Context(), netip.MustParseAddr(address))
			if server != want.server || boot != want.boot || ok != (want.server != "") {
				t.Errorf("%s, by %s: %q, %q, %v; want %v", address, kind, server, boot, ok, want)
			}
		}
	}
}
