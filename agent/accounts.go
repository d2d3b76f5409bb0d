package main

import (
	"context"
	"io"

	"ingot.dev/ingot/agent/bmc"
	"ingot.dev/ingot/agent/bmc/kernel"
	"ingot.dev/ingot/agent/protocol"
)

// wayToBMC is what the kernel module ipmi_devintf makes.
const wayToBMC = "/dev/ipmi0"

// accounts carries out orders about users of the BMC: it wires agent/bmc to the protocol. It implements session.Accounts.
type accounts struct {
	open func() (openPort, error)
}

// openPort is a way to the BMC that is to be closed.
type openPort interface {
	bmc.Port
	io.Closer
}

func newAccounts() accounts {
	return accounts{open: func() (openPort, error) {
		d, err := kernel.Open(wayToBMC)
		if err != nil {
			return nil, err
		}
		return d, nil
	}}
}

// Account ensures the user of the order, and that those which it drops are gone.
func (a accounts) Account(ctx context.Context, order *protocol.BMCAccount) *protocol.ReportBMCAccountRequest {
	report := &protocol.ReportBMCAccountRequest{}
	port, err := a.open()
	if err != nil {
		report.Error = err.Error()
		return report
	}
	defer port.Close()
	if err := bmc.Drop(ctx, port, order.GetDrop()); err != nil {
		report.Error = err.Error()
		return report
	}
	if order.GetUsername() == "" {
		return report
	}
	got, err := bmc.Ensure(ctx, port, order.GetUsername(), order.GetPassword())
	if err != nil {
		report.Error = err.Error()
		return report
	}
	report.Slot, report.Channel, report.Address, report.Port = int32(got.Slot), int32(got.Channel.Number), got.Channel.Address, int32(got.Channel.Port)
	return report
}
