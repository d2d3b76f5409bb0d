// Package ata speaks the few ATA commands that a wipe needs: IDENTIFY DEVICE, the security and the sanitize feature sets.
//
// Layer 2, adapter over a port that sends one command; agent/wipe/device gives it the kernel's SG_IO with ATA PASS-THROUGH (16).
// QEMU emulates neither feature set, so they are proven against a model of a disk only.
//
// Invariant: a disk that fails or refuses is not left locked: the password is taken away again. It is no secret: after a power
// cut in the middle the next wipe finds the disk locked, and erases it with the same password.
//
// Section numbers are those of ATA/ATAPI Command Set - 3 (ACS-3).
package ata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"ingot.dev/ingot/agent/wipe/plan"
)

// Direction of the data of a command.
type Direction int

// Directions.
const (
	None Direction = iota
	In
	Out
)

// Command is an ATA command with its registers. Data is a multiple of 512 bytes.
type Command struct {
	Code            byte
	Features, Count uint16
	LBA             uint64
	// Extended commands have 48-bit registers.
	Extended  bool
	Direction Direction
	Data      []byte
	Timeout   time.Duration
}

// Result is what the registers say after a command.
type Result struct {
	Count uint16
	LBA   uint64
}

// Port sends a command and waits for its end. It returns an error when the disk sets ERR or DF.
type Port interface {
	Do(Command) (Result, error)
}

const (
	sector   = 512
	question = 30 * time.Second

	cmdIdentify = 0xEC
)

// Words of IDENTIFY DEVICE, section 7.12.7.
const (
	wordSanitize     = 59
	wordEnhancedTime = 90
	wordSecurity     = 128

	sanitizeSupported = 1 << 12
	sanitizeCrypto    = 1 << 13
	sanitizeOverwrite = 1 << 14
	sanitizeBlock     = 1 << 15

	securitySupported = 1 << 0
	securityEnabled   = 1 << 1
	securityFrozen    = 1 << 3
	securityExpired   = 1 << 4
	securityEnhanced  = 1 << 5
)

// identity are the words of IDENTIFY DEVICE.
type identity [sector / 2]uint16

func identify(p Port) (id identity, err error) {
	data := make([]byte, sector)
	if _, err := p.Do(Command{Code: cmdIdentify, Count: 1, Direction: In, Data: data, Timeout: question}); err != nil {
		return id, fmt.Errorf("identifying the disk: %w", err)
	}
	for i := range id {
		id[i] = binary.LittleEndian.Uint16(data[2*i:])
	}
	return id, nil
}

func (id identity) security(bit uint16) bool { return id[wordSecurity]&bit != 0 }

// Look asks a disk what it can do.
func Look(p Port) (plan.ATA, error) {
	id, err := identify(p)
	if err != nil {
		return plan.ATA{}, err
	}
	out := plan.ATA{
		Security: id.security(securitySupported),
		Frozen:   id.security(securityFrozen),
		Enhanced: id.security(securityEnhanced),
	}
	if w := id[wordSanitize]; w&sanitizeSupported != 0 {
		out.Sanitize = plan.Sanitize{Block: w&sanitizeBlock != 0, Crypto: w&sanitizeCrypto != 0, Overwrite: w&sanitizeOverwrite != 0}
		// The state of sanitize is no word of IDENTIFY; it is asked for.
		state, err := sanitizeStatus(p, false)
		out.SanitizeFrozen = err != nil && !errors.Is(err, errBroken) || state.frozen
	}
	return out, nil
}
