package claim

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/allocate"
)

// maxMemo answers are remembered; then all are forgotten.
const maxMemo = 100_000

// memo remembers whether servers fit classes, since many claims wait for the same class and its expressions are costly. The zero value is ready.
type memo struct {
	mu      sync.Mutex
	answers map[question]answer
}

type question struct{ class, server string }

// answer holds what it was made of: it counts as long as all of it is the same.
type answer struct {
	class, server           types.UID
	classSpec, serverSpec   int64
	inventory, inventoryUID string
	labels                  map[string]string
	reasons                 []allocate.Reason
}

func (a *answer) same(b *answer) bool {
	return a.class == b.class && a.server == b.server && a.classSpec == b.classSpec && a.serverSpec == b.serverSpec &&
		a.inventory == b.inventory && a.inventoryUID == b.inventoryUID && maps.Equal(a.labels, b.labels)
}

// fit is allocate.Fit with a memory.
func (r *Reconciler) fit(class *metal.ServerClass, server *metal.Server, inventory *metal.ServerInventory) []allocate.Reason {
	now := answer{class: class.UID, server: server.UID, classSpec: class.Generation, serverSpec: server.Generation, labels: server.Labels}
	if inventory != nil {
		now.inventory, now.inventoryUID = inventory.ResourceVersion, string(inventory.UID)
	}
	q := question{class.Name, server.Name}
	r.memo.mu.Lock()
	old, ok := r.memo.answers[q]
	r.memo.mu.Unlock()
	if ok && old.same(&now) {
		return old.reasons
	}
	now.reasons, now.labels = allocate.Fit(class, server, inventory, r.CEL.Eval), maps.Clone(server.Labels)
	r.memo.mu.Lock()
	defer r.memo.mu.Unlock()
	if r.memo.answers == nil || len(r.memo.answers) >= maxMemo {
		r.memo.answers = map[question]answer{}
	}
	r.memo.answers[q] = now
	return now.reasons
}
