package storetest_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/sim/store"
	"ingot.dev/ingot/sfyra-tests/sim/store/storetest"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(testapi.Main(m))
}

// simulated is a backend of the store.
func simulated(*testing.T) storetest.Backend {
	s := store.New(func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC) })
	return storetest.Backend{
		Ingot: s.Client(store.Identity{Name: "ingot", Ingot: true}), Admin: s.Client(store.Identity{Name: "admin", Mover: true}),
		Namespaces: [2]string{"test-one", "test-two"}, Settle: func() { s.CollectGarbage() },
	}
}

// followed is a backend whose reads come from a view that misses nothing.
func followed(*testing.T) storetest.Backend {
	s := store.New(func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC) })
	v := s.Cached(store.Fresh)
	return storetest.Backend{
		Ingot: v.Client(store.Identity{Name: "ingot", Ingot: true}), Admin: v.Client(store.Identity{Name: "admin", Mover: true}),
		Namespaces: [2]string{"test-one", "test-two"}, Settle: func() { s.CollectGarbage() },
	}
}

// actual is a backend of a real API server.
func actual(t *testing.T) storetest.Backend {
	t.Helper()
	api := testapi.Config(t)
	// The controllers' own identity may not write Secrets, so an administrator acts in their group.
	inGroup := rest.CopyConfig(api.AdminConfig)
	inGroup.Impersonate = rest.ImpersonationConfig{UserName: "contract", Groups: []string{"system:masters", "ingot:controllers"}}
	return storetest.Backend{
		Ingot: connect(t, inGroup), Admin: connect(t, api.AdminConfig),
		Namespaces: [2]string{testapi.Namespace(t), testapi.Namespace(t)},
	}
}

func connect(t *testing.T, who *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), metal.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(who, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStore(t *testing.T)     { storetest.Run(t, simulated) }
func TestAPIServer(t *testing.T) { storetest.Run(t, actual) }

// TestView: a view that misses nothing reads as the store does, but for pages, versions of lists and selectors by name, which no cache has.
func TestView(t *testing.T) { storetest.RunCached(t, followed) }

// TestSameAsAPIServer does random operations on the store and on a real API server and compares.
func TestSameAsAPIServer(t *testing.T) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if difference := storetest.Compare(t, seed, steps, simulated(t), actual(t)); difference != "" {
				t.Fatal(difference)
			}
		})
	}
}

// seeds and steps are as many as a run of all tests can bear. 8 seeds of 250 steps were the same too.
const seeds, steps = 6, 150

// TestCompareFinds is the control of TestSameAsAPIServer: its operations end in every way that matters, and it finds a server that is a little wrong.
func TestCompareFinds(t *testing.T) {
	count := storetest.Tally(t, seeds, steps, func() storetest.Backend { return simulated(t) })
	for _, reason := range []string{"", "NotFound", "AlreadyExists", "Conflict", "Invalid", "Forbidden"} {
		if count[reason] < 5 {
			t.Errorf("only %d operations ended with %q", count[reason], reason)
		}
	}
	found := 0
	for seed := range uint64(seeds) {
		if difference := storetest.Compare(t, seed, steps, simulated(t), simulated(t)); difference != "" {
			t.Errorf("the store differs from itself: %s", difference)
		}
		lax := simulated(t)
		lax.Admin = lax.Ingot
		if storetest.Compare(t, seed, steps, simulated(t), lax) != "" {
			found++
		}
	}
	if found < seeds/2 {
		t.Errorf("only %d of %d seeds find a server without admission", found, seeds)
	}
}
