package qemu

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"ingot.dev/ingot/sfyra-tests/rack/lldp"
)

// Limits of one server.
const (
	maxCPUs      = 16
	maxMemoryMiB = 65536
	minMemoryMiB = 128
	maxDisks     = 12
	sataPorts    = 6 // of the q35's controller; a SATA drive takes the port of its place in the list
	maxNICs      = 8
	maxSerial    = 20 // ATA and NVMe cut there
	maxText      = 64
	maxDiskBytes = 1 << 44
)

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// Check says all that is wrong with the spec.
func (s *Spec) Check() error {
	problems := []error{s.checkSize(), s.checkTexts(), s.checkFirmware()}
	for i := range s.Disks {
		problems = append(problems, wrap(s.Disks[i].check(), "disk %d", i))
		if s.Disks[i].Kind == SATA && i >= sataPorts {
			problems = append(problems, fmt.Errorf("disk %d: a SATA drive must be among the first %d drives, whose port it takes", i, sataPorts))
		}
	}
	for i := range s.NICs {
		problems = append(problems, wrap(s.NICs[i].check(), "NIC %d", i))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("checking server %q: %w", s.Name, err)
	}
	return nil
}

func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

func (s *Spec) checkSize() error {
	switch {
	case !namePattern.MatchString(s.Name):
		return errors.New("the name needs 1 to 40 lower-case letters, digits and hyphens")
	case s.UUID != "" && !uuidPattern.MatchString(s.UUID):
		return fmt.Errorf("%q is no UUID", s.UUID)
	case s.CPUs < 1 || s.CPUs > maxCPUs:
		return fmt.Errorf("the number of CPUs must be 1 to %d", maxCPUs)
	case s.MemoryMiB < minMemoryMiB || s.MemoryMiB > maxMemoryMiB:
		return fmt.Errorf("the memory must be %d to %d MiB", minMemoryMiB, maxMemoryMiB)
	case len(s.Disks) > maxDisks:
		return fmt.Errorf("at most %d disks fit", maxDisks)
	case len(s.NICs) < 1 || len(s.NICs) > maxNICs:
		return fmt.Errorf("the number of NICs must be 1 to %d", maxNICs)
	}
	return nil
}

func (s *Spec) checkFirmware() error {
	switch {
	case s.Firmware != "" && s.Firmware != UEFI && s.Firmware != BIOS:
		return fmt.Errorf("unknown firmware %q", s.Firmware)
	case s.Arch != "" && s.Arch != AMD64 && s.Arch != ARM64:
		return fmt.Errorf("unknown architecture %q", s.Arch)
	case s.Arch == ARM64 && (s.Firmware == BIOS || s.Direct != nil):
		return errors.New("an arm64 server boots by its UEFI firmware here")
	case s.Drive && (s.Arch == ARM64 || len(s.Disks) >= sataPorts && s.Disks[sataPorts-1].Kind == SATA):
		return errors.New("an optical drive takes the last SATA port of an amd64 server; leave it free")
	case s.Firmware == BIOS && s.HTTPBoot:
		return errors.New("a BIOS cannot boot through HTTP; use UEFI")
	}
	return nil
}

func (s *Spec) checkTexts() error {
	for _, text := range []string{
		s.Manufacturer, s.Product, s.Serial, s.SKU, s.Family,
		s.Board.Manufacturer, s.Board.Product, s.Board.Serial, s.Board.AssetTag,
	} {
		if err := checkText(text, maxText); err != nil {
			return err
		}
	}
	return nil
}

func checkText(text string, longest int) error {
	if len(text) > longest {
		return fmt.Errorf("%q is longer than %d bytes", text, longest)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%q has characters outside printable ASCII, which SMBIOS cannot hold", text)
	}
	return nil
}

func (d *Disk) check() error {
	switch d.Kind {
	case SATA, SCSI:
	case NVMe, Virtio, USB, USBMedia, USBCD:
		// QEMU could give an NVMe namespace an EUI-64, but then OVMF 2022.11
		// ignores the whole boot order: it expects the EUI to be zero.
		if d.WWN != 0 {
			return fmt.Errorf("a drive of kind %s has no WWN here, its serial number names it", d.Kind)
		}
	default:
		return fmt.Errorf("unknown kind %q", d.Kind)
	}
	if d.Image == "" && (d.SizeBytes < 1<<20 || d.SizeBytes > maxDiskBytes || d.SizeBytes%512 != 0) {
		return fmt.Errorf("the size must be 1 MiB to %d bytes in sectors of 512", int64(maxDiskBytes))
	}
	if d.Kind == NVMe && d.Serial == "" {
		return errors.New("an NVMe drive needs a serial number")
	}
	if d.Shared && d.Image == "" {
		return errors.New("a shared drive needs an image that exists; name the same one in each server")
	}
	return checkText(d.Serial, maxSerial)
}

func (n *NIC) check() error {
	if n.Model != VirtioNet && n.Model != E1000e {
		return fmt.Errorf("unknown model %q", n.Model)
	}
	if len(n.MAC) != 6 || n.MAC[0]&1 != 0 {
		return fmt.Errorf("%q is no unicast MAC address", n.MAC)
	}
	if n.Neighbor == nil {
		return nil
	}
	_, err := lldp.Encode(*n.Neighbor)
	return err
}
