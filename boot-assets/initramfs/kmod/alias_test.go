package kmod_test

import (
	"testing"

	"ingot.dev/ingot/boot-assets/initramfs/kmod"
)

func TestMatch(t *testing.T) {
	const i350 = "pci:v00008086d00001521sv00001028sd00000001bc02sc00i00"
	for _, c := range []struct {
		pattern, modalias string
		want              bool
	}{
		{"pci:v00008086d00001521sv*sd*bc*sc*i*", i350, true},
		{"pci:v00008086d00001521sv00001028sd*bc*sc*i*", i350, true},
		{"pci:v*d*sv*sd*bc02sc00i*", i350, true},
		{"pci:v00008086d00001522sv*sd*bc*sc*i*", i350, false},
		{"pci:v*d*sv*sd*bc01sc06i01*", i350, false},
		{"usb:v04B0p0301d00[0-5]*dc*", "usb:v04B0p0301d0010dc00", true},
		{"usb:v04B0p0301d00[2-5]*dc*", "usb:v04B0p0301d0010dc00", false},
		{"virtio:d00000001v*", "virtio:d00000001v00001AF4", true},
		{"virtio:d00000001v*", "virtio:d00000002v00001AF4", false},
		{"of:N*T*Cqemu,fw-cfg-mmioC*", "of:NfwTCqemu,fw-cfg-mmioCx", true},
		{"[", "[", false},
		{"", "", true},
	} {
		if got := kmod.Match(c.pattern, c.modalias); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.modalias, got)
		}
	}
}
