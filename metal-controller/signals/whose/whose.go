// Package whose finds the server that an address belongs to, by what Ingot recorded when machine config left for it.
//
// It is an adapter (layer 2) over a reader of the Kubernetes API, and reads only. The answer proves nothing: an address can be taken by somebody else. In
// the manager's cache an index answers; any other reader is asked for the whole list.
package whose

import (
	"context"
	"fmt"
	"net/netip"

	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// byAddress names the index.
const byAddress = "ingot.config-source"

// Index makes the manager's cache find Servers by the addresses that machine configs left for. It is called before the cache starts.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &metal.Server{}, byAddress, func(o client.Object) (keys []string) {
		s, ok := o.(*metal.Server)
		if !ok {
			return nil
		}
		for _, c := range releases(s.Spec.Record) {
			if c != nil {
				keys = append(keys, c.Source)
			}
		}
		return keys
	})
	if err != nil {
		return fmt.Errorf("indexing Servers by address: %w", err)
	}
	return nil
}

// releases are those of the last boot that was expected, and of the boot that installed what runs; each may be nil.
func releases(r *metal.ServerRecord) (both [2]*metal.ConfigRelease) {
	if r != nil && r.Boot != nil {
		both[0] = r.Boot.Config
	}
	if r != nil && r.Installed != nil {
		both[1] = r.Installed.Config
	}
	return both
}

// Finder finds servers. It is safe for concurrent use.
type Finder struct {
	Reader client.Reader
	// Indexed says that Reader is the cache that Index was called for. Without it every question lists all Servers.
	Indexed bool
	// Installation is ours: servers of another one are left alone.
	Installation string
}

// Server is the one whose machine config left for the address last, and the boot that it left in, if that is the last boot that was expected of it.
func (f Finder) Server(ctx context.Context, from netip.Addr) (server, boot string, ok bool) {
	opts := []client.ListOption{client.UnsafeDisableDeepCopy} // it is only read
	if f.Indexed {
		opts = append(opts, client.MatchingFields{byAddress: from.String()})
	}
	var list metal.ServerList
	if f.Reader.List(ctx, &list, opts...) != nil {
		return "", "", false // a hint that is lost
	}
	var newest *metal.ConfigRelease
	for i := range list.Items {
		s := &list.Items[i]
		m := s.Spec.Record
		if m == nil || m.ManagedBy == nil || m.Foreign(f.Installation) {
			continue
		}
		for _, c := range releases(m) {
			if c != nil && c.Source == from.String() && (newest == nil || c.At.After(newest.At.Time)) {
				newest, server, boot = c, s.Name, bootOf(m, c)
			}
		}
	}
	return server, boot, newest != nil
}

// bootOf is the boot of a release. An older one than the last has no place in the timelines any more.
func bootOf(r *metal.ServerRecord, c *metal.ConfigRelease) string {
	switch {
	case r.Boot == nil:
		return ""
	case c == r.Boot.Config, r.Installed != nil && r.Installed.BootID == r.Boot.ID:
		return r.Boot.ID
	}
	return ""
}
