package ipmi_test

import (
	"context"
	"fmt"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
)

const (
	operations = 1000
	// restart is after how many operations the BMC restarts and forgets its sessions, reopen after how many the driver is closed and opened again.
	restart, reopen = 250, 100
	// wrongs is how often a wrong password is tried.
	wrongs = 90
)

// opener opens a driver, or gives the one that is open.
type opener func(ctx context.Context) (bmc.Driver, error)

// work does the operations, and looks at the BMC's own table after each.
func (l *lab) work(t *testing.T, n int, open opener) error {
	for i := range n {
		d, err := open(t.Context())
		if err != nil {
			return fmt.Errorf("operation %d: opening: %w", i, err)
		}
		if err := l.operate(t.Context(), d, i); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
		if tally := l.bmc.Tally(); tally.Most > 1 || tally.Refused > 0 {
			return fmt.Errorf("operation %d: %d sessions at once, %d refused", i, tally.Most, tally.Refused)
		}
	}
	return nil
}

func (l *lab) operate(ctx context.Context, d bmc.Driver, i int) error {
	switch i % 4 {
	case 0:
		return d.SetPower(ctx, bmc.On)
	case 1:
		_, err := d.Power(ctx)
		return err
	case 2:
		return d.SetBootNetwork(ctx, i%8 == 2)
	}
	return d.SetPower(ctx, bmc.Off)
}

// TestBMCSessionLimit: a thousand operations, restarts of the BMC, of the controller and wrong passwords between them: never more than one session, no
// login refused for want of one, none left. Control: a driver per operation that nobody closes is noticed.
func TestBMCSessionLimit(t *testing.T) {
	t.Parallel()
	t.Run("ours", func(t *testing.T) {
		l := newLab(t, nil)
		var d bmc.Driver
		var calls int
		err := l.work(t, operations, func(ctx context.Context) (_ bmc.Driver, err error) {
			calls++
			if calls%restart == restart/2 {
				l.bmc.DropSessions()
			}
			if d != nil && calls%reopen == 0 {
				if err := d.Close(ctx); err != nil {
					return nil, err
				}
				d = nil
				if n := l.bmc.Sessions(); n != 0 {
					return nil, fmt.Errorf("%d sessions after closing", n)
				}
			}
			if d == nil {
				d, err = ipmi.OpenFast(ctx, l.target)
			}
			return d, err
		})
		if err != nil {
			t.Error(err)
		}
		if d != nil {
			if err := d.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if tally := l.bmc.Tally(); l.bmc.Sessions() != 0 || tally.Opened < operations/reopen {
			t.Errorf("%d sessions are left of %+v", l.bmc.Sessions(), tally)
		}
	})
	t.Run("wrong passwords", func(t *testing.T) {
		l := newLab(t, nil)
		wrong := l.target
		wrong.Password = bmc.NewSecret("wrong")
		for range wrongs {
			if d, err := ipmi.OpenFast(t.Context(), wrong); err == nil {
				t.Fatal("a wrong password opened", d)
			}
		}
		wantPower(t, l.open(t), bmc.Off)
		if tally := l.bmc.Tally(); tally.Refused != 0 {
			t.Errorf("%+v: half-open sessions took the room", tally)
		}
	})
	t.Run("control: a leak", func(t *testing.T) {
		l := newLab(t, func(c *rmcp.Config) { c.SessionLimit = 4 })
		var leaked []bmc.Driver
		err := l.work(t, operations, func(ctx context.Context) (bmc.Driver, error) {
			d, err := ipmi.OpenFast(ctx, l.target)
			leaked = append(leaked, d)
			return d, err
		})
		for _, d := range leaked {
			_ = d.Close(context.Background())
		}
		if err == nil {
			t.Error("a driver that leaks was not noticed")
		}
	})
}
