package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"ingot.dev/ingot/agent/boot"
	"ingot.dev/ingot/agent/modules"
	"ingot.dev/ingot/agent/network"
	"ingot.dev/ingot/sfyra-tests/guest/install"
)

var errButton = errors.New("the power button was pressed")

// run is one life from power-on to reboot or off.
func run(ctx context.Context, log *slog.Logger) (boot.Ending, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	line, err := boot.Cmdline()
	if err != nil {
		return boot.EndRestart, err
	}
	if err := drivers(ctx, log); err != nil {
		return boot.EndRestart, err
	}
	go obeyButton(ctx, log, end)
	entropy := boot.Entropy{Ready: boot.KernelEntropy, After: time.After, Log: log, Poll: 250 * time.Millisecond, Remind: 10 * time.Second}
	if err := entropy.Wait(ctx); err != nil {
		return ending(ctx, err)
	}
	if err := connect(ctx, log); err != nil {
		return ending(ctx, err)
	}
	words := parseLine(line)
	if words.fromDisk {
		return ending(ctx, runFromDisk(ctx, log))
	}
	return ending(ctx, netbooted(ctx, log, line, words))
}

// ending is off after a press of the button, whatever that cut short.
func ending(ctx context.Context, err error) (boot.Ending, error) {
	if errors.Is(context.Cause(ctx), errButton) {
		return boot.EndPowerOff, nil
	}
	return boot.EndRestart, err
}

// drivers loads what fits the machine now, and goes on looking for a while.
func drivers(ctx context.Context, log *slog.Logger) error {
	index, err := modules.ReadIndex(os.DirFS("/modules"))
	if err != nil {
		return err
	}
	loader := modules.New(modules.Config{
		Index: index, Root: os.DirFS("/"), Insert: modules.Kernel("/modules"), After: time.After, Log: log,
	})
	loader.Always(ctx)
	loader.Coldplug(ctx)
	go loader.Watch(ctx, time.Second, time.Minute)
	return nil
}

// obeyButton ends the system at a press of the power button, which is also what a BMC's graceful shutdown presses.
func obeyButton(ctx context.Context, log *slog.Logger, end func(error)) {
	button := boot.Button{Root: os.DirFS("/"), Open: boot.OpenInput, After: time.After, Log: log, Poll: time.Second, Most: time.Minute}
	select {
	case <-button.Presses(ctx):
		log.Info("testos: the power button was pressed; switching off")
		end(errButton)
	case <-ctx.Done():
	}
}

// connect gets an address and keeps it.
func connect(ctx context.Context, log *slog.Logger) error {
	n := &network.Network{
		Kernel: network.Netlink{Sys: "/sys", Resolver: "/etc/resolv.conf"}, Client: network.DHCP{}, After: time.After, Log: log,
	}
	lease, err := n.Connect(ctx)
	if err != nil {
		return err
	}
	go func() { _ = n.Keep(ctx, lease) }()
	return nil
}

// findDisk waits for the disk that the config names: drivers show them late, so the list must stay the same for a moment.
func findDisk(ctx context.Context, want string) (install.Disk, error) {
	const poll, most = 250 * time.Millisecond, 30 * time.Second
	before := -1
	for waited := time.Duration(0); ; waited += poll {
		disks := install.Disks(os.DirFS("/"))
		disk, err := install.Choose(disks, want)
		if err == nil && len(disks) == before || waited >= most {
			return disk, err
		}
		before = len(disks)
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return disk, context.Cause(ctx)
		}
	}
}
