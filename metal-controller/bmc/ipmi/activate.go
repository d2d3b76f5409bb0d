package ipmi

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/command/transport"
	"github.com/bougou/go-ipmi/pkg/types"

	"ingot.dev/ingot/metal-controller/bmc"
)

// Why a console cannot be had, beside the classes of package bmc. What a person can do about it is up to who asked.
var (
	// ErrConsoleTaken: somebody else has it.
	ErrConsoleTaken = errors.New("somebody else has the console")
	// ErrConsoleOff: the BMC has serial-over-LAN switched off.
	ErrConsoleOff = errors.New("the BMC has serial-over-LAN switched off")
)

// Completion codes of Activate Payload (table 24-2).
const (
	errTaken    types.CompletionCode = 0x80
	errDisabled types.CompletionCode = 0x81
	errLimit    types.CompletionCode = 0x82
)

// instance is the first serial port, which is the console where there is one.
const instance = 1

// bitRates are what table 26-5 has a code for.
var bitRates = map[int]uint8{9600: 6, 19200: 7, 38400: 8, 57600: 9, 115200: 10}

// activation gets serial-over-LAN going on a session.
type activation struct {
	*driver
	options ConsoleOptions
}

// begin activates the payload, at the port that the BMC names for it. A port of its own takes a session of its own there (15.10).
func (a *activation) begin(ctx context.Context) (*transport.ActivatePayloadResponse, error) {
	granted, err := a.activate(ctx)
	if err != nil || a.here(granted.PayloadUDPPort) {
		return granted, err
	}
	if err := a.move(ctx, int(granted.PayloadUDPPort)); err != nil {
		return nil, err
	}
	if granted, err = a.activate(ctx); err == nil && !a.here(granted.PayloadUDPPort) {
		err = bmc.Fail(bmc.ErrUnsupported, "", "it sends from one port for its console to the next")
	}
	return granted, err
}

// here says that a port which the BMC named is the one that we talk to. 0 is none, and some name theirs the wrong way round. 623 is everybody's: who
// reaches it by another number, as through a forwarder, means that.
func (a *activation) here(named uint16) bool {
	port := a.target.Port
	if port == 0 {
		port = bmc.DefaultIPMIPort
	}
	return named == 0 || int(named) == port || int(bits.ReverseBytes16(named)) == port || named == bmc.DefaultIPMIPort
}

// move closes the session and opens one at another port of the BMC.
func (a *activation) move(ctx context.Context, port int) error {
	_ = a.closeSession(ctx, a.pace.farewell)
	target := a.target
	target.Port = port
	w, err := dial(ctx, target)
	if err != nil {
		return err
	}
	_ = a.wire.conn.Close()
	a.wire, a.target = w, target
	return a.login(ctx)
}

// activate asks for the payload: encrypted and authenticated. It takes the console from whom it was asked to take it, and from ourselves: a BMC
// that takes a repeated order for another one says that it is taken.
func (a *activation) activate(ctx context.Context) (*transport.ActivatePayloadResponse, error) {
	if err := a.enable(ctx); err != nil {
		return nil, err
	}
	granted, err := a.request(ctx)
	if !taken(err) {
		return granted, err
	}
	holder := a.holder(ctx)
	if !a.options.TakeOver && holder != a.session.bmcID {
		return nil, fmt.Errorf("%w%s", ErrConsoleTaken, a.whereabouts(ctx, holder))
	}
	if err := a.asMayBe(ctx, a.deactivate); err != nil && codeOf(err) != errTaken { // 80h: given back meanwhile
		return nil, err
	}
	if granted, err = a.request(ctx); taken(err) {
		err = fmt.Errorf("%w again", ErrConsoleTaken)
	}
	return granted, err
}

func taken(err error) bool { return codeOf(err) == errTaken || codeOf(err) == errLimit }

func (a *activation) request(ctx context.Context) (*transport.ActivatePayloadResponse, error) {
	command := &transport.ActivatePayloadRequest{
		PayloadType: types.PayloadTypeSOL, PayloadInstance: instance, EnableEncryption: true, EnableAuthentication: true,
		SharedSerialAlertBehavior: transport.SharedSerialAlertBehavior_Defer,
	}
	granted := &transport.ActivatePayloadResponse{}
	err := a.asMayBe(ctx, func(ctx context.Context) error { return a.command(ctx, command, granted) })
	if codeOf(err) == errDisabled {
		return nil, ErrConsoleOff
	}
	return granted, err
}

