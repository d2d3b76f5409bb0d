package rmcp

import (
	"context"
	"time"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// Parameters of the boot options (table 28-14).
const (
	ParamProgress    = 0
	ParamKeep        = 3
	ParamAcknowledge = 4
	ParamFlags       = 5
)

const (
	flagValid, flagPersist, flagUEFI = 0x80, 0x40, 0x20
	keepOverTime                     = 0x08
	parameterVersion                 = 1
)

// bootOptions are what a BMC keeps of them. The turn guards them.
type bootOptions struct {
	progress, keep uint8
	acknowledge    [2]uint8
	flags          [5]uint8
	set            time.Time
	// heeded says that the firmware reads the flags: they are of its kind.
	heeded bool
}

// devices are the selectors of parameter 5 that this firmware can boot.
func devices() map[uint8]string {
	return map[uint8]string{0: machine.TargetNone, 1: machine.TargetPxe, 2: machine.TargetHdd, 5: machine.TargetCd}
}

func (b *BMC) setBoot(ctx context.Context, _ *session, data []byte) (uint8, []byte) {
	sizes := map[uint8]int{ParamProgress: 1, ParamKeep: 1, ParamAcknowledge: 2, ParamFlags: 5}
	if len(data) == 0 {
		return codeBadLength, nil
	}
	parameter := data[0] & 0x7f
	size, known := sizes[parameter]
	switch {
	case !known || parameter == ParamKeep && b.config.Faults.Get().FlagsExpire:
		return codeNoParameter, nil
	case len(data) != 1+size:
		return codeBadLength, nil
	}
	switch values := data[1:]; parameter {
	case ParamProgress:
		b.boot.progress = values[0]
	case ParamKeep:
		b.boot.keep = values[0] & 0x1f
	case ParamAcknowledge:
		b.boot.acknowledge = [2]uint8(values)
	case ParamFlags:
		return b.setFlags(ctx, [5]uint8(values)), nil
	}
	return codeOK, nil
}

// setFlags gives the machine the override that its firmware will find, if the flags are of its kind.
func (b *BMC) setFlags(ctx context.Context, flags [5]uint8) uint8 {
	target, known := devices()[flags[1]>>2&0x0f]
	if !known {
		return codeBadField
	}
	if b.config.Faults.Get().IgnoreBoot {
		return codeOK
	}
	heeded := flags[0]&flagValid != 0 && (flags[0]&flagUEFI != 0) == b.config.Machine.Identity().UEFI
	override := machine.BootOverride{Target: machine.TargetNone}
	if heeded && target != machine.TargetNone {
		override = machine.BootOverride{Target: target, Once: flags[0]&flagPersist == 0}
	}
	if err := b.config.Machine.SetBootOverride(ctx, override); err != nil {
		return codeFor(err)
	}
	b.boot.flags, b.boot.heeded, b.boot.set = flags, heeded && target != machine.TargetNone, b.config.Now()
	return codeOK
}

func (b *BMC) getBoot(ctx context.Context, _ *session, data []byte) (uint8, []byte) {
	if len(data) != 3 {
		return codeBadLength, nil
	}
	parameter := data[0] & 0x7f
	head := []byte{parameterVersion, parameter}
	switch parameter {
	case ParamProgress:
		return codeOK, append(head, b.boot.progress)
	case ParamKeep:
		if b.config.Faults.Get().FlagsExpire {
			return codeNoParameter, nil
		}
		return codeOK, append(head, b.boot.keep)
	case ParamAcknowledge:
		return codeOK, append(head, b.boot.acknowledge[:]...)
	case ParamFlags:
		flags, err := b.presentFlags(ctx)
		if err != nil {
			return codeUnspecified, nil
		}
		return codeOK, append(head, flags[:]...)
	}
	return codeNoParameter, nil
}

// presentFlags are the flags as they stand: firmware that used them once has cleared them.
func (b *BMC) presentFlags(ctx context.Context) ([5]uint8, error) {
	override, err := b.config.Machine.BootOverride(ctx)
	if err == nil && b.boot.heeded && !override.Pending() {
		b.boot.flags, b.boot.heeded = [5]uint8{}, false
	}
	return b.boot.flags, err
}

// expireFlags clears flags whose time is over (28.13).
func (b *BMC) expireFlags(ctx context.Context) {
	if b.boot.flags[0]&flagValid == 0 || b.boot.keep&keepOverTime != 0 || b.config.Now().Sub(b.boot.set) < fakebmc.FlagTime {
		return
	}
	if b.boot.heeded {
		_ = b.config.Machine.SetBootOverride(ctx, machine.BootOverride{Target: machine.TargetNone}) // None is always taken
	}
	b.boot.flags, b.boot.heeded = [5]uint8{}, false
}
