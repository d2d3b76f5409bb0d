package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/pxe-server/boot"
	pxe "ingot.dev/ingot/pxe-server/setup"
)

// fillPorts gives ports that were left at zero their default.
func (n *Network) fillPorts() {
	for _, p := range []struct {
		port      *int
		otherwise int
	}{
		{&n.AgentPort, defaultAgentPort},
		{&n.ConfigPort, defaultConfigPort},
		{&n.PlainConfigPort, defaultPlainConfigPort},
		{&n.EventsPort, defaultEventsPort},
		{&n.KernelLogPort, defaultKernelLogPort},
		{&n.HTTPPort, pxe.DefaultHTTPPort},
	} {
		if *p.port == 0 {
			*p.port = p.otherwise
		}
	}
}

// checkWords refuses flags that are wrong on every machine.
func (n *Network) checkWords() error {
	for flag, port := range map[string]int{
		"--agent-port": n.AgentPort, "--config-port": n.ConfigPort, "--plain-config-port": n.PlainConfigPort,
		"--events-port": n.EventsPort, "--kernel-log-port": n.KernelLogPort, "--http-port": n.HTTPPort,
	} {
		if port < 1 || port > 65535 {
			return fmt.Errorf("%s %d is no port: give a number from 1 to 65535", flag, port)
		}
	}
	if n.BootPort < 0 || n.BootPort > 65535 {
		return fmt.Errorf("--boot-port %d is no port: give a number from 1 to 65535, or 0 for none", n.BootPort)
	}
	if n.Address != "" {
		if _, err := reachable("--address", n.Address); err != nil {
			return err
		}
	}
	if err := n.checkLimits(); err != nil {
		return err
	}
	switch boot.UnknownPolicy(n.UnknownPolicy) {
	case boot.RegisterOnce, boot.Ignore, boot.Hold:
	default:
		return fmt.Errorf("--unknown-policy %q: choose register-once, ignore or hold", n.UnknownPolicy)
	}
	if _, port, err := net.SplitHostPort(n.MetricsAddr); n.MetricsAddr != "" && (err != nil || !isPort(port)) {
		return fmt.Errorf("--metrics-address %q: write ADDRESS:PORT, as %s", n.MetricsAddr, defaultMetricsAddr)
	}
	_, err := server.ParseLimit(n.DestructiveLimit)
	return err
}

// maxMiB keeps a size in bytes within 64 bits.
const maxMiB = 1 << 40

func (n *Network) checkLimits() error {
	for flag, mib := range map[string]int64{"--boot-file-limit": n.FileMiB, "--boot-cache-limit": n.CacheMiB} {
		if mib < 0 || mib > maxMiB {
			return fmt.Errorf("%s %d: give a number of MiB from 1 to %d", flag, mib, int64(maxMiB))
		}
	}
	return nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// port is one that Ingot will listen on.
type port struct{ network, address, what, flag string }

func (n *Network) ports() []port {
	all := []port{
		{"tcp", ":" + strconv.Itoa(n.AgentPort), "agents", "--agent-port"},
		{"tcp", ":" + strconv.Itoa(n.ConfigPort), "machine configs", "--config-port"},
		{"tcp", ":" + strconv.Itoa(n.PlainConfigPort), "machine configs over plain HTTP", "--plain-config-port"},
	}
	if n.BootPort != 0 {
		all = append(all, port{"tcp", n.sites(), "pxe-servers", "--boot-port"})
	}
	if !n.Deaf {
		all = append(all, port{"tcp", ":" + strconv.Itoa(n.EventsPort), "events of Talos", "--events-port or --no-talos-signals"},
			port{"tcp", ":" + strconv.Itoa(n.KernelLogPort), "kernel logs", "--kernel-log-port or --no-talos-signals"})
	}
	if n.MetricsAddr != "" {
		all = append(all, port{"tcp", n.MetricsAddr, "metrics", "--metrics-address"})
	}
	if n.Interface == "" {
		return all
	}
	http := ":" + strconv.Itoa(n.HTTPPort)
	family, lease := "4", port{"udp4", ":67", "DHCP", ""}
	if own, err := n.prefix(); err == nil && own.Addr().Is6() {
		family, lease = "6", port{"udp6", ":547", "DHCPv6", ""}
	}
	if n.Proxy && family == "4" {
		all = append(all, port{"udp4", ":4011", "proxy DHCP", ""})
	}
	if !n.NoDHCP {
		all = append(all, lease)
	}
	return append(all, port{"udp" + family, ":69", "TFTP", ""}, port{"tcp" + family, http, "HTTP boot", "--http-port"})
}

// checkPorts opens each port and closes it, so that one that is taken is told before anything is started.
func (n *Network) checkPorts(ctx context.Context) error {
	for _, p := range n.ports() {
		if err := p.explain(p.try(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func (p port) try(ctx context.Context) error {
	var l net.ListenConfig
	if strings.HasPrefix(p.network, "udp") {
		c, err := l.ListenPacket(ctx, p.network, p.address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	c, err := l.Listen(ctx, p.network, p.address)
	if err != nil {
		return err
	}
	return c.Close()
}

// explain names who could have the port and what to do.
func (p port) explain(err error) error {
	_, number, _ := net.SplitHostPort(p.address)
	name := "port " + number + "/" + p.network[:3]
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE) && p.flag != "":
		return fmt.Errorf("%s for %s is taken, maybe by another Ingot; `%s` shows by whom, or choose another with %s", name, p.what, p.whose(number), p.flag)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s for %s is taken; `%s` shows by whom: stop that program first", name, p.what, p.whose(number))
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no right to open %s for %s; run as root, or with the capabilities NET_BIND_SERVICE and NET_RAW", name, p.what)
	}
	return fmt.Errorf("opening %s for %s: %w; see %s", name, p.what, err, p.flag)
}

func (p port) whose(number string) string {
	if p.network[:3] == "udp" {
		return "ss -lnup sport = :" + number
	}
	return "ss -lntp sport = :" + number
}
