package plan

import (
	"errors"
	"fmt"
)

// Target is a disk and what is wanted of it.
type Target struct {
	Level Level
	Disk  Disk
}

// Disk is what a plan rests on. The zero value of every ability means that the disk does not have it.
type Disk struct {
	Rotational bool
	ReadOnly   bool
	// Size in bytes, a multiple of Sector.
	Size int64
	// Sector is the logical sector in bytes: a power of two, 512 to 65536.
	Sector int
	// DiscardMax is the most bytes that one discard takes; 0 when the disk knows no discard.
	DiscardMax int64
	NVMe       NVMe
	ATA        ATA
}

// NVMe is what a namespace and its controller can do (NVM Express Base Specification 2.0, section 5.17.2.1, figure 275).
type NVMe struct {
	// Format: OACS bit 1.
	Format bool
	// FormatsAll: FNA bit 0 or 1. A format, or the erase that goes with it, takes all namespaces.
	FormatsAll bool
	// CryptoFormat: FNA bit 2.
	CryptoFormat bool
	// Sanitize: SANICAP bits 1, 0 and 2.
	Sanitize Sanitize
	// Namespaces counts what is allocated in the whole subsystem; 0 when the controller does not tell.
	Namespaces int
}

// Alone says that there is no other namespace that could be hit. Not to know is not to be alone.
func (n NVMe) Alone() bool { return n.Namespaces == 1 }

// Sanitize tells which kinds of sanitize a disk has, NVMe or ATA.
type Sanitize struct{ Block, Crypto, Overwrite bool }

func (s Sanitize) any() bool { return s.Block || s.Crypto || s.Overwrite }

// ATA is what IDENTIFY DEVICE tells (ACS-3 section 7.12.7: word 128 security, word 59 sanitize).
type ATA struct {
	// Security: the feature set is there.
	Security bool
	// Frozen: the firmware of the machine froze it, and nothing but a power cycle thaws it.
	Frozen bool
	// Enhanced: SECURITY ERASE UNIT knows the enhanced mode.
	Enhanced bool
	Sanitize Sanitize
	// SanitizeFrozen: SANITIZE FREEZE LOCK EXT was sent.
	SanitizeFrozen bool
}

// ErrReadOnly says that the disk takes no writes.
var ErrReadOnly = errors.New("the disk is read-only")

const (
	minSector = 512
	maxSector = 1 << 16
)

// check refuses what no plan can be made for.
func (t Target) check() error {
	d := t.Disk
	switch {
	case !t.Level.Known():
		return fmt.Errorf("the level %q is none of Quick, Clear and Purge", string(t.Level))
	case d.ReadOnly:
		return ErrReadOnly
	case d.Sector < minSector || d.Sector > maxSector || d.Sector&(d.Sector-1) != 0:
		return fmt.Errorf("the disk says that its sectors have %d bytes", d.Sector)
	case d.Size <= 0 || d.Size%int64(d.Sector) != 0:
		return fmt.Errorf("the disk says that it has %d bytes in sectors of %d", d.Size, d.Sector)
	}
	return nil
}
