package setup

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/allocate"
)

// idle says what Available servers do, by the classes that they fit.
type idle struct {
	reader client.Reader
	eval   allocate.Eval
}

// Warm says that one of the classes that the server fits keeps idle servers warm: somebody wants them soon.
func (i idle) Warm(ctx context.Context, server *metal.Server, inventory *metal.ServerInventorySpec) (bool, error) {
	if inventory == nil {
		return false, nil
	}
	var classes metal.ServerClassList
	if err := i.reader.List(ctx, &classes, client.UnsafeDisableDeepCopy); err != nil { // only read
		return false, fmt.Errorf("listing ServerClasses: %w", err)
	}
	hardware := &metal.ServerInventory{Spec: *inventory}
	for c := range classes.Items {
		class := &classes.Items[c]
		if class.Spec.IdlePolicy == metal.IdleWarm && len(allocate.Fit(class, server, hardware, i.eval)) == 0 {
			return true, nil
		}
	}
	return false, nil
}
