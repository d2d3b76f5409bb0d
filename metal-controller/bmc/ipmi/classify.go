package ipmi

import (
	"context"
	"errors"
	"net"
	"slices"

	"github.com/bougou/go-ipmi/pkg/types"

	"ingot.dev/ingot/metal-controller/bmc"
)

// rejection is a failure with which the BMC itself ended the opening of a session.
type rejection struct {
	classified *bmc.Error
	status     types.RmcpStatusCode
}

func (r rejection) Error() string { return r.classified.Error() }

// Unwrap gives the classified error.
func (r rejection) Unwrap() error { return r.classified }

func statusOf(err error) (types.RmcpStatusCode, bool) {
	var r rejection
	ok := errors.As(err, &r)
	return r.status, ok
}

// Status codes of opening a session (13.24), by what is to be done about them.
var (
	wrongLogin = []types.RmcpStatusCode{
		types.RmcpStatusCodeUnauthorizedName, types.RmcpStatusCodeInvalidIntegrityCheckValue, types.RmcpStatusCodeUnauthorizedGUID,
		types.RmcpStatusCodeInvalidNameLength,
	}
	wrongRole = []types.RmcpStatusCode{types.RmcpStatusCodeInvalidRole, types.RmcpStatusCodeUnauthorizedRoleOfPriLevel}
	// full and forgotten pass by themselves: idle sessions end after a minute.
	full      = []types.RmcpStatusCode{types.RmcpStatusCodeNoResToCreateSess, types.RmcpStatusCodeNoResToCreateSessAtRole}
	forgotten = []types.RmcpStatusCode{types.RmcpStatusCodeInvalidSessionID, types.RmcpStatusCodeInactiveSessionID}
)

// rejected classifies a status of opening a session.
func rejected(status types.RmcpStatusCode) error {
	told := func(class error, hint string) *bmc.Error {
		f := bmc.Fail(class, "", "RMCP+ status %02Xh (%s)%s", uint8(status), status, hint)
		f.Code = int(status)
		return f
	}
	switch {
	case slices.Contains(wrongLogin, status):
		return rejection{wrongPassword(), status}
	case slices.Contains(wrongRole, status):
		return rejection{noRight(""), status}
	case slices.Contains(full, status):
		return rejection{told(bmc.ErrUnreachable, "; all its sessions are taken, they end after a minute of silence"), status}
	case slices.Contains(forgotten, status):
		return rejection{told(bmc.ErrUnreachable, "; it forgot the session while it was being opened"), status}
	}
	return rejection{told(bmc.ErrUnsupported, ""), status}
}

func wrongPassword() *bmc.Error {
	return bmc.Fail(bmc.ErrUnauthorized, "", "check the user name and the password in the Secret, and that the account may use IPMI over LAN")
}

func noRight(what string) *bmc.Error {
	return bmc.Fail(bmc.ErrUnauthorized, "", "%sthe account lacks the right; make it an operator or administrator for IPMI over LAN", what)
}

// passing are completion codes of a BMC that starts, is busy or has its firmware updated, and recovers (table 5-2).
var passing = []types.CompletionCode{
	types.CodeNodeBusy, types.CodeProcessTimeout, types.CodeOutOfSpace, types.CodeCannotProvideResponse, types.CodeCannotProvideResponseSDRRInUpdate,
	types.CodeCannotProvideResponseFirmwareUpdate, types.CodeCannotProvideResponseBMCInitialize, types.CodeDestinationUnavailable,
}

// notAllowed are codes of Set Session Privilege Level for an account that is limited (22.18).
var notAllowed = []types.CompletionCode{0x80, 0x81}

// refused classifies the completion code of a command (table 5-2 and the command's own).
func refused(command types.Request, code types.CompletionCode) error {
	name := command.Command().Name
	var f *bmc.Error
	switch {
	case code == types.CodeInsufficientPrivilege:
		f = noRight(name + ": ")
	case command.Command() == types.CommandSetSessionPrivilegeLevel && slices.Contains(notAllowed, code):
		f = noRight("")
	case slices.Contains(passing, code):
		f = bmc.Fail(bmc.ErrUnreachable, "", "%s: completion code %02Xh; it is starting or busy", name, uint8(code))
	default:
		f = bmc.Fail(bmc.ErrUnsupported, "", "%s: completion code %02Xh (%s)", name, uint8(code), types.StrCC(command.Command(), uint8(code)))
	}
	f.Code = int(code)
	return f
}

// codeOf is the completion code of a command that the BMC refused.
func codeOf(err error) types.CompletionCode {
	var f *bmc.Error
	if errors.As(err, &f) {
		return types.CompletionCode(f.Code)
	}
	return types.CodeOK
}

func senseless(command types.Request) *bmc.Error {
	if command == nil {
		return bmc.Fail(bmc.ErrUnsupported, "", "an answer makes no sense")
	}
	return bmc.Fail(bmc.ErrUnsupported, "", "%s: the answer makes no sense", command.Command().Name)
}

// explain gives every failure a class and says what was done.
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	var classified *bmc.Error
	if !errors.As(err, &classified) {
		classified = unclassified(err)
	}
	out := *classified
	out.Doing = doing
	return &out
}

func unclassified(err error) *bmc.Error {
	var op *net.OpError
	switch {
	case errors.Is(err, errSilent), errors.Is(err, context.DeadlineExceeded):
		return bmc.Fail(bmc.ErrUnreachable, "", "no answer in time; check its address, the network (UDP) and that IPMI over LAN is enabled")
	case errors.Is(err, context.Canceled):
		return bmc.Fail(bmc.ErrUnreachable, "", "given up, since the request is no longer wanted")
	case errors.As(err, &op) && op.Err != nil:
		// Without the addresses: a local port that differs each time is no news.
		return bmc.Fail(bmc.ErrUnreachable, "", "%s: %v", op.Op, op.Err)
	}
	return bmc.Fail(bmc.ErrUnreachable, "", "%v", err)
}
