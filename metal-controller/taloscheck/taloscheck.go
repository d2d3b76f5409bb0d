// Package taloscheck asks Talos' own code whether it would take a machine config, before the config leaves and before any boot is begun for it.
//
// It is an adapter (layer 2) over Talos' module machinery. Talos quotes values in its errors, and those of a machine config are secrets; what this package says
// names the document, the path and the cause, and no value. Everything is bounded, and a panic in Talos' code is an answer like another.
package taloscheck

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"k8s.io/apimachinery/pkg/util/version"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// Version of Talos whose code checks. Configs of a later minor release may hold what it does not know.
const Version = "v1.13.5"

// maxShown bounds how many faults one answer names, and maxMessage how long each may be, in characters.
const (
	maxShown   = 3
	maxMessage = 300
)

// Request is a config and the machine that it is for.
type Request struct {
	Config []byte
	// Version of Talos that the machine boots, for instance v1.13.0; empty when that is not known.
	Version string
	Server  *metal.Server
	// Inventory of the server; nil when there is none.
	Inventory *metal.ServerInventorySpec
}

// Covers says whether configs of this version of Talos are checked. Those of a later minor release are not: they may be right in ways not known here.
func Covers(talos string) bool {
	if talos == "" {
		return true
	}
	theirs, err := version.ParseSemantic(talos)
	if err != nil {
		return true
	}
	ours := version.MustParseSemantic(Version)
	return theirs.Major() < ours.Major() || theirs.Major() == ours.Major() && theirs.Minor() <= ours.Minor()
}

// Check says what Talos would not take, or that it would install on a disk that it must not touch. Of versions that it does not cover it judges the disk alone,
// as far as that is named where it always was.
func Check(r Request) (err error) {
	w := words{config: r.Config}
	defer func() {
		if recover() != nil { // the panic's own words may quote a value
			err = errors.New("Talos' own check of it breaks down: something that belongs to a value in it is missing")
		}
	}()
	if !Covers(r.Version) {
		return checkDisks(installOnly(r.Config), r)
	}
	provider, err := configloader.NewFromReader(bytes.NewReader(r.Config))
	if err != nil {
		return w.decoding(err)
	}
	if _, err := provider.Validate(metalMode{}); err != nil {
		return w.validation(err)
	}
	if raw := provider.RawV1Alpha1(); raw != nil && raw.MachineConfig != nil {
		return checkDisks(raw.MachineConfig.MachineInstall, r)
	}
	return nil
}

// metalMode is a machine with disks, as Talos' runtime modes go.
type metalMode struct{}

func (metalMode) String() string        { return "metal" }
func (metalMode) RequiresInstall() bool { return true }
func (metalMode) InContainer() bool     { return false }

// joined is one error for several faults.
func joined(faults []string) error {
	more := ""
	if n := len(faults) - maxShown; n > 0 {
		faults, more = faults[:maxShown], fmt.Sprintf(", and %d more", n)
	}
	return errors.New(strings.Join(faults, "; ") + more)
}
