package device

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/ata"
	"ingot.dev/ingot/agent/wipe/nvme"
	"ingot.dev/ingot/agent/wipe/plan"
)

// Identity reads what the kernel knows of the device that is open, from the same files as the inventory.
func (d *device) Identity() (wipe.Identity, error) {
	who := wipe.Identity{
		WWID:   first(d.text("wwid"), d.text("device/wwid")),
		Serial: first(d.text("serial"), d.text("device/serial"), vpdSerial(d.text("device/vpd_pg80"))),
	}
	if who.WWID == "" && who.Serial != "" && partOfVirtio.MatchString(d.sys) {
		who.WWID = "virtio." + who.Serial // as the inventory reports it
	}
	if who == (wipe.Identity{}) {
		return who, fmt.Errorf("the disk at %s tells neither WWID nor serial", filepath.Base(d.sys))
	}
	return who, nil
}

// Facts asks the kernel and the disk what a plan rests on. A disk that does not understand a question does not have the ability.
func (d *device) Facts(context.Context) (plan.Disk, error) {
	size, err := d.size()
	if err != nil {
		return plan.Disk{}, err
	}
	sector, err := unix.IoctlGetInt(d.fd, unix.BLKSSZGET)
	if err != nil {
		return plan.Disk{}, fmt.Errorf("asking for the sector size: %w", err)
	}
	out := plan.Disk{
		Size: size, Sector: sector,
		Rotational: d.text("queue/rotational") == "1",
		ReadOnly:   d.text("ro") == "1",
		DiscardMax: d.number("queue/discard_max_bytes"),
	}
	if d.nvme != nil {
		if out.NVMe, err = nvme.Look(d.nvme); err != nil {
			out.NVMe = plan.NVMe{}
		}
	}
	if d.ata != nil {
		if out.ATA, err = ata.Look(d.ata); err != nil {
			out.ATA = plan.ATA{}
		}
	}
	return out, nil
}

func (d *device) text(name string) string {
	f, err := os.Open(filepath.Join(d.sys, name))
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return ""
	}
	return string(trim(b))
}

// trim leaves binary pages alone, which begin with a zero byte.
func trim(b []byte) []byte {
	if len(b) > 0 && b[0] == 0 {
		return b
	}
	return []byte(strings.TrimSpace(string(b)))
}

func (d *device) number(name string) int64 {
	n, err := strconv.ParseInt(d.text(name), 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// vpdSerial reads the unit serial number page (SPC-4 section 7.8.14): page 80h, a 16-bit length, text.
func vpdSerial(page string) string {
	b := []byte(page)
	if len(b) < 4 || b[1] != 0x80 {
		return ""
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	return string(b[4:min(4+length, len(b))])
}

func first(texts ...string) string {
	for _, s := range texts {
		if strings.TrimSpace(s) != "" {
			return s
		}
	}
	return ""
}
