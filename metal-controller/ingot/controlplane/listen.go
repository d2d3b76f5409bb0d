package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// listen binds the API port before anything is started, so that a taken port changes nothing in the state folder.
func listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr.String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d on %s is taken%s; stop that program or choose another port with --api-port", addr.Port(), addr.Addr(), byWhom(addr.Port()))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine has no address %s; choose one of its own with --api-address (see `ip address`)", addr.Addr())
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("no permission to use port %d; choose one above 1023 with --api-port, or run as root", addr.Port())
	case err != nil:
		return nil, fmt.Errorf("listening on %s (choose with --api-address and --api-port): %w", addr, err)
	}
	return l, nil
}

// byWhom is " by NAME (PID n)" when /proc tells, otherwise empty: another user's process is visible to root only.
func byWhom(port uint16) string {
	name, pid, ok := portHolder("/proc", port)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" by %s (PID %d)", name, pid)
}

// certNames are what clients may call the API server: loopback, its address, the names that pods use, and what the caller adds.
func certNames(bind netip.Addr, extra []string) (names, error) {
	n := names{
		dns: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		ips: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(10, 96, 0, 1)},
	}
	if !bind.IsLoopback() && !bind.IsUnspecified() {
		n.ips = append(n.ips, bind.AsSlice())
	}
	if bind.IsUnspecified() {
		own, err := ownAddresses()
		if err != nil {
			return n, err
		}
		n.ips = append(n.ips, own...)
	}
	for _, e := range extra {
		if ip := net.ParseIP(e); ip != nil {
			n.ips = append(n.ips, ip)
		} else {
			n.dns = append(n.dns, e)
		}
	}
	return n, nil
}

func ownAddresses() ([]net.IP, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("reading this machine's addresses: %w", err)
	}
	var ips []net.IP
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	return ips, nil
}
