package ipmi

import (
	"context"
	"errors"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"ingot.dev/ingot/metal-controller/bmc"
)

// flags are the boot flags (28.13, table 28-14, parameter 5).
type flags = types.BootOptionParam_BootFlags

// keepFlags is parameter 3 with all its bits: the flags are not cleared when the host is switched by its button, a watchdog or an event, nor 60 s
// after they were set. Machines whose self-test takes longer than a minute would lose them otherwise.
var keepFlags = types.BootOptionParam_BMCBootFlagValidBitClear{
	DontClearOnResetPEFOrPowerCyclePEF: true, DontClearOnCommandReceivedTimeout: true, DontClearOnWatchdogTimeout: true,
	DontClearOnResetPushButtonOrSoftReset: true, DontClearOnPowerUpPushButtonOrWakeEvent: true,
}

// unread is parameter 4 (boot info acknowledge): nobody has handled the flags yet. Some firmware heeds flags only then.
var unread = types.BootOptionParam_BootInfoAcknowledge{ByOEM: true, BySMS: true, ByOSServicePartition: true, ByOSLoader: true, ByBIOSPOST: true}

// SetBootNetwork sets the boot flags when they are not as wanted, and reads them back. The kind of firmware is the target's: flags of the other kind
// are ignored by most machines, and switch some to the other kind, which can hide an installed system.
func (d *driver) SetBootNetwork(ctx context.Context, once bool) error {
	const doing = "setting next boot to network"
	switch {
	case d.target.BootURI != "":
		return bmc.Fail(bmc.ErrUnsupported, doing, "IPMI's boot flags have no place for a URI; leave httpBootURI out, or use a BMC's Redfish")
	case d.target.MediaURI != "":
		return bmc.Fail(bmc.ErrUnsupported, doing, "IPMI has no virtual media; leave virtualMediaURI out, or use a BMC's Redfish")
	}
	return d.do(ctx, doing, func(ctx context.Context) error {
		now, err := d.readFlags(ctx)
		if err != nil {
			return err
		}
		wanted := d.network(once)
		if same(now, wanted) && now.BIOSBootType == wanted.BIOSBootType {
			return nil
		}
		if err := d.setFlags(ctx, wanted); err != nil {
			return err
		}
		return d.checkFlags(ctx, wanted)
	})
}

// network are the flags that boot from the network. Where nothing is known of the firmware it is taken for UEFI, as nearly all is.
func (d *driver) network(once bool) flags {
	return flags{
		BootFlagsValid: true, Persist: !once, BIOSBootType: types.BIOSBootType(d.target.Firmware != bmc.FirmwareBIOS),
		BootDeviceSelector: types.BootDeviceSelectorForcePXE,
	}
}

func same(a, b flags) bool {
	return a.BootFlagsValid == b.BootFlagsValid && a.Persist == b.Persist && a.BootDeviceSelector == b.BootDeviceSelector
}

// setFlags writes parameters 3 and 4, which a BMC need not have, and then the flags: from their writing on its 60 s would run.
func (d *driver) setFlags(ctx context.Context, wanted flags) error {
	for _, optional := range []types.BootOptionParameter{&keepFlags, &unread} {
		if err := d.setOption(ctx, optional); err != nil && !errors.Is(err, bmc.ErrUnsupported) {
			return err
		}
	}
	return d.setOption(ctx, &wanted)
}

// checkFlags reads the flags back. The kind of firmware is not compared: ipmi_sim and some BMCs do not keep it, and boot none the worse.
func (d *driver) checkFlags(ctx context.Context, wanted flags) error {
	now, err := d.readFlags(ctx)
	if err != nil {
		return err
	}
	if !same(now, wanted) {
		return bmc.Fail(bmc.ErrLied, "", "wanted valid flags for %s, persistent %t; reads valid %t, %s, persistent %t",
			wanted.BootDeviceSelector, wanted.Persist, now.BootFlagsValid, now.BootDeviceSelector, now.Persist)
	}
	return nil
}

func (d *driver) setOption(ctx context.Context, option types.BootOptionParameter) error {
	selector, _, _ := option.BootOptionParameter()
	command := &chassis.SetSystemBootOptionsParamRequest{ParamSelector: selector, ParamData: option.Pack()}
	return d.command(ctx, command, &chassis.SetSystemBootOptionsParamResponse{})
}

// readFlags reads parameter 5. Flags that the BMC marks invalid, or whose valid bit it cleared, are none (28.13).
func (d *driver) readFlags(ctx context.Context) (flags, error) {
	command := &chassis.GetSystemBootOptionsParamRequest{ParamSelector: types.BootOptionParamSelector_BootFlags}
	var got chassis.GetSystemBootOptionsParamResponse
	if err := d.command(ctx, command, &got); err != nil {
		return flags{}, err
	}
	var now flags
	if got.ParamSelector != types.BootOptionParamSelector_BootFlags || now.Unpack(got.ParamData) != nil {
		return flags{}, senseless(command)
	}
	if got.ParameterInValid || !now.BootFlagsValid {
		return flags{}, nil
	}
	return now, nil
}
