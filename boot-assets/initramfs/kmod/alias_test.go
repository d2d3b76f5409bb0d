package kmod_test

import (
	"testing"

	"pgregory.net/rapid"

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

// covers is fnmatch for patterns of plain words and stars, written another way: each star tries every length.
func covers(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	if pattern[0] != '*' {
		return text != "" && text[0] == pattern[0] && covers(pattern[1:], text[1:])
	}
	for i := 0; i <= len(text); i++ {
		if covers(pattern[1:], text[i:]) {
			return true
		}
	}
	return false
}

func TestMatchProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab:*]{0,8}`).Draw(t, "pattern")
		text := rapid.StringMatching(`[ab:]{0,10}`).Draw(t, "text")
		if got, want := kmod.Match(pattern, text), covers(pattern, text); got != want {
			t.Fatalf("Match(%q, %q) = %v", pattern, text, got)
		}
	})
}
