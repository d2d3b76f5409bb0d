package nvme

import (
	"errors"
	"fmt"

	"ingot.dev/ingot/agent/wipe/plan"
)

// Offsets of the Identify Namespace data structure (NVM Command Set Specification 1.0, figure 97).
const (
	atNLBAF = 25
	atFLBAS = 26
	atDPS   = 29
)

// Secure erase settings of Format NVM, figure 189.
const (
	sesUserData = 1
	sesCrypto   = 2
)

var errNamespace = errors.New("the namespace has no number of its own")

// Format erases one namespace and keeps its format: sector size, metadata and protection (section 5.23).
func Format(p Port, nsid uint32, kind plan.Kind) error {
	if nsid == 0 || nsid == broadcast {
		return errNamespace
	}
	can, err := Look(p)
	if err != nil {
		return err
	}
	if can.FormatsAll {
		if err := alone(can); err != nil {
			return err
		}
	}
	ses := uint32(sesUserData)
	if kind == plan.Crypto {
		ses = sesCrypto
	}
	ns, err := identify(p, nsid, cnsNamespace)
	if err != nil {
		return err
	}
	if err := p.Admin(Command{Opcode: opFormat, NSID: nsid, CDW10: formatWord(ns, ses), Timeout: formatTime}); err != nil {
		return fmt.Errorf("formatting namespace %d: %w", nsid, err)
	}
	return nil
}

// formatWord is CDW10 of Format NVM, figure 189: LBAFL 3:0, MSET 4, PI 7:5, PIL 8, SES 11:9, LBAFU 13:12.
func formatWord(ns []byte, ses uint32) uint32 {
	flbas, dps := uint32(ns[atFLBAS]), uint32(ns[atDPS])
	word := flbas&0x0f | flbas&0x10 | (dps&7)<<5 | (dps>>3&1)<<8 | ses<<9
	if ns[atNLBAF] > 15 {
		// The upper bits of the format's index count only when there are more than 16 formats.
		word |= (flbas >> 5 & 3) << 12
	}
	return word
}
