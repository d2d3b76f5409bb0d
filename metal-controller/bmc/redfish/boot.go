package redfish

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/stmcginnis/gofish"
	schema "github.com/stmcginnis/gofish/redfish"

	"ingot.dev/ingot/metal-controller/bmc"
)

// override is the part of ComputerSystem.Boot that gofish does not keep whole.
type override struct {
	Enabled schema.BootSourceOverrideEnabled  `json:"BootSourceOverrideEnabled"`
	Target  schema.BootSourceOverrideTarget   `json:"BootSourceOverrideTarget"`
	Allowed []schema.BootSourceOverrideTarget `json:"BootSourceOverrideTarget@Redfish.AllowableValues"`
}

// network chooses the target: Pxe, or UefiHttp on a machine that offers only that.
func (o override) network() (schema.BootSourceOverrideTarget, bool) {
	for _, target := range []schema.BootSourceOverrideTarget{
		schema.PxeBootSourceOverrideTarget, schema.UefiHTTPBootSourceOverrideTarget,
	} {
		if len(o.Allowed) == 0 || slices.Contains(o.Allowed, target) {
			return target, true
		}
	}
	return "", false
}

// SetBootNetwork patches the boot override when it is not as wanted, and reads it back. The boot mode is left as
// the machine has it: changing it can hide an installed system.
func (d *driver) SetBootNetwork(ctx context.Context, once bool) error {
	const doing = "setting next boot to network"
	enabled := schema.ContinuousBootSourceOverrideEnabled
	if once {
		enabled = schema.OnceBootSourceOverrideEnabled
	}
	return d.do(ctx, doing, func(context.Context) error {
		system, now, err := d.readBoot()
		if err != nil {
			return err
		}
		target, ok := now.network()
		if !ok {
			return bmc.Fail(bmc.ErrUnsupported, doing, "it offers no network boot; enable it in the firmware setup")
		}
		if now.Target == target && now.Enabled == enabled {
			return nil
		}
		if err := system.SetBoot(schema.Boot{BootSourceOverrideTarget: target, BootSourceOverrideEnabled: enabled}); err != nil {
			return err
		}
		return d.checkBoot(doing, target, enabled)
	})
}

func (d *driver) checkBoot(doing string, target schema.BootSourceOverrideTarget, enabled schema.BootSourceOverrideEnabled) error {
	_, now, err := d.readBoot()
	if err != nil {
		return err
	}
	if now.Target != target || now.Enabled != enabled {
		return bmc.Fail(bmc.ErrLied, doing, "wanted %s %s, reads %.40q %.40q", target, enabled, now.Target, now.Enabled)
	}
	return nil
}

// readBoot reads the one system and its boot override.
func (d *driver) readBoot() (*schema.ComputerSystem, override, error) {
	var raw struct{ Boot override }
	system, err := d.system()
	if err != nil {
		return nil, raw.Boot, err
	}
	if err := json.Unmarshal(system.RawData, &raw); err != nil {
		return nil, raw.Boot, bmc.Fail(bmc.ErrUnsupported, "", "the boot settings make no sense")
	}
	return system, raw.Boot, nil
}

// system reads the one system.
func (d *driver) system() (*schema.ComputerSystem, error) {
	if d.direct == nil {
		client, err := gofish.Connect(gofish.ClientConfig{Endpoint: "https://" + d.wire.host, HTTPClient: d.http})
		if err != nil {
			return nil, err
		}
		d.direct = client
	}
	systems, err := d.direct.Service.Systems()
	if err != nil {
		return nil, err
	}
	if len(systems) != 1 {
		return nil, bmc.Fail(bmc.ErrUnsupported, "", "it manages %d systems; Ingot expects one", len(systems))
	}
	return systems[0], nil
}
