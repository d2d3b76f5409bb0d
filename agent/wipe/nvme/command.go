// Package nvme speaks the few admin commands of NVM Express that a wipe needs: Identify, Format NVM, Sanitize and its log.
//
// Layer 2, adapter over a port that sends one command; agent/wipe/device gives it the kernel's passthrough. QEMU knows Format NVM
// but not Sanitize, so Sanitize is proven against a model of a controller only.
//
// Invariants: a command that erases names one namespace, never the broadcast value; one that takes more than that namespace is
// refused unless the namespace is the only one of its subsystem, which is asked again right before.
//
// Section and figure numbers are those of the NVM Express Base Specification 2.0.
package nvme

import (
	"fmt"
	"time"
)

// Command is an admin command. Data is read into.
type Command struct {
	Opcode       byte
	NSID         uint32
	CDW10, CDW11 uint32
	Data         []byte
	Timeout      time.Duration
}

// Port sends a command and waits for its completion. A status other than success comes as *StatusError.
type Port interface {
	Admin(Command) error
}

// StatusError is a completion with a status code (section 3.3.3.2.1). Bits 10:8 are the type, 7:0 the code, 14 is "do not retry".
type StatusError struct{ Status uint16 }

// Error names the code; figures 94 and following list them.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the controller answered with status type %d, code %#02x", e.Status>>8&7, e.Status&0xff)
}

// Opcodes, figure 138.
const (
	opGetLogPage = 0x02
	opIdentify   = 0x06
	opFormat     = 0x80
	opSanitize   = 0x84
)

// Values of CNS for Identify, figure 273.
const (
	cnsNamespace  = 0x00
	cnsController = 0x01
	cnsActive     = 0x02
	cnsAllocated  = 0x10
)

const (
	broadcast    = 0xFFFFFFFF
	identifySize = 4096
	question     = 30 * time.Second
	// A format erases the media in seconds to minutes; an hour is patience.
	formatTime = time.Hour
)

func identify(p Port, nsid, cns uint32) ([]byte, error) {
	data := make([]byte, identifySize)
	if err := p.Admin(Command{Opcode: opIdentify, NSID: nsid, CDW10: cns, Data: data, Timeout: question}); err != nil {
		return nil, fmt.Errorf("identifying (CNS %#02x): %w", cns, err)
	}
	return data, nil
}
