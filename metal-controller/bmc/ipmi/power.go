package ipmi

import (
	"context"
	"errors"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"ingot.dev/ingot/metal-controller/bmc"
)

// Power reads the power state of Get Chassis Status (28.2).
func (d *driver) Power(ctx context.Context) (bmc.PowerState, error) {
	state := bmc.Unknown
	err := d.do(ctx, "reading power state", func(ctx context.Context) (err error) {
		state, err = d.power(ctx)
		return err
	})
	return state, err
}

func (d *driver) power(ctx context.Context) (bmc.PowerState, error) {
	var status chassis.GetChassisStatusResponse
	if err := d.command(ctx, &chassis.GetChassisStatusRequest{}, &status); err != nil {
		return bmc.Unknown, err
	}
	if status.PowerIsOn {
		return bmc.On, nil
	}
	return bmc.Off, nil
}

// SetPower sends Chassis Control "power up" or "power down" when the host is not there already (28.3). "Power down" is hard.
func (d *driver) SetPower(ctx context.Context, want bmc.PowerState) error {
	order, doing := chassis.ChassisControlPowerUp, "setting power on"
	switch want {
	case bmc.On:
	case bmc.Off:
		order, doing = chassis.ChassisControlPowerDown, "setting power off"
	default:
		return bmc.Fail(bmc.ErrUnsupported, "setting power", "the host can be set to On and Off only")
	}
	return d.do(ctx, doing, func(ctx context.Context) error {
		return d.control(ctx, order, func(now bmc.PowerState) bool { return now == want })
	})
}

// Shutdown sends Chassis Control "initiate a soft shutdown", which presses the power button for the operating system (28.3, where it is optional).
// There is no list of what a BMC offers: one that does not know it refuses.
func (d *driver) Shutdown(ctx context.Context) error {
	const doing = "asking the operating system to shut down"
	err := d.do(ctx, doing, func(ctx context.Context) error {
		return d.control(ctx, chassis.ChassisControlSoftShutdown, func(now bmc.PowerState) bool { return now == bmc.Off })
	})
	var failure *bmc.Error
	if errors.As(err, &failure) && failure.Class == bmc.ErrUnsupported {
		failure.Detail += "; switch the host off at its system, or hard by its BMC"
	}
	return err
}

// control orders unless the host is there already. A BMC may find an order senseless in the present state (D5h): if the host went there in
// between, that is as good.
func (d *driver) control(ctx context.Context, order chassis.ChassisControl, there func(bmc.PowerState) bool) error {
	now, err := d.power(ctx)
	if err != nil || there(now) {
		return err
	}
	err = d.command(ctx, &chassis.ChassisControlRequest{ChassisControl: order}, &chassis.ChassisControlResponse{})
	if err == nil || codeOf(err) != types.CodeNotSupported {
		return err
	}
	if now, readErr := d.power(ctx); readErr == nil && there(now) {
		return nil
	}
	return err
}
