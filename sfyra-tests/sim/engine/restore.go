package engine

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// restorer is who restores backups.
const restorer = "restore"

// backup is what `ingot backup` kept.
type backup struct {
	servers     []*metal.Server
	inventories []*metal.ServerInventory
	claims      []*metal.ServerClaim
}

// keepBackup makes a backup; the newest is kept.
func (o *operator) keepBackup() {
	o.backup = &backup{servers: store.All[metal.Server](o.w.store), inventories: store.All[metal.ServerInventory](o.w.store), claims: store.All[metal.ServerClaim](o.w.store)}
	o.w.log("", "a person makes a backup of %d servers", len(o.backup.servers))
}

// restore is `ingot restore`: the controllers stand still, what the backup holds comes back, and every record says that it may be old.
func (o *operator) restore() {
	if o.backup == nil {
		return
	}
	o.w.count(storesRestored)
	o.w.check.disturbed = o.w.now
	o.w.log("", "a person restores a backup of %d servers", len(o.backup.servers))
	for _, p := range o.w.processes {
		p.die("stopped for the restore")
	}
	c := o.w.store.Client(store.Identity{Name: restorer, Ingot: true})
	o.clear(c)
	o.w.store.CollectGarbage()
	owners := map[string]metav1.OwnerReference{}
	for _, old := range o.backup.servers {
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: old.Name, Annotations: old.Annotations}, Spec: *old.Spec.DeepCopy()}
		lifecycle.Unverify(s, o.at().Time)
		if err := c.Create(background(), s); err != nil {
			o.w.log(old.Name, "cannot be restored %s", text(err))
			continue
		}
		if !s.Spec.Accepted { // the boot side goes by its view of before for a while, as after any other taking back
			o.w.check.unaccepted[s.Name] = o.w.now
		}
		owners[old.Name] = metav1.OwnerReference{APIVersion: metal.GroupVersion.String(), Kind: "Server", Name: s.Name, UID: s.UID}
	}
	for _, old := range o.backup.inventories {
		i := &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: old.Name, OwnerReferences: []metav1.OwnerReference{owners[old.Name]}}, Spec: *old.Spec.DeepCopy()}
		if err := c.Create(background(), i); err != nil {
			o.w.log(old.Name, "its inventory cannot be restored %s", text(err))
		}
	}
	for _, old := range o.backup.claims {
		again := &metal.ServerClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: old.Namespace, Name: old.Name, Labels: old.Labels, Annotations: old.Annotations, Finalizers: old.Finalizers},
			Spec:       *old.Spec.DeepCopy(),
		}
		if err := c.Create(background(), again); err != nil {
			o.w.log(old.Name, "its claim cannot be restored %s", text(err))
		} else if old.DeletionTimestamp != nil {
			_ = c.Delete(background(), again)
		}
	}
}

// clear takes away what is there, whatever locks and finalizers hold it: the store itself is exchanged.
func (o *operator) clear(c *store.Client) {
	for _, s := range store.All[metal.Server](o.w.store) {
		s = s.DeepCopy()
		delete(s.Annotations, claim.LockAnnotation)
		_ = c.Update(background(), s) // nothing refuses these: no fault concerns this client
		_ = c.Delete(background(), s)
	}
	for _, x := range store.All[metal.ServerClaim](o.w.store) {
		x = x.DeepCopy()
		x.Finalizers = nil
		_ = c.Update(background(), x)
		_ = c.Delete(background(), x)
	}
}
