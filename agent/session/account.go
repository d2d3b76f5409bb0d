package session

import (
	"context"
	"fmt"
	"time"

	"ingot.dev/ingot/agent/protocol"
)

// accountTime bounds all commands to the BMC for one order: some take half a second for each of 63 slots.
const accountTime = 2 * time.Minute

// Accounts sets up and drops users of the machine's BMC.
type Accounts interface {
	// Account ensures what the order says, and reports what became of it; it has no other way to fail. The report holds no password.
	Account(ctx context.Context, order *protocol.BMCAccount) *protocol.ReportBMCAccountRequest
}

// account obeys an order about users of the BMC and tells what became of it. It is done as often as the server says it, since it only ensures. While disks are
// being wiped it waits.
func (c *conversation) account(ctx context.Context, d *protocol.Directive) error {
	if c.ledger.unsettled() {
		c.waits = d
		return nil
	}
	order := d.GetBmcAccount()
	c.Log.Info("setting up an account at the BMC", "id", order.GetId(), "user", order.GetUsername(), "dropping", len(order.GetDrop()))
	bounded, cancel := context.WithTimeout(ctx, accountTime)
	defer cancel()
	report := c.Accounts.Account(bounded, order)
	report.Id, report.Generation, report.Dropped = order.GetId(), order.GetGeneration(), order.GetUsername() == ""
	if report.GetError() != "" {
		c.Log.Warn("the account at the BMC is not as it shall be", "error", report.GetError())
	}
	err := c.call(ctx, func(ctx context.Context) error {
		_, err := c.client.ReportBMCAccount(ctx, report)
		return err
	})
	switch {
	case err == nil:
		return nil
	case final(err):
		c.Log.Warn("the server takes its order about the BMC's account back; waiting", "error", plain(err))
		return nil
	}
	return fmt.Errorf("reporting the account at the BMC: %w", err)
}
