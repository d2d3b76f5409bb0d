package lifecycle

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// EtcdStep says what is to be done about the etcd of a claim that asks for its bootstrap.
type EtcdStep string

// The steps.
const (
	// EtcdNotNow: no Talos is installed for the binding, or it ends.
	EtcdNotNow EtcdStep = "NotNow"
	// EtcdOrder: the installed Talos may be ordered to begin, once the record that says so is written.
	EtcdOrder EtcdStep = "Order"
	// EtcdDone: it took the order before.
	EtcdDone EtcdStep = "Done"
	// EtcdLost: another installation was ordered before, so this one never is: the cluster may live on other machines, and a second one beside it would
	// answer in its place.
	EtcdLost EtcdStep = "Lost"
)

// BootstrapEtcd judges whether the Talos of a binding may be ordered to begin the etcd of its cluster. The record that it returns is to be written as that
// of ReleaseConfig, before the order; nil when nothing changes. The order may be repeated: a Talos that has an etcd refuses it (AlreadyExists).
func BootstrapEtcd(s *metal.Server, bindingID string, now time.Time) (*metal.ServerRecord, EtcdStep) {
	r := s.Spec.Record
	if r == nil || !holds(r, bindingID) || r.Unverified != nil || r.Installed == nil || r.Installed.BindingID != bindingID {
		return nil, EtcdNotNow
	}
	switch e := r.Claim.Etcd; {
	case e == nil:
		out := r.DeepCopy()
		out.Claim.Etcd = &metal.EtcdRecord{BootID: r.Installed.BootID, At: whole(now)}
		return out, EtcdOrder
	case e.BootID != r.Installed.BootID:
		return nil, EtcdLost
	case e.DoneAt == nil:
		return nil, EtcdOrder
	}
	return nil, EtcdDone
}

// EtcdBegun notes that the Talos that a boot installed took the order; nil when the record asks for something else by now, or says so already.
func EtcdBegun(s *metal.Server, bindingID, bootID string, now time.Time) *metal.ServerRecord {
	r := s.Spec.Record
	if r == nil || !holds(r, bindingID) || r.Claim.Etcd == nil || r.Claim.Etcd.BootID != bootID || r.Claim.Etcd.DoneAt != nil {
		return nil
	}
	out, at := r.DeepCopy(), whole(now)
	out.Claim.Etcd.DoneAt = &at
	return out
}

// MayBeInEtcd says that the server of a claim may be a member of the etcd of its cluster: it got a machine config, and nobody has seen that it left.
func MayBeInEtcd(c *metal.ClaimRecord) bool {
	return c.Cluster != "" && c.ConfigAt != nil && c.LeftAt == nil
}

// LeavesEtcd says that a binding's server is to leave the etcd of its cluster now.
func LeavesEtcd(s *metal.Server, bindingID string) bool {
	r := s.Spec.Record
	return r != nil && holds(r, bindingID) && r.Unverified == nil && r.Claim.LeavingAt != nil && MayBeInEtcd(r.Claim)
}

// EtcdLeft notes that nothing in the cluster holds the server of a deleted claim any more; nil when the record asks for something else by now, or says so already.
func EtcdLeft(s *metal.Server, bindingID string, now time.Time) *metal.ServerRecord {
	if !LeavesEtcd(s, bindingID) {
		return nil
	}
	r := s.Spec.Record
	out, at := r.DeepCopy(), whole(now)
	out.Claim.LeftAt = &at
	return out
}
