package setup_test

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// TestInventoryGoesWithItsServer: an inventory that stayed would describe whatever machine gets the Server's name next.
func TestInventoryGoesWithItsServer(t *testing.T) {
	c := start(t, nil)
	var names []string
	for _, mac := range []string{"02:00:00:00:0d:01", "02:00:00:00:0d:02"} {
		m, err := boots(t, c, "boot-owner-"+mac[15:], &agent.Evidence{Macs: []string{mac}})
		if err != nil {
			t.Fatal(err)
		}
		if err := report(t, m, mac); err != nil {
			t.Fatal(err)
		}
		names = append(names, m.server)
	}
	api := admin(t)
	get := func(name string) error {
		return api.Get(t.Context(), client.ObjectKey{Name: name}, &metal.ServerInventory{})
	}
	if err := get(names[0]); err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(t.Context(), &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: names[0]}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // the garbage collector is the API server's own
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !apierrors.IsNotFound(get(names[0])) {
		select {
		case <-ctx.Done():
			t.Fatal("the inventory outlived its Server")
		case <-tick.C:
		}
	}
	if err := get(names[1]); err != nil { // control
		t.Errorf("the inventory of another Server: %v", err)
	}
}
