package redfish

import (
	"context"
	"encoding/json"
	"slices"

	schema "github.com/stmcginnis/gofish/redfish"

	"ingot.dev/ingot/metal-controller/bmc"
)

// Shutdown sends ResetType GracefulShutdown to a host that is not off, if the BMC lists it. One that lists nothing is not asked: some take the order as a
// hard off.
func (d *driver) Shutdown(ctx context.Context) error {
	const doing = "asking the operating system to shut down"
	err := d.do(ctx, doing, func(context.Context) error {
		system, err := d.system()
		if err != nil || system.PowerState == schema.OffPowerState {
			return err
		}
		allowed, err := d.resetTypes(system)
		if err != nil {
			return err
		}
		if !slices.Contains(allowed, schema.GracefulShutdownResetType) {
			return bmc.Fail(bmc.ErrUnsupported, doing, "it does not offer GracefulShutdown; switch the host off at its system, or hard by its BMC")
		}
		// Named, since gofish would take any type where the list is in another resource.
		return system.Reset(schema.GracefulShutdownResetType)
	})
	if !conflict(err) {
		return err
	}
	// The host went off, or began to, between reading and the order.
	if now, readErr := d.Power(ctx); readErr == nil && now != bmc.On {
		return nil
	}
	return err
}

// resetTypes are the AllowableValues of ResetType: in the action itself, or in the ActionInfo that it links to (DSP0266, 6.5.4 and 7.2).
func (d *driver) resetTypes(system *schema.ComputerSystem) ([]schema.ResetType, error) {
	if len(system.SupportedResetTypes) > 0 {
		return system.SupportedResetTypes, nil
	}
	var raw struct {
		Actions struct {
			Reset struct {
				Info string `json:"@Redfish.ActionInfo"`
			} `json:"#ComputerSystem.Reset"`
		}
	}
	if err := json.Unmarshal(system.RawData, &raw); err != nil || raw.Actions.Reset.Info == "" {
		return nil, nil // it lists none
	}
	return d.actionInfo(raw.Actions.Reset.Info)
}

// actionInfo reads the values of the parameter ResetType (DSP0268, ActionInfo).
func (d *driver) actionInfo(path string) ([]schema.ResetType, error) {
	answer, err := d.direct.Get(path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var info struct {
		Parameters []struct {
			Name            string
			AllowableValues []schema.ResetType
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&info); err != nil {
		return nil, bmc.Fail(bmc.ErrUnsupported, "", "the description of its reset action makes no sense")
	}
	for _, parameter := range info.Parameters {
		if parameter.Name == "ResetType" {
			return parameter.AllowableValues, nil
		}
	}
	return nil, nil
}
