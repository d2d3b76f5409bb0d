package redfish

import (
	"context"
	"encoding/json"
	"fmt"
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
	// URI is where UefiHttp boots from; empty or absent: where DHCP says.
	URI string `json:"HttpBootUri"`
}

// bootOrder is what is patched of ComputerSystem.Boot.
type bootOrder struct {
	Enabled schema.BootSourceOverrideEnabled `json:"BootSourceOverrideEnabled"`
	Target  schema.BootSourceOverrideTarget  `json:"BootSourceOverrideTarget"`
	URI     *string                          `json:"HttpBootUri,omitempty"`
}

// usbCD is not in DSP0268; it is taken where a BMC lists it and no Cd.
const usbCD schema.BootSourceOverrideTarget = "UsbCd"

const (
	byCD   = schema.CdBootSourceOverrideTarget
	byPXE  = schema.PxeBootSourceOverrideTarget
	byHTTP = schema.UefiHTTPBootSourceOverrideTarget
)

// network chooses the target: UefiHttp where there is a URI for it, else Pxe, or UefiHttp on a machine that offers only that.
func (o override) network(uri string) (schema.BootSourceOverrideTarget, bool) {
	targets := []schema.BootSourceOverrideTarget{byPXE, byHTTP}
	if uri != "" {
		targets = targets[1:]
	}
	return o.first(targets)
}

// first is the first target that the machine offers. One that lists nothing is taken to offer all.
func (o override) first(targets []schema.BootSourceOverrideTarget) (schema.BootSourceOverrideTarget, bool) {
	for _, target := range targets {
		if len(o.Allowed) == 0 || slices.Contains(o.Allowed, target) {
			return target, true
		}
	}
	return "", false
}

// is says that the override is as ordered. For HTTP boot that includes the URI: what somebody left there would be booted.
func (o override) is(order bootOrder, uri string) bool {
	return o.Target == order.Target && o.Enabled == order.Enabled && (order.Target != byHTTP || o.URI == uri)
}

// SetBootNetwork patches the boot override when it is not as wanted, its URI included, and reads it back. The boot mode is left as
// the machine has it: changing it can hide an installed system.
func (d *driver) SetBootNetwork(ctx context.Context, once bool) error {
	const doing = "setting next boot to network"
	if d.target.MediaURI != "" {
		return d.bootMedia(ctx, once)
	}
	enabled := schema.ContinuousBootSourceOverrideEnabled
	if once {
		enabled = schema.OnceBootSourceOverrideEnabled
	}
	return d.do(ctx, doing, func(context.Context) error {
		system, now, err := d.readBoot()
		if err != nil {
			return err
		}
		uri := d.target.BootURI
		target, ok := now.network(uri)
		if !ok {
			return bmc.Fail(bmc.ErrUnsupported, doing, "it offers no network boot%s; enable it in the firmware setup", map[bool]string{true: " over HTTP"}[uri != ""])
		}
		return d.override(doing, system, now, bootOrder{Enabled: enabled, Target: target}, uri)
	})
}

// override patches the boot override unless it is so already, and reads it back.
func (d *driver) override(doing string, system *schema.ComputerSystem, now override, order bootOrder, uri string) error {
	if now.is(order, uri) {
		return nil
	}
	if order.Target == byHTTP && now.URI != uri {
		order.URI = &uri
	}
	if err := system.Patch(system.ODataID, map[string]bootOrder{"Boot": order}); err != nil {
		return err
	}
	return d.checkBoot(doing, order, uri)
}

func (d *driver) checkBoot(doing string, order bootOrder, uri string) error {
	_, now, err := d.readBoot()
	if err != nil {
		return err
	}
	if !now.is(order, uri) {
		from := ""
		if order.Target == byHTTP {
			from = fmt.Sprintf(" from %.80q, wanted from %.80q", now.URI, uri)
		}
		return bmc.Fail(bmc.ErrLied, doing, "wanted %s %s, reads %.40q %.40q%s", order.Target, order.Enabled, now.Target, now.Enabled, from)
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
