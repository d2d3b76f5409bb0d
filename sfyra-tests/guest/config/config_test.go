package config

import (
	"strings"
	"testing"
)

const whole = `machine: {type: worker}
---
# only a comment
---
- a list
---
apiVersion: test.ingot.dev/v1
kind: TestOS
disk: serial:NV1
everySeconds: 5
secret: hush
marks: true
holdSeconds: 2
---
apiVersion: ingot.dev/v1alpha1
kind: Callback
url: https://192.0.2.1:7445/v1/signal/s/b/t
pin: 00ff
boot: boot-1
server: rack1-01
providerID: ingot://rack1-01
`

func TestParse(t *testing.T) {
	got, err := Parse([]byte(whole))
	want := Config{
		Callback: Callback{URL: "https://192.0.2.1:7445/v1/signal/s/b/t", Pin: "00ff", Boot: "boot-1", Server: "rack1-01"},
		OS:       TestOS{Disk: "serial:NV1", EverySeconds: 5, Secret: "hush", Marks: true, HoldSeconds: 2},
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	_, callback, _ := strings.Cut(whole, "holdSeconds: 2\n---\n")
	if got, err := Parse([]byte(callback)); err != nil || got.OS != (TestOS{Disk: "largest"}) {
		t.Errorf("only a Callback: %+v, %v", got, err)
	}
}

// TestParseRefuses: above all what a broken transfer leaves.
func TestParseRefuses(t *testing.T) {
	cut, _, _ := strings.Cut(whole, "boot: boot-1")
	for name, text := range map[string]string{
		"nothing":         "",
		"no Callback":     "kind: Other\n",
		"another version": strings.Replace(whole, "ingot.dev/v1alpha1", "ingot.dev/v9", 1),
		"cut":             cut,
		"no YAML":         "a: [\n",
		"a wrong type":    strings.Replace(whole, "everySeconds: 5", "everySeconds: often", 1),
		"a negative time": strings.Replace(whole, "everySeconds: 5", "everySeconds: -5", 1),
		"a negative hold": strings.Replace(whole, "holdSeconds: 2", "holdSeconds: -2", 1),
		"too large":       whole + strings.Repeat("#", MaxBytes),
	} {
		if got, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s was taken: %+v", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := Parse(text); err == nil && c.Callback.URL == "" {
			t.Errorf("taken without an address: %+v", c)
		}
	})
}
