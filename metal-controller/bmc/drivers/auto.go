package drivers

import (
	"context"
	"errors"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
	"ingot.dev/ingot/metal-controller/bmc/redfish"
)

// openAuto tries Redfish, whose driver begins with an anonymous GET of the service root, and asks a BMC that has none over IPMI. A pinned
// certificate means that it had one: then whoever keeps Redfish away does not get us to do without.
func openAuto(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
	driver, err := redfish.Open(ctx, target)
	if err == nil {
		return driver, nil
	}
	var first *bmc.Error
	if target.Pin != "" || !errors.As(err, &first) || first.Doing != redfish.Probing || !silent(first) {
		return nil, err
	}
	driver, err = ipmi.Open(ctx, target)
	if err == nil {
		return driver, nil
	}
	return nil, both(first, err)
}

// silent says that the failure may mean a BMC without Redfish.
func silent(failure *bmc.Error) bool {
	return errors.Is(failure, bmc.ErrUnsupported) || errors.Is(failure, bmc.ErrUnreachable)
}

// both tells the two failures. A BMC that answered over IPMI is judged by that; one that is silent there too by what Redfish said, so that a web
// server without either is told apart from nobody.
func both(first *bmc.Error, err error) error {
	var second *bmc.Error
	if !errors.As(err, &second) {
		return err
	}
	if second.Doing == ipmi.Probing && errors.Is(second, bmc.ErrUnreachable) {
		out := bmc.Fail(first.Class, first.Doing, "%s; and over IPMI %s: %s", first.Detail, second.Class, second.Detail)
		out.Code, out.PinSeen = first.Code, first.PinSeen
		return out
	}
	out := bmc.Fail(second.Class, second.Doing, "%s; it has no Redfish: %s", second.Detail, first.Detail)
	out.Code = second.Code
	return out
}
