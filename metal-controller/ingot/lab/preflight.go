package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"ingot.dev/ingot/metal-controller/ingot/services"
	"ingot.dev/ingot/sfyra-tests/rack"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
)

// tunDevice makes the servers' network cards (Linux, Documentation/networking/tuntap.rst).
const tunDevice = "/dev/net/tun"

// preflight says what is missing before anything is started. The rack checks more once it knows its network.
func (c *config) preflight() error {
	network := services.Network{Interface: rack.DefaultBridge, AgentImages: c.agentImages}
	var story error
	if c.story {
		if c.testOS == "" {
			c.testOS = services.BuiltImage("testos-amd64")
		}
		_, story = readTestOS(c.testOS)
	}
	return errors.Join(needQEMU(exec.LookPath), needTun(tunDevice), network.Fill(), story)
}

func needQEMU(look func(string) (string, error)) error {
	if _, err := look(qemu.Program); err != nil {
		return fmt.Errorf("%s is not installed; on Debian: apt-get install qemu-system-x86 ovmf", qemu.Program)
	}
	return nil
}

// needTun opens the device, which takes nothing until a card is made.
func needTun(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s is closed to you, and the servers need network cards; run as root, or open it: chmod a+rw %s", device, device)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s is missing, and the servers need network cards; load it: modprobe tun", device)
	}
	return fmt.Errorf("opening %s for the servers' network cards: %w", device, err)
}
