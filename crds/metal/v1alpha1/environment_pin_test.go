package v1alpha1

import (
	"slices"
	"strings"
	"testing"
)

// TestSource: what decides about the files is in it, the architectures are not. A changed number here would make every Environment be resolved anew.
func TestSource(t *testing.T) {
	base := TalosSource{Version: "v1.13.0"}
	if got := base.Source(); got != "d24948891f575640b8a2161765fe37537e0a7c7109a181c6ad2ad570581f2db4" {
		t.Errorf("the source is %s", got)
	}
	for name, change := range map[string]func(*TalosSource){
		"version": func(s *TalosSource) { s.Version = "v1.13.1" }, "schematic": func(s *TalosSource) { s.Schematic = "x" },
		"id": func(s *TalosSource) { s.SchematicID = "x" }, "factory": func(s *TalosSource) { s.FactoryURL = "https://x" },
		"secure boot": func(s *TalosSource) { s.SecureBoot = true },
		"files":       func(s *TalosSource) { s.Boot = []BootAssets{{Arch: "amd64"}} },
	} {
		changed := base
		change(&changed)
		if changed.Source() == base.Source() {
			t.Errorf("another %s is the same source", name)
		}
	}
	other := base
	other.Architectures = []string{"arm64"}
	if other.Source() != base.Source() {
		t.Error("another architecture is another source")
	}
}

// TestBoots: only what was pinned for this very spec, and of it what is wanted.
func TestBoots(t *testing.T) {
	arches := func(boots []BootAssets) string {
		var out []string
		for _, b := range boots {
			out = append(out, b.Arch)
		}
		return strings.Join(out, " ")
	}
	env := Environment{Spec: EnvironmentSpec{Talos: &TalosSource{Version: "v1.13.0"}}}
	check := func(what, boots, unresolved string) {
		t.Helper()
		if got := arches(env.Boots()); got != boots || strings.Join(env.Unresolved(), " ") != unresolved {
			t.Errorf("%s: boots %q, unresolved %q", what, got, env.Unresolved())
		}
	}
	check("nothing is pinned", "", "amd64")
	env.Status.Talos = &TalosPin{Source: env.Spec.Talos.Source(), Boot: []BootAssets{{Arch: "amd64"}}}
	check("pinned", "amd64", "")
	env.Spec.Talos.Architectures = []string{"arm64", "amd64"}
	check("one more is wanted", "amd64", "arm64")
	env.Status.Talos.Boot = append(env.Status.Talos.Boot, BootAssets{Arch: "arm64"})
	check("both", "amd64 arm64", "")
	env.Spec.Talos.Architectures = []string{"arm64"}
	check("one is wanted no more", "arm64", "")
	env.Spec.Talos.Version = "v1.13.1"
	check("another version", "", "arm64")
	if env.Pin() != nil {
		t.Error("the pin of another version is used")
	}
	env.Spec.Talos.Boot = []BootAssets{{Arch: "amd64"}}
	check("named files, not looked at yet", "", "amd64")
	env.Spec = EnvironmentSpec{Boot: []BootAssets{{Arch: "amd64", Args: []string{"a"}}}}
	check("no Talos", "amd64", "")
	if !slices.Equal(env.Boots()[0].Args, []string{"a"}) || env.Pin() != nil {
		t.Error("spec.boot is not what is booted")
	}
}

// TestBootsTalos: a Talos is known by its kind, or by its kernel line.
func TestBootsTalos(t *testing.T) {
	boot := func(args ...string) *Environment {
		return &Environment{Spec: EnvironmentSpec{Boot: []BootAssets{{Arch: "amd64"}, {Arch: "arm64", Args: args}}}}
	}
	if !(&Environment{Spec: EnvironmentSpec{Talos: &TalosSource{}}}).BootsTalos() || !boot("a", "talos.config={config}").BootsTalos() {
		t.Error("a Talos is none")
	}
	if boot("ingot.config={config}", "talos.configuration=1").BootsTalos() || (&Environment{}).BootsTalos() {
		t.Error("another system is a Talos")
	}
}
