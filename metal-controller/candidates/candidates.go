// Package candidates finds the Servers that a machine may be: those that have some evidence in common with it.
//
// It is an adapter (layer 2) over a reader of the Kubernetes API, and reads only; pxe-server/boot says what evidence is, and judges. In the manager's cache an index
// answers, so that a thousand machines that enrol at once do not look through all Servers a thousand times; any other reader is asked for all of them. What is returned
// belongs to the cache and must not be changed.
package candidates

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/identity"
	"ingot.dev/ingot/pxe-server/boot"
)

// byEvidence names both indexes.
const byEvidence = "ingot.evidence"

// Index makes the manager's cache find Servers by what is declared of them, and inventories by what they report. It is called before the cache starts.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &metal.Server{}, byEvidence, func(o client.Object) []string {
		s, ok := o.(*metal.Server)
		if !ok {
			return nil
		}
		return boot.Keys(identity.Of(s, nil))
	})
	if err != nil {
		return fmt.Errorf("indexing Servers by evidence: %w", err)
	}
	err = indexer.IndexField(ctx, &metal.ServerInventory{}, byEvidence, func(o client.Object) []string {
		i, ok := o.(*metal.ServerInventory)
		if !ok {
			return nil
		}
		return boot.Keys(identity.Of(&metal.Server{}, &i.Spec))
	})
	if err != nil {
		return fmt.Errorf("indexing inventories by evidence: %w", err)
	}
	return nil
}

// Finder finds candidates. It is safe for concurrent use.
type Finder struct {
	Reader client.Reader
	// Indexed says that Reader is the cache that Index was called for. Without it every question lists everything.
	Indexed bool
}

// Of are the Servers that share evidence with a machine, and their inventories; more may be among them.
func (f Finder) Of(ctx context.Context, id boot.Identity) ([]metal.Server, []metal.ServerInventory, error) {
	if !f.Indexed {
		return f.list(ctx)
	}
	names := map[string]bool{}
	for _, key := range boot.Keys(id) {
		servers, inventories, err := f.list(ctx, client.MatchingFields{byEvidence: key})
		if err != nil {
			return nil, nil, err
		}
		for i := range servers {
			names[servers[i].Name] = true
		}
		for i := range inventories {
			names[inventories[i].Name] = true
		}
	}
	return f.get(ctx, names)
}

// get reads Servers and their inventories by name. Either may be missing.
func (f Finder) get(ctx context.Context, names map[string]bool) (servers []metal.Server, inventories []metal.ServerInventory, err error) {
	for name := range names {
		var s metal.Server
		var i metal.ServerInventory
		switch err := f.Reader.Get(ctx, client.ObjectKey{Name: name}, &s); {
		case err == nil:
			servers = append(servers, s)
		case client.IgnoreNotFound(err) != nil:
			return nil, nil, fmt.Errorf("reading Server %s: %w", name, err)
		}
		switch err := f.Reader.Get(ctx, client.ObjectKey{Name: name}, &i); {
		case err == nil:
			inventories = append(inventories, i)
		case client.IgnoreNotFound(err) != nil:
			return nil, nil, fmt.Errorf("reading ServerInventory %s: %w", name, err)
		}
	}
	return servers, inventories, nil
}

// list reads all Servers and inventories, or those that match options.
func (f Finder) list(ctx context.Context, options ...client.ListOption) ([]metal.Server, []metal.ServerInventory, error) {
	var s metal.ServerList
	var i metal.ServerInventoryList
	options = append(options, client.UnsafeDisableDeepCopy) // what is listed is only read
	if err := f.Reader.List(ctx, &s, options...); err != nil {
		return nil, nil, fmt.Errorf("listing Servers: %w", err)
	}
	if err := f.Reader.List(ctx, &i, options...); err != nil {
		return nil, nil, fmt.Errorf("listing ServerInventories: %w", err)
	}
	return s.Items, i.Items, nil
}
