package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machinelog"
	"ingot.dev/ingot/metal-controller/machinelog/keeper"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

func newClient(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), metal.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// desk is one replica with the rights of the controllers.
type desk struct {
	*keeper.Keeper
	now time.Time
}

func replica(t *testing.T) *desk {
	t.Helper()
	c := newClient(t, testapi.Config(t).ControllerConfig)
	d := &desk{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return d.now }
	d.Keeper = &keeper.Keeper{Client: c, Live: c, Book: machinelog.New(clock), Now: clock, Log: testr.New(t)}
	return d
}

// says adds a line and lets the replica write, later than whatever was written before.
func (d *desk) says(t *testing.T, at time.Duration, server, text string) {
	t.Helper()
	d.Book.Add(server, machinelog.Kernel, text)
	d.now = d.now.Add(at)
	if !d.Step(t.Context(), false) {
		t.Fatalf("nothing was due after %q", text)
	}
}

func serverOf(t *testing.T, name string) *metal.Server {
	t.Helper()
	c := newClient(t, testapi.Config(t).ControllerConfig)
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := c.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = newClient(t, testapi.Config(t).AdminConfig).Delete(context.Background(), s) })
	return s
}

func kept(t *testing.T, server string) []corev1.ConfigMap {
	t.Helper()
	var list corev1.ConfigMapList
	if err := newClient(t, testapi.Config(t).AdminConfig).List(t.Context(), &list, client.InNamespace(metal.SystemNamespace), client.MatchingLabels{machinelog.Label: server}); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// texts are all lines that are kept of a server.
func texts(t *testing.T, server string) string {
	t.Helper()
	var writes [][]machinelog.Line
	for _, m := range kept(t, server) {
		lines, err := machinelog.Decode(m.BinaryData[machinelog.Key])
		if err != nil {
			t.Fatal(err)
		}
		writes = append(writes, lines)
	}
	var all []string
	for _, l := range machinelog.Merge(writes...) {
		all = append(all, l.Text)
	}
	return strings.Join(all, " ")
}

// TestKeeps: with the rights that the controllers have, each write replaces the one before, belongs to its Server, and cannot be changed; the writes of
// another replica stay, and of those before the start only the newest.
func TestKeeps(t *testing.T) {
	s := serverOf(t, "keeper-1")
	for i := range 4 { // four lives of a replica
		replica(t).says(t, time.Duration(i+3)*time.Second, s.Name, fmt.Sprint("life", i))
	}
	a, b := replica(t), replica(t)
	a.says(t, time.Minute, s.Name, "a1")
	b.says(t, 2*time.Minute, s.Name, "b1")
	a.says(t, time.Minute+time.Second, s.Name, "a2")
	if got := strings.Fields(texts(t, s.Name)); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"a1", "a2", "b1", "life3"}) {
		t.Errorf("%q", got)
	}
	all := kept(t, s.Name)
	if len(all) > 4 {
		t.Errorf("%d ConfigMaps are kept", len(all))
	}
	for _, m := range all {
		o := m.OwnerReferences
		if len(o) != 1 || o[0].UID != s.UID || m.Immutable == nil || !*m.Immutable {
			t.Errorf("%s: owners %v, immutable %v", m.Name, o, m.Immutable)
		}
	}
	if other := texts(t, "keeper-2"); other != "" {
		t.Errorf("another server has %q", other)
	}
}

// TestGone: of a Server that is gone nothing is written, nor kept in memory.
func TestGone(t *testing.T) {
	d := replica(t)
	d.says(t, time.Minute, "keeper-gone", "x")
	if n := len(kept(t, "keeper-gone")); n != 0 || d.Book.Lines("keeper-gone") != nil {
		t.Errorf("%d ConfigMaps, %v", n, d.Book.Lines("keeper-gone"))
	}
}

// TestParting: what was said last is written when the program ends.
func TestParting(t *testing.T) {
	s := serverOf(t, "keeper-3")
	d := replica(t)
	d.Book.Add(s.Name, machinelog.Kernel, "last")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Start(ctx); err != nil || texts(t, s.Name) != "last" {
		t.Errorf("%q, %v", texts(t, s.Name), err)
	}
}

// TestTrouble: while the API server refuses, lines stay and are written later.
func TestTrouble(t *testing.T) {
	s := serverOf(t, "keeper-4")
	d := replica(t)
	right := d.Client
	d.Client = refusing{right}
	d.says(t, time.Minute, s.Name, "one")
	if got := texts(t, s.Name); got != "" {
		t.Errorf("control: %q", got)
	}
	d.Client = right
	d.says(t, time.Minute, s.Name, "two")
	if got := texts(t, s.Name); got != "one two" {
		t.Errorf("%q", got)
	}
}

// refusing creates nothing.
type refusing struct{ client.Client }

func (refusing) Create(context.Context, client.Object, ...client.CreateOption) error {
	return errors.New("refused")
}
