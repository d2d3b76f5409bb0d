package engine_test

import (
	"context"
	"strconv"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// forgetful keeps no erase record.
type forgetful struct{}

// Publish keeps nothing.
func (forgetful) Publish(context.Context, *metal.Server, *metal.ServerInventorySpec) error {
	return nil
}

// Published finds nothing.
func (forgetful) Published(context.Context, string, string, int64) (bool, error) { return false, nil }

// chatter gives the BMC of a clean server another message each time, which costs a write each time.
func chatter() func(*metal.Server, *lifecycle.PowerReading) {
	n := 0
	return func(s *metal.Server, r *lifecycle.PowerReading) {
		if w := recordOf(s).Wipe; w != nil && w.VerifiedAt != nil {
			n++
			r.Reason, r.Message = reasons.BMCUnreachable, strconv.Itoa(n)
		}
	}
}
