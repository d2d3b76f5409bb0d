package bmc

import (
	"errors"
	"fmt"
)

// Classes of failure. Every error of a Driver and of a Reading wraps exactly one.
var (
	// ErrUnreachable: no usable answer within the limits. Trying again later may help.
	ErrUnreachable = errors.New("the BMC does not answer")
	// ErrUnauthorized: the BMC refused the credentials, or they lack the right.
	ErrUnauthorized = errors.New("the BMC refused the credentials")
	// ErrUnsupported: the BMC answered and cannot do it, or its answer makes no sense.
	ErrUnsupported = errors.New("the BMC cannot do this")
	// ErrLied: the BMC acknowledged, and reading back shows otherwise.
	ErrLied = errors.New("the BMC acknowledged and did not do it")
	// ErrCertificateChanged: the certificate is not the pinned one. No credentials were sent.
	ErrCertificateChanged = errors.New("the BMC shows another certificate than the pinned one")
)

// Classes lists them all, for tables and metrics.
func Classes() []error {
	return []error{ErrUnreachable, ErrUnauthorized, ErrUnsupported, ErrLied, ErrCertificateChanged}
}

// maxDetail bounds what a BMC can put into a message.
const maxDetail = 300

// Error is a classified failure. Its text holds no secret and no body that a BMC sent.
type Error struct {
	// Class is one of the classes above.
	Class error
	// Doing is what was tried: "reading power state".
	Doing string
	// Detail says what happened and, where there is one, the next step.
	Detail string
	// Code is the protocol's own status of the answer, 0 without one.
	Code int
	// PinSeen is the certificate that was shown, if the failure came after that.
	PinSeen string
}

// Error is "doing: class: detail".
func (e *Error) Error() string {
	text := e.Class.Error()
	if e.Doing != "" {
		text = e.Doing + ": " + text
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap gives the class, for errors.Is.
func (e *Error) Unwrap() error { return e.Class }

// Fail makes a classified error. The detail is cut to a bound.
func Fail(class error, doing, format string, args ...any) *Error {
	detail := fmt.Sprintf(format, args...)
	if len(detail) > maxDetail {
		detail = detail[:maxDetail] + "..."
	}
	return &Error{Class: class, Doing: doing, Detail: detail}
}

// ClassOf gives the class of an error: nil for nil, ErrUnreachable for one that has none.
func ClassOf(err error) error {
	if err == nil {
		return nil
	}
	for _, class := range Classes() {
		if errors.Is(err, class) {
			return class
		}
	}
	return ErrUnreachable
}

// pinOf is the certificate that came with an error, or "".
func pinOf(err error) string {
	var classified *Error
	if errors.As(err, &classified) {
		return classified.PinSeen
	}
	return ""
}
