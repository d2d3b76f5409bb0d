// Package drivers picks the driver for a BMC.
//
// Layer 2: it joins the port and the protocols, and holds no state. What speaks to a BMC is decided at each
// opening by an anonymous request, of Redfish and then of IPMI, and the driver stays for as long as the session does.
package drivers

import (
	"context"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
	"ingot.dev/ingot/metal-controller/bmc/redfish"
)

// Open connects to a BMC with the driver that its target names. It is the Open of bmc.Options.
func Open(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
	switch target.Protocol {
	case bmc.Redfish:
		return redfish.Open(ctx, target)
	case bmc.Auto, "":
		return openAuto(ctx, target)
	case bmc.IPMI:
		return ipmi.Open(ctx, target)
	}
	return nil, bmc.Fail(bmc.ErrUnsupported, "opening", "unknown protocol %.20q", target.Protocol)
}
