package drivers

import (
	"context"
	"errors"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/redfish"
)

// openAuto tries Redfish, whose driver begins with an anonymous GET of the service root. A BMC that answers and has
// none would be asked over IPMI, which is not in this release.
func openAuto(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
	driver, err := redfish.Open(ctx, target)
	if err == nil {
		return driver, nil
	}
	var failure *bmc.Error
	if errors.As(err, &failure) && failure.Doing == redfish.Probing && silent(failure) {
		failure.Detail += "; " + noIPMI
	}
	return nil, err
}

// silent says that the failure may mean a BMC without Redfish.
func silent(failure *bmc.Error) bool {
	return errors.Is(failure, bmc.ErrUnsupported) || errors.Is(failure, bmc.ErrUnreachable)
}
