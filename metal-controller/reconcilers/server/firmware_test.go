package server

import (
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// TestFirmware: a person's word goes before what the agent saw; a BMC that speaks Redfish is not told, so that its session stays when a machine registers.
func TestFirmware(t *testing.T) {
	uefi := &metal.ServerInventorySpec{Firmware: metal.FirmwareInfo{Mode: metal.BootModeUEFI}}
	for name, c := range map[string]struct {
		protocol metal.BMCProtocol
		declared metal.BootMode
		seen     *metal.ServerInventorySpec
		want     metal.BootMode
	}{
		"nobody knows":         {metal.BMCIPMI, "", nil, ""},
		"seen":                 {metal.BMCIPMI, "", uefi, metal.BootModeUEFI},
		"declared":             {metal.BMCAuto, metal.BootModeBIOS, uefi, metal.BootModeBIOS},
		"declared, never seen": {metal.BMCAuto, metal.BootModeBIOS, nil, metal.BootModeBIOS},
		"Redfish":              {metal.BMCRedfish, metal.BootModeBIOS, uefi, ""},
	} {
		s := &metal.Server{Spec: metal.ServerSpec{BMC: &metal.BMC{Protocol: c.protocol}, BootMode: c.declared}}
		if got := firmware(s, c.seen); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
