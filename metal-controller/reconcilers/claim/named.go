package claim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

const (
	// byClaim names the index of Servers by the claim in their record, byLock that by the claim in their lock annotation, both as namespace/name.
	byClaim = "ingot.claim"
	byLock  = "ingot.lock"
	// byWaiting names the index of ServerClaims without a binding: by their class, and all together under everyClass.
	byWaiting  = "ingot.waiting"
	everyClass = "*"
	// page bounds one answer of the API server.
	page = 500
	// lockPrefix is how our lock annotations begin; the claim follows.
	lockPrefix = "claimed by "
)

// Index makes the manager's cache answer what the reconciler asks. It is called before the cache starts.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	for field, of := range map[string]struct {
		object  client.Object
		extract client.IndexerFunc
	}{
		byClaim: {&metal.Server{}, sideKeys}, byLock: {&metal.Server{}, lockKeys}, byWaiting: {&metal.ServerClaim{}, waitingKeys},
	} {
		if err := indexer.IndexField(ctx, of.object, field, of.extract); err != nil {
			return fmt.Errorf("indexing %T by %s: %w", of.object, field, err)
		}
	}
	return nil
}

func sideKeys(o client.Object) []string {
	s, ok := o.(*metal.Server)
	if !ok || sideOf(s) == nil {
		return nil
	}
	return []string{sideOf(s).Namespace + "/" + sideOf(s).Name}
}

func lockKeys(o client.Object) []string {
	if of, ok := strings.CutPrefix(o.GetAnnotations()[LockAnnotation], lockPrefix); ok {
		return []string{of}
	}
	return nil
}

func waitingKeys(o client.Object) []string {
	c, ok := o.(*metal.ServerClaim)
	if !ok || c.Spec.Binding != nil || c.DeletionTimestamp != nil {
		return nil
	}
	return []string{everyClass, c.Spec.ClassName}
}

// find lists the Servers of the cache that an index has under a key. They are only read.
func (r *Reconciler) find(ctx context.Context, field, value string, extract client.IndexerFunc) ([]metal.Server, error) {
	opts := []client.ListOption{client.UnsafeDisableDeepCopy}
	if r.Indexed {
		opts = append(opts, client.MatchingFields{field: value})
	}
	var list metal.ServerList
	if err := r.Client.List(ctx, &list, opts...); err != nil {
		return nil, fmt.Errorf("looking for Servers by %s: %w", field, err)
	}
	return slices.DeleteFunc(slices.Clone(list.Items), func(s metal.Server) bool { return !slices.Contains(extract(&s), value) }), nil
}

// named is the Server whose record names the claim, read uncached, nil when there is none. Of several, which a crash and a cache that was behind may
// leave, it is the one that got furthest; the others end once the claim is bound.
func (r *Reconciler) named(ctx context.Context, claim *metal.ServerClaim) (*metal.Server, error) {
	found, err := r.find(ctx, byClaim, key(claim).String(), sideKeys)
	if err != nil {
		return nil, err
	}
	names := r.taken.of(key(claim))
	for i := range found {
		names = append(names, found[i].Name)
	}
	var live []metal.Server
	for _, name := range names {
		s, err := r.server(ctx, name)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		if err == nil && r.names(s, key(claim)) {
			live = append(live, *s)
		} else {
			r.taken.drop(name, key(claim)) // it was not written, or ended since
		}
	}
	return furthest(live), nil
}

// anywhere is named, and asks the API server for all Servers before it says that there is none.
func (r *Reconciler) anywhere(ctx context.Context, claim *metal.ServerClaim) (*metal.Server, error) {
	if s, err := r.named(ctx, claim); s != nil || err != nil {
		return s, err
	}
	var list metal.ServerList
	for {
		next := list.Continue
		list = metal.ServerList{}
		if err := r.Live.List(ctx, &list, client.Limit(page), client.Continue(next)); err != nil {
			return nil, fmt.Errorf("looking for the Server of ServerClaim %s: %w", key(claim), err)
		}
		for i := range list.Items {
			if r.names(&list.Items[i], key(claim)) {
				return &list.Items[i], nil
			}
		}
		if list.Continue == "" {
			return nil, nil
		}
	}
}

// names says that the Server's record names the claim. Another installation's bindings are not ours to end or to go on with.
func (r *Reconciler) names(s *metal.Server, claim types.NamespacedName) bool {
	side := sideOf(s)
	ours := side != nil && s.Spec.Record.ManagedBy != nil && !s.Spec.Record.Foreign(r.Installation)
	return ours && side.Namespace == claim.Namespace && side.Name == claim.Name
}

func furthest(list []metal.Server) *metal.Server {
	if len(list) == 0 {
		return nil
	}
	order := func(a, b metal.Server) int {
		x, y := sideOf(&a), sideOf(&b)
		if (x.BoundAt != nil) != (y.BoundAt != nil) {
			return map[bool]int{true: -1, false: 1}[x.BoundAt != nil]
		}
		return cmp.Or(x.At.Compare(y.At.Time), strings.Compare(a.Name, b.Name))
	}
	best := slices.MinFunc(list, order)
	return &best
}

func sideOf(s *metal.Server) *metal.ClaimRecord {
	if s.Spec.Record == nil {
		return nil
	}
	return s.Spec.Record.Claim
}

// lock keeps the Server from being deleted. A lock that somebody else put there stays as it is.
func lock(s *metal.Server, claim types.NamespacedName) {
	if _, ok := s.Annotations[LockAnnotation]; ok {
		return
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[LockAnnotation] = lockPrefix + claim.String()
}

// unlock takes the claim's lock off, and says whether there was one.
func unlock(s *metal.Server, namespace, name string) bool {
	if s.Annotations[LockAnnotation] != lockPrefix+namespace+"/"+name {
		return false
	}
	delete(s.Annotations, LockAnnotation)
	return true
}

// unlockAll takes the locks of a claim that is gone off the Servers that do not hold its binding any more.
func (r *Reconciler) unlockAll(ctx context.Context, claim types.NamespacedName) error {
	found, err := r.find(ctx, byLock, claim.String(), lockKeys)
	if err != nil {
		return err
	}
	for i := range found {
		if err := r.open(ctx, found[i].Name, claim); err != nil {
			return err
		}
	}
	return nil
}

// open takes the claim's lock off a Server whose record does not name it.
func (r *Reconciler) open(ctx context.Context, name string, claim types.NamespacedName) error {
	server, err := r.server(ctx, name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	before := server.DeepCopy()
	if side := sideOf(server); side != nil && side.Namespace == claim.Namespace && side.Name == claim.Name || !unlock(server, claim.Namespace, claim.Name) {
		return nil
	}
	if err := r.Client.Patch(ctx, server, locked(before)); err != nil {
		return fmt.Errorf("unlocking Server %s: %w", name, err)
	}
	return nil
}
