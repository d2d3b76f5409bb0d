// Package disks answers which disks of a server other Servers show too.
//
// It is an adapter (layer 2) over a reader of the Kubernetes API, and reads only. In the manager's cache an index by WWID answers, so that thousands
// of Servers cost no full list for each question; any other reader is asked for the whole list. Both give the same answer, which identity.Elsewhere
// makes.
package disks

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/identity"
)

// byWWID names the index.
const byWWID = "ingot.wwid"

// Index makes the manager's cache find inventories by the WWIDs of their disks. It is called before the cache starts.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &metal.ServerInventory{}, byWWID, func(o client.Object) []string {
		inventory, ok := o.(*metal.ServerInventory)
		if !ok {
			return nil
		}
		return identity.WWIDs(&inventory.Spec)
	})
	if err != nil {
		return fmt.Errorf("indexing inventories by WWID: %w", err)
	}
	return nil
}

// Finder finds shared disks. It is safe for concurrent use.
type Finder struct {
	Reader client.Reader
	// Indexed says that Reader is the cache that Index was called for. Without it every question lists all inventories.
	Indexed bool
}

// Elsewhere maps each of the WWIDs that another Server's inventory shows too to that Server.
func (f Finder) Elsewhere(ctx context.Context, name string, wwids []string) (map[string]string, error) {
	if len(wwids) == 0 {
		return nil, nil
	}
	if !f.Indexed {
		return f.elsewhere(ctx, name, wwids)
	}
	found := map[string]string{}
	for _, w := range wwids {
		key := identity.WWIDKey(w)
		if key == "" {
			continue
		}
		one, err := f.elsewhere(ctx, name, []string{w}, client.MatchingFields{byWWID: key})
		if err != nil {
			return nil, err
		}
		if other, ok := one[w]; ok {
			found[w] = other
		}
	}
	return found, nil
}

// elsewhere asks once. The answer is only read, so the cache need not copy it.
func (f Finder) elsewhere(ctx context.Context, name string, wwids []string, opts ...client.ListOption) (map[string]string, error) {
	var list metal.ServerInventoryList
	if err := f.Reader.List(ctx, &list, append(opts, client.UnsafeDisableDeepCopy)...); err != nil {
		return nil, fmt.Errorf("looking for disks of Server %s elsewhere: %w", name, err)
	}
	return identity.Elsewhere(name, wwids, list.Items), nil
}
