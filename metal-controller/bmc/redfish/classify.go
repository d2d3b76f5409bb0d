package redfish

import (
	"context"
	"errors"
	"net"
	"net/http"

	"ingot.dev/ingot/metal-controller/bmc"
)

// classify turns a failure below HTTP into a class.
func classify(err error) *bmc.Error {
	var classified *bmc.Error
	switch {
	case errors.As(err, &classified):
		return &bmc.Error{Class: classified.Class, Detail: classified.Detail}
	case errors.Is(err, context.DeadlineExceeded), timedOut(err):
		return bmc.Fail(bmc.ErrUnreachable, "", "no answer in time; check its address and the network")
	case errors.Is(err, context.Canceled):
		return bmc.Fail(bmc.ErrUnreachable, "", "given up, since the request is no longer wanted")
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		// Without the addresses: a local port that differs each time is no news.
		return bmc.Fail(bmc.ErrUnreachable, "", "%s: %v", op.Op, op.Err)
	}
	return bmc.Fail(bmc.ErrUnreachable, "", "%v", err)
}

// timedOut says that a limit of the network below passed, for instance that of a handshake.
func timedOut(err error) bool {
	var limit net.Error
	return errors.As(err, &limit) && limit.Timeout()
}

// judgeStatus turns the status of an answer into a class (DSP0266, 8.6 HTTP status codes). nil is success.
func judgeStatus(r *http.Request, status int) *bmc.Error {
	if status >= 200 && status < 300 {
		return nil
	}
	class, hint := bmc.ErrUnsupported, ""
	switch {
	case status == http.StatusUnauthorized:
		class, hint = bmc.ErrUnauthorized, "; check the user name and the password in the Secret"
	case status == http.StatusForbidden:
		class, hint = bmc.ErrUnauthorized, "; the account lacks the right, make it an operator or administrator"
	case status >= 500 && status != http.StatusNotImplemented, status == http.StatusTooManyRequests:
		// A BMC that starts, is busy or has no free session answers 503 and recovers.
		class, hint = bmc.ErrUnreachable, "; it is starting, busy or out of sessions"
	case status >= 300 && status < 400:
		hint = "; redirects are refused, name the BMC's own address"
	}
	failure := bmc.Fail(class, "", "%s %s answered status %d%s", r.Method, shorten(r.URL.Path), status, hint)
	failure.Code = status
	return failure
}

// shorten cuts a path that a BMC may have made up.
func shorten(path string) string {
	const limit = 120
	if len(path) > limit {
		return path[:limit] + "..."
	}
	return path
}
