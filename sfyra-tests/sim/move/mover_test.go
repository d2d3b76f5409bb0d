package move_test

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// mover does what clusterctl's move does (cmd/clusterctl/client/cluster/mover.go of 1.14.2), one call of the API at a time; it may die between any two.
type mover struct {
	w        *world
	from, to *side
	steps    []func() bool // false: again later
	blocked  []string
	secrets  []string
	patience int
}

// begin discovers what is to be moved. What comes up later is left behind; so is what blocks only later.
func (w *world) begin(from, to *side) {
	m := &mover{w: w, from: from, to: to, patience: 400}
	if from.cluster == nil || from.cluster.paused {
		return // clusterctl refuses
	}
	claims, unseen := 0, 0
	for _, c := range store.All[metal.ServerClaim](from.store) {
		_, blocks := c.Annotations[metal.BlockMoveAnnotation]
		_, moved := c.Annotations[metal.MoveAnnotation]
		switch {
		case blocks:
			m.blocked, claims = append(m.blocked, c.Name), claims+1
		case !moved: // what an earlier move had begun to delete lost what blocks, which no person can see
			unseen++
		}
	}
	for _, s := range store.All[corev1.Secret](from.store) {
		if _, ok := s.Labels[metal.MoveLabel]; ok {
			m.secrets = append(m.secrets, s.Name)
		}
	}
	if unseen > 0 || len(m.secrets) < claims {
		return // the controllers have not seen everything yet: a person moves later
	}
	m.steps = append(m.steps, func() bool { from.cluster.paused, from.cluster.pausedAt = true, w.time().Truncate(1e9); return true }, m.unblocked)
	m.steps = append(m.steps, func() bool {
		if to.cluster == nil {
			to.cluster = &cluster{paused: true, pausedAt: from.cluster.pausedAt}
		}
		to.cluster.paused = true
		return true
	})
	first := []func() bool{}
	for _, name := range w.names {
		first = append(first, func() bool { return m.copy(&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}, true) },
			func() bool { return m.copy(&metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}}, true) })
	}
	for _, name := range m.secrets {
		first = append(first, func() bool {
			return m.copy(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name}}, false)
		})
	}
	w.rand.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	m.steps = append(m.steps, first...)
	for _, name := range w.names {
		m.steps = append(m.steps, func() bool {
			return m.copy(&metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "c-" + name}}, false)
		})
	}
	for _, name := range w.names {
		m.steps = append(m.steps, m.deletion(&metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "c-" + name}})...)
	}
	for _, name := range m.secrets {
		m.steps = append(m.steps, m.deletion(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name}})...)
	}
	m.steps = append(m.steps, func() bool { from.cluster = nil; return true }, func() bool { to.cluster.paused, to.cluster.pausedAt = false, w.time(); w.moves++; return true })
	w.mover = m
	w.note("a move from %s to %s begins", from.name, to.name)
}

// step makes the next call; the mover is gone after the last.
func (m *mover) step() {
	if !m.steps[0]() {
		if m.patience--; m.patience <= 0 {
			m.w.note("the move gives up")
			m.w.mover = nil
			m.w.gaveUp++
		}
		return
	}
	if m.steps = m.steps[1:]; len(m.steps) == 0 {
		m.w.note("the move is over")
		m.w.mover = nil
	}
}

func (m *mover) unblocked() bool {
	return !slices.ContainsFunc(m.blocked, func(name string) bool {
		c := store.Peek[metal.ServerClaim](m.from.store, "prod", name)
		if c == nil {
			return false
		}
		_, ok := c.Annotations[metal.BlockMoveAnnotation]
		return ok
	})
}

// copy creates an object at the target as it is now. One that is there is left as it is when it has no namespace, and overwritten otherwise.
func (m *mover) copy(o client.Object, global bool) bool {
	ctx, there := context.Background(), m.w.admin(m.to)
	if err := m.w.admin(m.from).Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return apierrors.IsNotFound(err)
	}
	o.SetUID("")
	o.SetResourceVersion("")
	o.SetDeletionTimestamp(nil)
	err := there.Create(ctx, o)
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			m.w.fail("clusterctl may not create %T %s: %v", o, o.GetName(), err)
		}
		return true
	}
	if global {
		return true
	}
	have := o.DeepCopyObject().(client.Object)
	if there.Get(ctx, client.ObjectKeyFromObject(o), have) != nil {
		return false
	}
	o.SetUID(have.GetUID())
	o.SetResourceVersion(have.GetResourceVersion())
	return there.Update(ctx, o) == nil
}

// deletion takes an object away: its annotations are replaced, it is deleted, and its finalizers are stripped.
func (m *mover) deletion(o client.Object) []func() bool {
	ctx, c := context.Background(), m.w.admin(m.from)
	read := func(then func() error) func() bool {
		return func() bool {
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return apierrors.IsNotFound(err)
			}
			return client.IgnoreNotFound(then()) == nil
		}
	}
	return []func() bool{
		read(func() error { o.SetAnnotations(map[string]string{metal.MoveAnnotation: ""}); return c.Update(ctx, o) }),
		read(func() error { return c.Delete(ctx, o) }),
		read(func() error { o.SetFinalizers(nil); return c.Update(ctx, o) }),
	}
}
