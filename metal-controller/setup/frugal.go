package setup

import (
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// frugal keeps the cache of thousands of servers small: nobody asks who wrote which field of them, and their inventories share the words that they have in common. Of
// Cluster API's objects it is asked, so theirs stays.
func frugal() cache.Options {
	strip, words := cache.TransformStripManagedFields(), &words{known: map[string]string{}}
	return cache.Options{ByObject: map[client.Object]cache.ByObject{
		&metal.Server{}: {Transform: strip},
		&metal.ServerInventory{}: {Transform: func(in any) (any, error) {
			if i, ok := in.(*metal.ServerInventory); ok {
				words.inventory(&i.Spec)
			}
			return strip(in)
		}},
	}}
}

// manyWords bounds the words that are remembered: machines say what they like.
const manyWords = 20_000

// words gives equal words the same memory. It is safe for concurrent use.
type words struct {
	mu    sync.Mutex
	known map[string]string
}

func (w *words) share(all ...*string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range all {
		if same, ok := w.known[*s]; ok {
			*s = same
		} else if len(w.known) < manyWords {
			w.known[*s] = *s
		}
	}
}

// inventory shares what servers of one kind have in common.
func (w *words) inventory(s *metal.ServerInventorySpec) {
	w.share(&s.System.Manufacturer, &s.System.Product, &s.Baseboard.Manufacturer, &s.Baseboard.Product, &s.Chassis.Manufacturer, &s.Firmware.Vendor, &s.Firmware.Version, &s.Firmware.Date)
	for i := range s.CPUs {
		c := &s.CPUs[i]
		w.share(&c.Socket, &c.Manufacturer, &c.Model)
	}
	for i := range s.Memory.DIMMs {
		d := &s.Memory.DIMMs[i]
		w.share(&d.Slot, &d.Type, &d.Manufacturer, &d.Part)
	}
	for i := range s.Disks {
		d := &s.Disks[i]
		w.share(&d.Name, &d.Model, &d.Transport, &d.PCIAddress)
	}
	for i := range s.NICs {
		n := &s.NICs[i]
		w.share(&n.Name, &n.Driver, &n.PCIAddress)
		if n.Neighbor != nil {
			w.share(&n.Neighbor.ChassisID, &n.Neighbor.PortID, &n.Neighbor.PortDescription, &n.Neighbor.SystemName)
		}
	}
	for i := range s.PCI {
		d := &s.PCI[i]
		w.share(&d.Address, &d.Vendor, &d.Device, &d.Class, &d.Driver)
	}
}
