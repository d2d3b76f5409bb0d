package candidates_test

import (
	"context"
	"os"
	"reflect"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/candidates"
	"ingot.dev/ingot/metal-controller/identity"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

const macA, macB, macC, uuidA, uuidB = "52:54:00:00:00:0a", "52:54:00:00:00:0b", "52:54:00:00:00:0c", "11111111-2222-3333-4444-55555555aaaa", "11111111-2222-3333-4444-55555555bbbb"

// objects are three Servers: one that is declared, one whose evidence is in its inventory alone, in capitals, and one that shares a UUID with the first; and the
// inventory of a Server that is gone.
func objects() []client.Object {
	server := func(name string, id *metal.Identity) *metal.Server {
		return &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Identity: id}}
	}
	inventory := func(name, uuid, serial, mac string) *metal.ServerInventory {
		return &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerInventorySpec{
			System: metal.SystemInfo{Manufacturer: "Acme", Serial: serial, UUID: uuid}, NICs: []metal.NIC{{Name: "eth0", MAC: mac, PCIAddress: "0000:00:01.0"}},
		}}
	}
	return []client.Object{
		server("declared", &metal.Identity{MACs: []string{macA}, UUID: uuidA}), server("reported", nil), server("twin", &metal.Identity{MACs: []string{macC}, UUID: uuidA}),
		inventory("reported", "11111111-2222-3333-4444-55555555BBBB", "7XK", macB), inventory("gone", uuidB, "8YY", macA),
	}
}

// TestOf: the index finds who shares evidence, and matching says of these what it says of all; the plain list is its control, and finds everybody.
func TestOf(t *testing.T) {
	scheme := runtime.NewScheme()
	must(t, metal.AddToScheme(scheme))
	cfg := testapi.Config(t).ControllerConfig
	api, err := client.New(cfg, client.Options{Scheme: scheme})
	must(t, err)
	for _, o := range objects() {
		must(t, api.Create(t.Context(), o))
		t.Cleanup(func() { _ = api.Delete(context.Background(), o) })
	}
	cached := testapi.Cache(t, scheme, candidates.Index)
	for what, c := range map[string]struct {
		id   boot.Identity
		want []string
	}{
		"MAC":             {boot.Identity{MACs: []string{macA}}, []string{"declared"}},
		"UUID of two":     {boot.Identity{UUID: uuidA}, []string{"declared", "twin"}},
		"reported UUID":   {boot.Identity{UUID: uuidB}, []string{"reported"}},
		"reported serial": {boot.Identity{Manufacturer: "ACME ", Serial: "7xk"}, []string{"reported"}},
		"all of three":    {boot.Identity{MACs: []string{macB, macC}, UUID: uuidA}, []string{"declared", "reported", "twin"}},
		"nobody's":        {boot.Identity{MACs: []string{"52:54:00:00:00:0d"}, Serial: "8YY", Manufacturer: "Acme"}, nil},
		"nothing":         {boot.Identity{}, nil},
	} {
		found, answer := ask(t, candidates.Finder{Reader: cached, Indexed: true}, c.id)
		if !slices.Equal(found, c.want) {
			t.Errorf("%s: found %v; want %v", what, found, c.want)
		}
		all, want := ask(t, candidates.Finder{Reader: api}, c.id)
		if !reflect.DeepEqual(answer, want) || len(all) != 3 {
			t.Errorf("%s: of those found %+v; of all, %v, %+v", what, answer, all, want)
		}
	}
}

// ask names who was found, and what matching says of them.
func ask(t *testing.T, f candidates.Finder, id boot.Identity) (names []string, m boot.Match) {
	t.Helper()
	servers, inventories, err := f.Of(t.Context(), id)
	must(t, err)
	table := identity.Table(servers, inventories, "here")
	for _, row := range table {
		names = append(names, row.Name)
	}
	return names, boot.Resolve(id, table)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
