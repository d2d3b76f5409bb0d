package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"ingot.dev/ingot/agent/boot"
	"ingot.dev/ingot/agent/inventory"
	"ingot.dev/ingot/agent/modules"
	"ingot.dev/ingot/agent/network"
	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/agent/session"
	"ingot.dev/ingot/agent/wipe/firmware"
	"ingot.dev/ingot/crds/version"
)

// run is the whole life of the agent. It returns what the machine shall do next.
func run(ctx context.Context, log *slog.Logger) (boot.Ending, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmdline, err := boot.Cmdline()
	if err != nil {
		return boot.EndRestart, err
	}
	args, err := boot.ParseArgs(cmdline)
	if err != nil {
		return boot.EndRestart, err
	}
	pin, err := session.ParsePin(args.Pin)
	if err != nil {
		return boot.EndRestart, err
	}
	drivers(ctx, log)
	if err := boot.MountEFIVars(); err != nil {
		log.Warn("cannot read the firmware's variables", "error", err)
	}
	entropy := boot.Entropy{Ready: boot.KernelEntropy, After: time.After, Log: log, Poll: 250 * time.Millisecond, Remind: 10 * time.Second}
	if err := entropy.Wait(ctx); err != nil {
		return boot.EndRestart, err
	}
	return talk(ctx, log, args, pin)
}

// drivers loads what fits the machine now, and goes on looking for a while: slow buses show their devices late.
func drivers(ctx context.Context, log *slog.Logger) {
	index, err := modules.ReadIndex(os.DirFS("/modules"))
	if err != nil {
		log.Warn("the image has no drivers; only what the kernel has built in will work", "error", err)
		return
	}
	loader := modules.New(modules.Config{
		Index: index, Root: os.DirFS("/"), Insert: modules.Kernel("/modules"), After: time.After, Log: log,
	})
	log.Info("loading drivers", "in the image", len(index.Modules))
	n := loader.Always(ctx)
	n += loader.Coldplug(ctx)
	log.Info("loaded drivers", "modules", n)
	go loader.Watch(ctx, 2*time.Second, time.Minute)
}

// talk connects, reads the hardware meanwhile, and follows the controller.
func talk(ctx context.Context, log *slog.Logger, args boot.Args, pin session.Pin) (boot.Ending, error) {
	collect := collector(log)
	found := waitForDisks(ctx, log, collect)
	r := newReporter(log, collect.Collect)
	s, err := newSession(log, args, pin, r, newWiper(log, collect, r.look))
	if err != nil {
		return boot.EndRestart, err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go obeyButton(ctx, button(log).Presses(ctx), s.Quiesce, end, log)
	leave, err := converse(ctx, log, args, r, found, s)
	switch {
	case errors.Is(context.Cause(ctx), errButton):
		return boot.EndPowerOff, nil
	case err == nil && leave.PowerOff:
		return boot.EndPowerOff, nil
	}
	return boot.EndRestart, err
}

// converse gets an address, reads the hardware and follows the controller until it wants this boot to end.
func converse(ctx context.Context, log *slog.Logger, args boot.Args, r *reporter, found <-chan struct{}, s *session.Session) (session.Leave, error) {
	kernel := network.Netlink{Sys: "/sys", Resolver: "/etc/resolv.conf"}
	net := &network.Network{
		Kernel: kernel, Client: network.For(args.URL, network.DHCP{}, network.IPv6{}), BootMAC: args.MAC, After: time.After, Log: log, Changed: r.address,
	}
	lease, err := net.Connect(ctx)
	if err != nil {
		return session.Leave{}, err
	}
	go func() { _ = net.Keep(ctx, lease) }()
	look(ctx, r, kernel, found)
	go r.lookAgain(ctx, looks, time.After)
	return s.Run(ctx)
}

// look reads the hardware for the first report: after the disks are there, and with a little patience for the switch.
func look(ctx context.Context, r *reporter, kernel network.Kernel, disks <-chan struct{}) {
	interfaces, err := kernel.Interfaces()
	if err != nil {
		r.log.Warn("cannot listen for the switch", "error", err)
	}
	patience := time.After(lldpFirst)
	heard := r.listen(ctx, interfaces)
	<-disks
	select {
	case <-heard:
	case <-patience:
	}
	r.look(ctx)
}

// waitForDisks returns a channel that closes when the disks have settled, or the bound is reached.
func waitForDisks(ctx context.Context, log *slog.Logger, c *inventory.Collector) <-chan struct{} {
	found := make(chan struct{})
	go func() {
		defer close(found)
		log.Info("waiting for disks", "at most", inventory.DefaultSettle.Most)
		disks := c.WaitForDisks(ctx, inventory.DefaultSettle)
		log.Info("found disks", "count", len(disks), "names", strings.Join(disks, ","))
	}()
	return found
}

// newSession prepares the conversation with the controller.
func newSession(log *slog.Logger, args boot.Args, pin session.Pin, r *reporter, tasks session.Tasks) (*session.Session, error) {
	dialer := &net.Dialer{
		Timeout: 10 * time.Second,
		// A controller that vanished without a word is noticed within a minute.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 20 * time.Second, Interval: 10 * time.Second, Count: 4},
	}
	return session.New(session.Config{
		URL: args.URL, Pin: pin, BootID: args.BootID, AgentVersion: version.Version,
		Inventory: r.inventory,
		Evidence:  func() *protocol.Evidence { return inventory.Evidence(r.inventory(), args.MAC) },
		Tasks:     tasks, NetworkNext: firmware.Vars{Dir: boot.EFIVars, Kernel: firmware.Linux{}, Log: log}.Next,
		Changed: r.changed, Dial: dialer.DialContext, Now: time.Now, After: time.After, Random: rand.Reader, Log: log,
	})
}

func collector(log *slog.Logger) *inventory.Collector {
	return &inventory.Collector{
		Root: os.DirFS("/"), Blocks: inventory.Devices{}, Links: inventory.Netlink{},
		After: time.After, Log: log, AgentVersion: version.Version,
	}
}
