package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// ForgetPin is the annotation that makes Ingot resolve an Environment of Talos anew. Its value is status.talos.pinnedAt, so it counts for one pin, once.
const ForgetPin = "metal.ingot.dev/forget-pin"

// Boots is what machines of each architecture are given to boot: spec.boot, or what was pinned for spec.talos as it is now. It is only read.
func (e *Environment) Boots() []BootAssets {
	if e.Spec.Talos == nil {
		return e.Spec.Boot
	}
	pin := e.Pin()
	if pin == nil {
		return nil
	}
	wanted := e.Spec.Talos.Arches()
	var out []BootAssets
	for _, b := range pin.Boot {
		if slices.Contains(wanted, b.Arch) {
			out = append(out, b)
		}
	}
	return out
}

// BootsTalos says that an Environment boots a Talos, which knows no callbacks and is asked instead: a release of it, or files whose kernel line says where its
// config is.
func (e *Environment) BootsTalos() bool {
	return e.Spec.Talos != nil || slices.ContainsFunc(e.Spec.Boot, func(b BootAssets) bool {
		return slices.ContainsFunc(b.Args, func(a string) bool { return strings.HasPrefix(a, "talos.config=") })
	})
}

// Pin is what was pinned for spec.talos as it is now, of some architectures at least; nil when that was not resolved.
func (e *Environment) Pin() *TalosPin {
	pin := e.Status.Talos
	if e.Spec.Talos == nil || pin == nil || pin.Source != e.Spec.Talos.Source() {
		return nil
	}
	return pin
}

// Unresolved are the wanted architectures of Talos for which nothing is pinned.
func (e *Environment) Unresolved() []string {
	if e.Spec.Talos == nil {
		return nil
	}
	boots := e.Boots()
	return slices.DeleteFunc(e.Spec.Talos.Arches(), func(arch string) bool {
		return slices.ContainsFunc(boots, func(b BootAssets) bool { return b.Arch == arch })
	})
}

// Arches are the architectures that are wanted.
func (t *TalosSource) Arches() []string {
	var arches []string
	for _, b := range t.Boot {
		arches = append(arches, b.Arch)
	}
	switch {
	case len(arches) > 0:
		return arches
	case len(t.Architectures) > 0:
		return slices.Clone(t.Architectures)
	}
	return []string{"amd64"}
}

// Source is the SHA-256 of what decides which files a release has. Another architecture changes nothing about those that are pinned, so it is left out.
func (t *TalosSource) Source() string {
	c := *t
	c.Architectures = nil
	text, err := json.Marshal(c)
	if err != nil { // it consists of texts and lists of them
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
