// Package boot is what a program must do as the first process of a machine: mount the kernel's file systems, find the console,
// read the kernel's arguments, wait for entropy, collect dead children, and restart the machine at the end.
//
// Layer 2, adapter. The first process is a small supervisor; the work is done by a child, so that whatever goes wrong in
// it, also a fault of the Go runtime, is shown, waited upon and answered with a restart, never with a kernel panic.
package boot

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ErrArguments says that the kernel line lacks what the agent needs.
var ErrArguments = errors.New("kernel arguments")

// Args are the agent's arguments on the kernel line.
type Args struct {
	// BootID (ingot.boot) names this boot; the boot script got it from the controller.
	BootID string
	// URL (ingot.url) is the controller's agent port, https://host:port.
	URL string
	// Pin (ingot.pin) is the SHA-256 of the public key of the CA behind URL.
	Pin string
	// MAC (ingot.mac) is the interface that the machine netbooted from, lower case with colons; may be empty.
	MAC string
}

// maxArg bounds one value; the whole kernel line has 2,048 bytes on x86.
const maxArg = 512

// ParseArgs reads /proc/cmdline. The last of several equal keys counts, as in the kernel.
func ParseArgs(cmdline string) (Args, error) {
	values := map[string]string{}
	for _, field := range strings.Fields(cmdline) {
		key, value, _ := strings.Cut(field, "=")
		if strings.HasPrefix(key, "ingot.") && len(value) <= maxArg {
			values[key] = value
		}
	}
	a := Args{BootID: values["ingot.boot"], URL: values["ingot.url"], Pin: values["ingot.pin"]}
	// A boot MAC that cannot be read only loses the hint which interface to try first.
	if mac, err := net.ParseMAC(values["ingot.mac"]); err == nil {
		a.MAC = mac.String()
	}
	for _, required := range []string{"ingot.boot", "ingot.url", "ingot.pin"} {
		if values[required] == "" {
			return a, fmt.Errorf("%w: %s= is missing: boot this image with the script that pxe-server serves", ErrArguments, required)
		}
	}
	return a, nil
}
