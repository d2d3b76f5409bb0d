package rack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack/lldp"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// Words of the hardware, so that users of a rack need one import.
type (
	// Spec is the hardware of one server.
	Spec = qemu.Spec
	// Disk is one drive of a server.
	Disk = qemu.Disk
	// NIC is one network card of a server.
	NIC = qemu.NIC
	// Board is the base board and the chassis of a server.
	Board = qemu.Board
	// Direct is a kernel that QEMU itself boots.
	Direct = qemu.Direct
	// Neighbor is the switch port behind a NIC.
	Neighbor = lldp.Neighbor
)

// MaxServers is what emulation on a small machine can carry: 16 servers need
// about 90 s from power-on to the first request on two cores.
const MaxServers = 16

// Defaults of Config.
const (
	DefaultBridge       = "rack0"
	DefaultLLDPInterval = 5 * time.Second
	defaultCode         = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	defaultVars         = "/usr/share/OVMF/OVMF_VARS_4M.fd"
	defaultArm64Code    = "/usr/share/AAVMF/AAVMF_CODE.fd"
	defaultArm64Vars    = "/usr/share/AAVMF/AAVMF_VARS.fd"
)

// defaultPrefix is the address of the switch and the length of its network.
var defaultPrefix = netip.MustParsePrefix("192.168.77.1/24")

// Config of a rack. The zero value of a field means its default.
type Config struct {
	// Dir keeps disks, firmware variables and logs over restarts, one folder
	// per server. It is made when it is missing.
	Dir string
	// Bridge is the name of the switch's device.
	Bridge string
	// Prefix is the address of the switch with the length of its network. With one of IPv6 the rack has no IPv4.
	Prefix netip.Prefix
	// Servers, at most MaxServers.
	Servers []Spec
	// LLDPInterval is the time between two frames; negative sends none.
	LLDPInterval time.Duration
	// Accel is probed when it is empty.
	Accel qemu.Accel
	// CodeFile and VarsFile are OVMF's code and the template of its variables.
	CodeFile, VarsFile string
	// Arm64CodeFile and Arm64VarsFile are those of AAVMF, for arm64 servers.
	Arm64CodeFile, Arm64VarsFile string
	// Log gets one line per power change.
	Log *slog.Logger
}

func (c *Config) complete() {
	if c.Bridge == "" {
		c.Bridge = DefaultBridge
	}
	if !c.Prefix.IsValid() {
		c.Prefix = defaultPrefix
	}
	if c.LLDPInterval == 0 {
		c.LLDPInterval = DefaultLLDPInterval
	}
	c.CodeFile, c.VarsFile = cmp.Or(c.CodeFile, defaultCode), cmp.Or(c.VarsFile, defaultVars)
	c.Arm64CodeFile, c.Arm64VarsFile = cmp.Or(c.Arm64CodeFile, defaultArm64Code), cmp.Or(c.Arm64VarsFile, defaultArm64Vars)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) check() error {
	if c.Dir == "" {
		return errors.New("the rack needs a folder")
	}
	if len(c.Servers) == 0 || len(c.Servers) > MaxServers {
		return fmt.Errorf("a rack has 1 to %d servers, not %d", MaxServers, len(c.Servers))
	}
	problems := []error{c.checkFirmware()}
	names, macs, memory := map[string]bool{}, map[string]bool{}, 0
	for i := range c.Servers {
		spec := &c.Servers[i]
		problems = append(problems, spec.Check(), once(names, "name", spec.Name))
		for _, nic := range spec.NICs {
			problems = append(problems, once(macs, "MAC address", nic.MAC.String()))
		}
		memory += spec.MemoryMiB
	}
	return errors.Join(append(problems, checkMemory(memory))...)
}

func once(seen map[string]bool, what, value string) error {
	if seen[value] {
		return fmt.Errorf("two of the rack have the %s %s", what, value)
	}
	seen[value] = true
	return nil
}

// firmware is the code and the template of the variables for a server.
func (c *Config) firmware(spec *Spec) (code, vars string) {
	if spec.Arch == qemu.ARM64 {
		return c.Arm64CodeFile, c.Arm64VarsFile
	}
	return c.CodeFile, c.VarsFile
}

// checkFirmware looks for the firmware of each server.
func (c *Config) checkFirmware() error {
	for i := range c.Servers {
		packages := "ovmf"
		if c.Servers[i].Arch == qemu.ARM64 {
			packages = "qemu-system-arm qemu-efi-aarch64"
		}
		code, vars := c.firmware(&c.Servers[i])
		for _, file := range []string{code, vars} {
			if _, err := os.Stat(file); err != nil {
				return fmt.Errorf("looking for the firmware: %w; install it, on Debian with: apt-get install %s", err, packages)
			}
		}
	}
	return nil
}

// checkMemory compares with what the host could give without swapping.
func checkMemory(needMiB int) error {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fmt.Errorf("reading the host's memory: %w", err)
	}
	free, err := availableMiB(string(text))
	if err != nil {
		return err
	}
	if needMiB > free {
		return fmt.Errorf("the servers need %d MiB of memory and the host has %d MiB left; use fewer or smaller servers", needMiB, free)
	}
	return nil
}

// prepare makes the absolute folder and completes the accelerator.
func (c *Config) prepare(ctx context.Context) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("finding the rack's folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the rack's folder: %w", err)
	}
	c.Dir = dir
	if c.Accel == "" {
		c.Accel, err = qemu.Probe(ctx, c.CodeFile)
	}
	return err
}

// bridgeMAC is the same in every run, so that guests keep what they learned.
func bridgeMAC() net.HardwareAddr { return net.HardwareAddr{0x52, 0x54, 0x00, 0xff, 0xff, 0x01} }
