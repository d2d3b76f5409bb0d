package ipmi_test

import (
	"errors"
	"strings"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
)

// TestNoPlaceForAURI: a boot from a URI is refused rather than done in another way.
func TestNoPlaceForAURI(t *testing.T) {
	l := newLab(t, nil)
	if err := l.open(t).SetBootNetwork(t.Context(), true); err != nil {
		t.Errorf("control: %v", err)
	}
	l.target.BootURI = "http://192.0.2.1/boot.efi"
	ordered := len(l.machine.Orders())
	if err := l.open(t).SetBootNetwork(t.Context(), true); !errors.Is(err, bmc.ErrUnsupported) || !strings.Contains(err.Error(), "no place for a URI") {
		t.Errorf("error %v", err)
	}
	if len(l.machine.Orders()) != ordered {
		t.Errorf("ordered %v", l.machine.Orders())
	}
}
