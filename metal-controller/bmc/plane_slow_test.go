package bmc_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
)

// slow is a BMC that looks at the host at once and takes half a minute to say what it saw.
type slow struct{ bmc.Driver }

func (s slow) Power(ctx context.Context) (bmc.PowerState, error) {
	state, err := s.Driver.Power(ctx)
	<-time.After(30 * time.Second)
	return state, err
}

// TestSlowReading: a reading is as old as the question. What happened while the BMC took its time to answer, a receipt for instance, came after what
// it saw, and must not look as if it came before.
func TestSlowReading(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		fast := b.plane
		defer fast.Close()
		b.plane = bmc.NewPlane(bmc.Options{Random: func() float64 { return 0.5 }, Open: func(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
			d, err := b.Open(ctx, target)
			return slow{d}, err
		}})
		asked := time.Now()
		b.plane.Ensure(server, right)
		synctest.Wait()
		if r := b.plane.Latest(server); !r.At.IsZero() {
			t.Fatalf("control: the BMC answered at once: %+v", r)
		}
		pass(31 * time.Second)
		if r := b.plane.Latest(server); r.Power != bmc.Off || !r.At.Equal(asked) {
			t.Errorf("a reading that was asked for at %s has the time %s", asked, r.At)
		}
	})
}
