package machineconfig_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"ingot.dev/ingot/metal-controller/machineconfig"
)

// values are what configs and patches hold; text is awkward on purpose.
func values(lists bool) *rapid.Generator[any] {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", " x", "x\n", "a\nb", "\ta\n b", "yes", "0x1f", "null", "~", "- a", "a: b", "#x", "é\u2028", "'", `"`, "2020-01-01", "1_000"}), rapid.StringOf(rapid.RuneFrom(nil, unicode.L, unicode.P, unicode.S, unicode.Zs)))
	scalars := rapid.OneOf(rapid.Custom(func(t *rapid.T) any { return text.Draw(t, "text") }), rapid.Custom(func(t *rapid.T) any { return rapid.Int().Draw(t, "n") }), rapid.Just[any](true), rapid.Just[any](nil))
	var level func(int) *rapid.Generator[any]
	level = func(left int) *rapid.Generator[any] {
		if left == 0 {
			return scalars
		}
		kinds := []*rapid.Generator[any]{scalars, rapid.Custom(func(t *rapid.T) any { return maps(level(left-1)).Draw(t, "map") })}
		if lists {
			kinds = append(kinds, rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(level(left-1), 0, 3).Draw(t, "list") }))
		}
		return rapid.OneOf(kinds...)
	}
	return level(3)
}

func maps(of *rapid.Generator[any]) *rapid.Generator[map[string]any] {
	return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c d", "metadata", "on", "1"}), of, 0, 4)
}

func document(t *rapid.T, name string, lists bool) string {
	out, err := json.Marshal(maps(values(lists)).Draw(t, name)) // the library's own writer gets some of this text wrong
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func bytesOf(t *rapid.T, base string, patches ...string) []byte {
	r, err := try(base, patches...)
	if err != nil {
		t.Fatalf("%v\n%s\n%q", err, base, patches)
	}
	return r.Bytes()
}

// TestIdentity: without a patch, or with an empty one, the config means what it meant, and building it again changes no byte.
func TestIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := document(t, "base", true)
		out := bytesOf(t, base)
		for _, patch := range []string{"", "{}", "---\n---\n", "# nothing"} {
			if again := bytesOf(t, string(out), patch); !bytes.Equal(out, again) {
				t.Fatalf("the patch %q changed\n%s\ninto\n%s", patch, out, again)
			}
		}
		if meaning(t, base) != meaning(t, string(out)) {
			t.Fatalf("%s\nbecame\n%s", base, out)
		}
	})
}

// meaning is a config as data.
func meaning(t *rapid.T, text string) string {
	var v map[string]any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%#v", v)
}

// TestIdempotent: a patch without lists that fits says the same twice; and the same input gives the same bytes.
func TestIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, patch := document(t, "base", true), document(t, "patch", false)
		once, err := try(base, patch)
		twin, err2 := try(base, patch)
		if (err == nil) != (err2 == nil) || !bytes.Equal(once.Bytes(), twin.Bytes()) {
			t.Fatal("two answers")
		}
		if err != nil {
			if !strings.Contains(err.Error(), "there, and a") {
				t.Fatal(err)
			}
			return
		}
		if again := bytesOf(t, base, patch, patch); !bytes.Equal(once.Bytes(), again) {
			t.Fatalf("once\n%s\ntwice\n%s", once.Bytes(), again)
		}
		for _, l := range machineconfig.Preview(once, true) {
			if l.Origin == "" || l.Document == "" {
				t.Fatalf("a value without an origin: %+v", l)
			}
		}
	})
}

// FuzzBuild: no bytes of a Secret and no patch crash it; what comes out can be built again and stays as it is.
func FuzzBuild(f *testing.F) {
	for _, seed := range []string{talos, "a: &x [*x]", "a: |2-\n   x\n", "? {a: b}\n: c", "%YAML 1.1\n---\na: !!binary aGk=", "[{op: add, path: /a/-}]", "l: [{$patch: delete}]", "\ufeffa: 1", "{a: {$patch: replace, b: c}}", "a: \"\\u2028\"\n...\n---\n"} {
		f.Add([]byte(seed), "a: {b: 1}")
		f.Add([]byte("a: {b: [1]}"), seed)
	}
	f.Fuzz(func(t *testing.T, base []byte, patch string) {
		r, err := machineconfig.Build(base, []machineconfig.Patch{{Origin: "p", YAML: patch}})
		if err != nil {
			return
		}
		machineconfig.Preview(r, true)
		again, err := machineconfig.Build(r.Bytes(), nil)
		if err != nil || !bytes.Equal(r.Bytes(), again.Bytes()) {
			t.Errorf("%q\nagain: %v, %q", r.Bytes(), err, again.Bytes())
		}
	})
}
