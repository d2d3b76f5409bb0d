package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

const (
	// window is how long a grant counts.
	window = time.Hour
	// recountAfter is how old the count may be that every reconcile gets. It only says whether asking for a grant is worth it.
	recountAfter = 5 * time.Second
	// page bounds one answer of the API server.
	page = 500
)

// grants is what the workers of one process know of grants together. The zero value is ready.
type grants struct {
	// deciding is held from the uncached count until the grant is written.
	deciding sync.Mutex

	mu sync.Mutex
	// own are the grants of this process by the id of the wipe: a record forgets its last wipe when a person accepts the server again.
	own map[string]time.Time
	// last count, and when it was taken; a zero time is never.
	last lifecycle.Budget
	at   time.Time
}

// tally counts over Servers.
type tally struct {
	now      time.Time
	granted  map[string]struct{} // ids of wipes
	accepted int
}

func (t *tally) add(servers []metal.Server) {
	for i := range servers {
		r := servers[i].Spec.Record
		if r == nil {
			continue
		}
		if r.Acceptance != nil {
			t.accepted++
		}
		if w := r.Wipe; w != nil && recent(t.now, w.GrantedAt.Time) {
			t.granted[w.ID] = struct{}{}
		}
	}
}

// recent is whether a grant counts. One that seems to come from the future counts as long: a clock jumped.
func recent(now, at time.Time) bool { return now.Sub(at).Abs() < window }

// budget is the count that every reconcile gets, from the cache, and a moment old.
func (r *Reconciler) budget(ctx context.Context) (lifecycle.Budget, error) {
	now := r.Now()
	if b, ok := r.grants.known(now); ok {
		return b, nil
	}
	var list metal.ServerList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil { // only read
		return lifecycle.Budget{}, fmt.Errorf("counting grants: %w", err)
	}
	t := tally{now: now, granted: map[string]struct{}{}}
	t.add(list.Items)
	return r.grants.keep(&t, r.Limit), nil
}

// recount is the count that permits: from the API server itself. The caller holds deciding. A count of a moment ago that left no room is good enough
// to refuse.
func (r *Reconciler) recount(ctx context.Context) (lifecycle.Budget, error) {
	now := r.Now()
	if b, ok := r.grants.known(now); ok && b.Granted >= b.Limit {
		return b, nil
	}
	t := tally{now: now, granted: map[string]struct{}{}}
	var list metal.ServerList
	for {
		next := list.Continue
		list = metal.ServerList{}
		if err := r.Live.List(ctx, &list, client.Limit(page), client.Continue(next)); err != nil {
			return lifecycle.Budget{}, fmt.Errorf("counting grants: %w", err)
		}
		t.add(list.Items)
		if list.Continue == "" {
			return r.grants.keep(&t, r.Limit), nil
		}
	}
}

// known is the last count, if it is young enough.
func (g *grants) known(now time.Time) (lifecycle.Budget, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last, !g.at.IsZero() && now.Sub(g.at).Abs() < recountAfter
}

// keep adds the own grants to a count, and remembers it.
func (g *grants) keep(t *tally, l Limit) lifecycle.Budget {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, at := range g.own {
		if recent(t.now, at) {
			t.granted[id] = struct{}{}
		} else {
			delete(g.own, id)
		}
	}
	g.last, g.at = lifecycle.Budget{Granted: len(t.granted), Limit: l.Of(t.accepted)}, t.now
	return g.last
}

// remember notes a grant that was just written.
func (g *grants) remember(w *metal.WipeRecord) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.own == nil {
		g.own = map[string]time.Time{}
	}
	g.own[w.ID] = w.GrantedAt.Time
	g.last.Granted++
}
