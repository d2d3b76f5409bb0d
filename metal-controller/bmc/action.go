package bmc

import (
	"errors"
	"time"
)

// Verb is what an Action ensures.
type Verb string

const (
	// PowerOn ensures that the host is on.
	PowerOn Verb = "PowerOn"
	// PowerOnFromNetwork ensures that the host is on; one that is off boots from the network this once, if its BMC can do that.
	PowerOnFromNetwork Verb = "PowerOnFromNetwork"
	// PowerOff ensures that the host is off, at once and without asking its operating system.
	PowerOff Verb = "PowerOff"
	// ShutDown asks the operating system of a host that is on to switch it off. It is done when the BMC took the order: a system may take minutes, or
	// never follow, so that a host that stays on is no lie of its BMC.
	ShutDown Verb = "ShutDown"
	// BootNetworkOnce ensures that the next boot is from the network.
	BootNetworkOnce Verb = "BootNetworkOnce"
	// BootNetworkAlways ensures that every boot is from the network.
	BootNetworkAlways Verb = "BootNetworkAlways"
)

// wants is the power state that a verb ends in, "" for one that leaves the power alone, or to the host.
func (v Verb) wants() PowerState {
	switch v {
	case PowerOn, PowerOnFromNetwork:
		return On
	case PowerOff:
		return Off
	case BootNetworkOnce, BootNetworkAlways, ShutDown:
	}
	return ""
}

// Action is one thing to ensure. Its ID is the caller's: an ID runs once, so to try again means a new ID.
type Action struct {
	ID   string
	Verb Verb
}

// order is an action with the time it came in.
type order struct {
	Action
	since time.Time
}

// Reading is what is known of one BMC. It is a copy; nothing in it changes later.
type Reading struct {
	// Power was last asked for at At, and answered; both stay when a later reading fails.
	Power PowerState
	At    time.Time
	// Err is why the last contact failed, nil when it did not. It wraps a class; see ClassOf.
	Err error
	// ErrSince is when contact began to fail in this class.
	ErrSince time.Time
	// PinSeen is the certificate that the BMC showed: SHA-256 of its DER form, lower-case hexadecimal.
	PinSeen string
	// Media says that the image of the target was in a drive of the BMC when it was last asked, or last inserted it.
	Media bool
	// NetworkErr is why the last boot from the network could not be ordered: ErrUnsupported or ErrLied. nil when it could, or none was ordered yet.
	NetworkErr error
	// Pending is the ID of the action that waits or runs.
	Pending string
	// ActionID is the last action that came to an end, at ActionAt. ActionErr is nil when it was done and read back.
	ActionID  string
	ActionErr error
	ActionAt  time.Time
	// ActionWant is the power state that this action was to end in; empty when it left the power alone or to the host, or when the address changed since.
	ActionWant PowerState
}

// Belied is the error of the last action while readings go on to contradict it: one more poll does not make a lie true.
func (r Reading) Belied() error {
	if errors.Is(r.ActionErr, ErrLied) && r.ActionWant != "" && r.Power != r.ActionWant {
		return r.ActionErr
	}
	return nil
}

// differs says whether a reconciler would want to know. The age of a reading and the wording of an error are not news.
func (r Reading) differs(from Reading) bool {
	return r.Power != from.Power || ClassOf(r.Err) != ClassOf(from.Err) || r.PinSeen != from.PinSeen ||
		r.Media != from.Media || ClassOf(r.NetworkErr) != ClassOf(from.NetworkErr) || r.Pending != from.Pending || r.ActionID != from.ActionID || r.At.IsZero() != from.At.IsZero()
}
