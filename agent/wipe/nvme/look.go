package nvme

import (
	"encoding/binary"
	"fmt"

	"ingot.dev/ingot/agent/wipe/plan"
)

// Offsets and bits of the Identify Controller data structure, figure 275.
const (
	atCMIC     = 76
	atOACS     = 256
	atSANICAP  = 328
	atFNA      = 524
	cmicShared = 1 << 1 // two or more controllers

	oacsFormat     = 1 << 1
	oacsNamespaces = 1 << 3

	sanitizeCrypto    = 1 << 0
	sanitizeBlock     = 1 << 1
	sanitizeOverwrite = 1 << 2

	fnaFormatAll = 1 << 0
	fnaEraseAll  = 1 << 1
	fnaCrypto    = 1 << 2
)

// Look asks a controller what it can do for its namespaces.
func Look(p Port) (plan.NVMe, error) {
	id, err := identify(p, 0, cnsController)
	if err != nil {
		return plan.NVMe{}, err
	}
	oacs, fna := binary.LittleEndian.Uint16(id[atOACS:]), id[atFNA]
	san := binary.LittleEndian.Uint32(id[atSANICAP:])
	return plan.NVMe{
		Format:       oacs&oacsFormat != 0,
		FormatsAll:   fna&(fnaFormatAll|fnaEraseAll) != 0,
		CryptoFormat: fna&fnaCrypto != 0,
		Sanitize:     plan.Sanitize{Block: san&sanitizeBlock != 0, Crypto: san&sanitizeCrypto != 0, Overwrite: san&sanitizeOverwrite != 0},
		Namespaces:   namespaces(p, oacs&oacsNamespaces != 0, id[atCMIC]&cmicShared != 0),
	}, nil
}

// namespaces counts what is allocated in the subsystem, and says 0 when that cannot be known: a subsystem with several
// controllers and without namespace management may have namespaces that this controller does not list.
func namespaces(p Port, managed, shared bool) int {
	cns := uint32(cnsActive)
	switch {
	case managed:
		cns = cnsAllocated
	case shared:
		return 0
	}
	list, err := identify(p, 0, cns)
	if err != nil {
		return 0
	}
	n := 0
	for ; len(list) >= 4 && binary.LittleEndian.Uint32(list) != 0; list = list[4:] {
		n++
	}
	return n
}

// alone refuses what would take other namespaces along.
func alone(n plan.NVMe) error {
	if n.Alone() {
		return nil
	}
	return fmt.Errorf("the command would erase all namespaces of the controller (it lists %d), and one was granted", n.Namespaces)
}
