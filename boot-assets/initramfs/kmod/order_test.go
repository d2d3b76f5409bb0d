package kmod_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/boot-assets/initramfs/kmod"
)

func set(infos ...kmod.Info) map[string]kmod.Info {
	out := map[string]kmod.Info{}
	for _, info := range infos {
		out[info.Name] = info
	}
	return out
}

func orderNames(modules []kmod.Module) string {
	var out []string
	for _, m := range modules {
		out = append(out, m.Name+"("+strings.Join(m.Deps, ",")+")")
	}
	return strings.Join(out, " ")
}

func TestOrder(t *testing.T) {
	got, err := kmod.Order(set(
		kmod.Info{Name: "bnx2x", Depends: []string{"mdio", "libcrc32c"}},
		kmod.Info{Name: "mdio"},
		kmod.Info{Name: "libcrc32c", Pre: []string{"crc32c", "absent"}},
		kmod.Info{Name: "crc32c_generic", Depends: []string{"in_kernel"}},
		kmod.Info{Name: "a", Pre: []string{"a"}},
	), map[string]bool{"in_kernel": true}, map[string]string{"crc32c": "crc32c_generic"})
	want := "a() crc32c_generic() libcrc32c(crc32c_generic) mdio() bnx2x(libcrc32c,mdio)"
	if err != nil || orderNames(got) != want {
		t.Errorf("got  %s, %v\nwant %s", orderNames(got), err, want)
	}
}

func TestOrderRefuses(t *testing.T) {
	for want, infos := range map[string]map[string]kmod.Info{
		"needs b, which is not there": set(kmod.Info{Name: "a", Depends: []string{"b"}}),
		"needs itself":                set(kmod.Info{Name: "a", Depends: []string{"b"}}, kmod.Info{Name: "b", Depends: []string{"a"}}),
	} {
		if _, err := kmod.Order(infos, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Every module comes after what it needs, whatever the set; the order depends on nothing but the set.
func TestOrderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(t, "n")
		infos := map[string]kmod.Info{}
		for i := range n {
			var deps []string
			for _, d := range rapid.SliceOfN(rapid.IntRange(0, 19), 0, 4).Draw(t, "deps") {
				if d < i {
					deps = append(deps, string(rune('a'+d)))
				}
			}
			name := string(rune('a' + i))
			infos[name] = kmod.Info{Name: name, Depends: deps}
		}
		got, err := kmod.Order(infos, nil, nil)
		if err != nil || len(got) != n {
			t.Fatalf("%d of %d modules, %v", len(got), n, err)
		}
		var before []string
		for _, m := range got {
			for _, dep := range m.Deps {
				if !slices.Contains(before, dep) {
					t.Fatalf("%s comes before %s", m.Name, dep)
				}
			}
			before = append(before, m.Name)
		}
		again, _ := kmod.Order(infos, nil, nil)
		if orderNames(again) != orderNames(got) {
			t.Fatal("the same set gave another order")
		}
	})
}
