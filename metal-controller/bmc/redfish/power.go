package redfish

import (
	"context"
	"errors"
	"net/http"

	"ingot.dev/ingot/metal-controller/bmc"
)

// Power reads PowerState of the one system (DSP0268, ComputerSystem).
func (d *driver) Power(ctx context.Context) (bmc.PowerState, error) {
	state := bmc.Unknown
	err := d.do(ctx, "reading power state", func(ctx context.Context) error {
		text, err := d.power.PowerStateGet(ctx)
		if err != nil {
			return err
		}
		state, err = parsePower(text)
		return err
	})
	if err != nil {
		return bmc.Unknown, err
	}
	return state, nil
}

// parsePower reads Resource.PowerState. PoweringOn and PoweringOff are Unknown: the host is between two states.
func parsePower(text string) (bmc.PowerState, error) {
	switch text {
	case "On":
		return bmc.On, nil
	case "Off":
		return bmc.Off, nil
	case "PoweringOn", "PoweringOff", "Paused":
		return bmc.Unknown, nil
	}
	return bmc.Unknown, bmc.Fail(bmc.ErrUnsupported, "", "its power state is none that Redfish knows")
}

// SetPower sends ResetType On or ForceOff when the host is not there already; bmclib reads first.
func (d *driver) SetPower(ctx context.Context, want bmc.PowerState) error {
	order := map[bmc.PowerState]string{bmc.On: "on", bmc.Off: "off"}[want]
	if order == "" {
		return d.failed(bmc.ErrUnsupported, "setting power", "the host can be set to On and Off only")
	}
	err := d.do(ctx, "setting power "+order, func(ctx context.Context) error {
		_, err := d.power.PowerSet(ctx, order)
		return err
	})
	if !conflict(err) {
		return err
	}
	// The host changed between reading and the order, or is still changing. If it is where it should be, or between
	// two states, the caller goes on reading.
	if now, readErr := d.Power(ctx); readErr == nil && (now == want || now == bmc.Unknown) {
		return nil
	}
	return err
}

// conflict says that the BMC found the order senseless in the present state.
func conflict(err error) bool {
	var failure *bmc.Error
	return errors.As(err, &failure) && failure.Code == http.StatusConflict
}