func (d *driver) deactivate(ctx context.Context) error {
	command := &transport.DeactivatePayloadRequest{PayloadType: types.PayloadTypeSOL, PayloadInstance: instance}
	return d.command(ctx, command, &transport.DeactivatePayloadResponse{})
}

// asMayBe does what some BMCs let administrators only do. The account comes as an operator, and as an administrator only when it is told to.
func (a *activation) asMayBe(ctx context.Context, do func(context.Context) error) error {
	err := do(ctx)
	if codeOf(err) != types.CodeInsufficientPrivilege || a.level == types.PrivilegeLevelAdministrator {
		return err
	}
	_ = a.closeSession(ctx, a.pace.farewell)
	a.level = types.PrivilegeLevelAdministrator
	if err := a.login(ctx); errors.Is(err, bmc.ErrUnauthorized) {
		return bmc.Fail(bmc.ErrUnauthorized, "", "the BMC lets administrators do this, and the account is an operator; lower the privilege that its "+
			"serial-over-LAN asks for, or make the account an administrator")
	} else if err != nil {
		return err
	}
	return do(ctx)
}

// enable looks whether serial-over-LAN is on (table 26-5, parameter 1), and switches it on where that was asked for. A BMC that has no such
// parameter says so when the payload is activated.
func (a *activation) enable(ctx context.Context) error {
	var got transport.GetSOLConfigParamResponse
	var now types.SOLConfigParam_SOLEnable
	err := a.command(ctx, &transport.GetSOLConfigParamRequest{
		ChannelNumber: types.ChannelNumberSelf, ParamSelector: types.SOLConfigParamSelector_SOLEnable,
	}, &got)
	switch {
	case errors.Is(err, bmc.ErrUnreachable):
		return err
	case err != nil || now.Unpack(got.ParamData) != nil || now.EnableSOLPayload:
		return nil
	case !a.options.Enable:
		return ErrConsoleOff
	}
	return a.asMayBe(ctx, func(ctx context.Context) error {
		return a.set(ctx, &types.SOLConfigParam_SOLEnable{EnableSOLPayload: true})
	})
}

// setBitRate sets the rate for as long as the payload is active (15.8, table 26-5, parameter 6).
func (a *activation) setBitRate(ctx context.Context) error {
	if a.options.BitRate == 0 {
		return nil
	}
	rate := &types.SOLConfigParam_VolatileBitRate{BitRate: bitRates[a.options.BitRate]}
	return a.asMayBe(ctx, func(ctx context.Context) error { return a.set(ctx, rate) })
}

func (a *activation) set(ctx context.Context, parameter types.SOLConfigParameter) error {
	selector, _, _ := parameter.SOLConfigParameter()
	command := &transport.SetSOLConfigParamRequest{ChannelNumber: types.ChannelNumberSelf, ParamSelector: selector, ParamData: parameter.Pack()}
	return a.command(ctx, command, &transport.SetSOLConfigParamResponse{})
}

// holder is the session that has the console (24.5), 0 when the BMC does not say.
func (d *driver) holder(ctx context.Context) uint32 {
	var got transport.GetPayloadInstanceInfoResponse
	if d.command(ctx, whose(), &got) != nil {
		return 0
	}
	return got.SessionID
}

// whose asks who has the console.
func whose() types.Request {
	return &transport.GetPayloadInstanceInfoRequest{PayloadType: types.PayloadTypeSOL, PayloadInstance: instance}
}

// whereabouts tells from where a session is used (22.20), where the BMC says so.
func (a *activation) whereabouts(ctx context.Context, session uint32) string {
	var got app.GetSessionInfoResponse
	command := &app.GetSessionInfoRequest{SessionIndex: 0xff, SessionID: session}
	if session == 0 || a.command(ctx, command, &got) != nil || len(got.RemoteConsoleIPAddr) == 0 || got.RemoteConsoleIPAddr.IsUnspecified() {
		return ""
	}
	return ", from " + got.RemoteConsoleIPAddr.String()
}
