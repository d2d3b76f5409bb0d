package fakebmc

import (
	"context"
	"fmt"
	"slices"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// systemPatch is the body of PATCH on the system. Absent members stay as they are.
type systemPatch struct {
	AssetTag *string
	Boot     *bootPatch
}

// bootPatch is ComputerSystem.Boot as a client may write it (DSP0268).
type bootPatch struct {
	Enabled *string `json:"BootSourceOverrideEnabled"`
	Target  *string `json:"BootSourceOverrideTarget"`
	Mode    *string `json:"BootSourceOverrideMode"`
	URI     *string `json:"HttpBootUri"`
}

const (
	once       = "Once"
	continuous = "Continuous"
	disabled   = "Disabled"
	maxURI     = 2048
)

// targets are what this firmware can boot.
func (b *BMC) targets() []string {
	list := []string{machine.TargetNone, machine.TargetPxe, machine.TargetHdd, machine.TargetCd}
	if b.config.Machine.Identity().UEFI {
		list = append(list, machine.TargetUefiHTTP)
	}
	if b.faults.Get().NoPxe {
		list = slices.DeleteFunc(list, func(target string) bool { return target == machine.TargetPxe })
	}
	return list
}

func (b *BMC) mode() string {
	if b.config.Machine.Identity().UEFI {
		return "UEFI"
	}
	return "Legacy"
}

func (b *BMC) boot(override machine.BootOverride) object {
	enabled, target := overrideWords(override)
	boot := object{
		"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": target, "BootSourceOverrideMode": b.mode(),
		"BootSourceOverrideEnabled@Redfish.AllowableValues": []string{disabled, once, continuous},
		"BootSourceOverrideTarget@Redfish.AllowableValues":  b.targets(),
	}
	if b.config.Machine.Identity().UEFI {
		boot["HttpBootUri"] = override.URI
	}
	return boot
}

func overrideWords(override machine.BootOverride) (enabled, target string) {
	switch {
	case !override.Pending():
		return disabled, machine.TargetNone
	case override.Once:
		return once, override.Target
	}
	return continuous, override.Target
}

// patchBoot merges a patch into the machine's override.
func (b *BMC) patchBoot(ctx context.Context, patch bootPatch) error {
	b.expireBoot(ctx)
	now, err := b.config.Machine.BootOverride(ctx)
	if err != nil {
		return err
	}
	if b.faults.Get().IgnoreURI {
		patch.URI = nil
	}
	wanted, err := b.merge(now, patch)
	if err != nil || b.faults.Get().IgnoreBoot {
		return err
	}
	b.touchBoot()
	return b.config.Machine.SetBootOverride(ctx, wanted)
}

// touchBoot begins the time of the override anew.
func (b *BMC) touchBoot() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bootSet = b.config.Now()
}

// expireBoot clears an override whose time is over, on a BMC whose overrides expire. It is looked at whenever somebody asks.
func (b *BMC) expireBoot(ctx context.Context) {
	b.mu.Lock()
	over := b.config.Now().Sub(b.bootSet) >= FlagTime
	b.mu.Unlock()
	if !over || !b.faults.Get().FlagsExpire {
		return
	}
	if now, err := b.config.Machine.BootOverride(ctx); err == nil && now.Pending() {
		_ = b.config.Machine.SetBootOverride(ctx, machine.BootOverride{Target: machine.TargetNone}) // None is always taken
	}
}

// merge is pure: the override that a patch asks for, or why it cannot be.
func (b *BMC) merge(now machine.BootOverride, patch bootPatch) (machine.BootOverride, error) {
	enabled, target := overrideWords(now)
	enabled, target = or(patch.Enabled, enabled), or(patch.Target, target)
	uri := or(patch.URI, now.URI)
	switch {
	case !slices.Contains([]string{disabled, once, continuous}, enabled):
		return now, fmt.Errorf("%w: BootSourceOverrideEnabled", machine.ErrInvalid)
	case !slices.Contains(b.targets(), target):
		return now, fmt.Errorf("%w: BootSourceOverrideTarget", machine.ErrInvalid)
	case patch.Mode != nil && *patch.Mode != b.mode():
		return now, fmt.Errorf("%w: BootSourceOverrideMode is fixed to %s", machine.ErrInvalid, b.mode())
	case len(uri) > maxURI:
		return now, fmt.Errorf("%w: HttpBootUri", machine.ErrInvalid)
	case enabled == disabled:
		return machine.BootOverride{Target: machine.TargetNone}, nil
	}
	return machine.BootOverride{Target: target, Once: enabled == once, URI: uri}, nil
}

func or(given *string, otherwise string) string {
	if given != nil {
		return *given
	}
	return otherwise
}
