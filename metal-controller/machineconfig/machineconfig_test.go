package machineconfig_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ingot.dev/ingot/metal-controller/machineconfig"
)

// talos is a config as Talos' tools make it: the document without a kind, and one with.
const talos = `version: v1alpha1 # a comment
machine:
  type: worker
  token: s3cret-token
  install:
    disk: /dev/sda
    wipe: false
  network:
    nameservers: [192.0.2.1]
cluster:
  ca:
    crt: s3cret-crt
---
apiVersion: v1alpha1
kind: HostnameConfig
hostname: rack1-01
---
apiVersion: v1alpha1
kind: LinkConfig
name: eth0
mtu: 1500
`

func build(t *testing.T, base string, patches ...string) string {
	t.Helper()
	r, err := try(base, patches...)
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Bytes())
}

func try(base string, patches ...string) (machineconfig.Result, error) {
	var all []machineconfig.Patch
	for i, p := range patches {
		all = append(all, machineconfig.Patch{Origin: fmt.Sprintf("patch %d", i+1), YAML: p})
	}
	return machineconfig.Build([]byte(base), all)
}

// TestBuild: base and patches in, config out.
func TestBuild(t *testing.T) {
	for name, c := range map[string]struct {
		base, want string
		patches    []string
	}{
		"no patch":                      {base: "a: 1 # why\n---\n# nothing\n---\napiVersion: v1\nkind: A\n", want: "a: 1\n---\napiVersion: v1\nkind: A\n"},
		"nothing at all":                {},
		"a patch alone":                 {patches: []string{"a: 1"}, want: "a: 1\n"},
		"maps merge":                    {base: "m: {a: 1, b: 2}", patches: []string{"m: {b: 3, c: 4}"}, want: "m: {a: 1, b: 3, c: 4}\n"},
		"lists are appended":            {base: "l: [1, 2]", patches: []string{"l: [2, {a: 1}]"}, want: "l: [1, 2, 2, {a: 1}]\n"},
		"scalars replace":               {base: "a: x", patches: []string{"a: 5"}, want: "a: 5\n"},
		"quotes stay":                   {base: `a: "yes"`, patches: []string{`b: 'no'`}, want: "a: \"yes\"\nb: 'no'\n"},
		"null replaces and is replaced": {base: "a: {b: 1}\nc: null\nd:", patches: []string{"a: null\nc: {d: 1}\nd: [1]"}, want: "a: null\nc: {d: 1}\nd: [1]\n"},
		"later patches win":             {base: "a: 1", patches: []string{"a: 2", "a: 3"}, want: "a: 3\n"},
		"delete a map":                  {base: "a: {b: 1}\nc: 1", patches: []string{"a: {$patch: delete}"}, want: "c: 1\n"},
		"delete a scalar":               {base: "a: {b: 1, c: 2}", patches: []string{"a: {b: {$patch: delete}}"}, want: "a: {c: 2}\n"},
		"delete a list, then another":   {base: "l: [1]", patches: []string{"l: {$patch: delete}", "l: [2]"}, want: "l: [2]\n"},
		"delete what is not there":      {base: "a: 1", patches: []string{"b: {$patch: delete}\nc: {d: {$patch: delete}}"}, want: "a: 1\n"},
		"replace a map":                 {base: "m: {a: 1, l: [1]}", patches: []string{"m: {$patch: replace, l: [2]}"}, want: "m: {l: [2]}\n"},
		"replace by nothing":            {base: "m: {a: 1}", patches: []string{"m: {$patch: replace}"}, want: "m: {}\n"},
		"replace what is not there":     {base: "a: 1", patches: []string{"m: {$patch: replace, b: {c: {$patch: delete}, d: 1}}"}, want: "a: 1\nm: {b: {d: 1}}\n"},
		"block text":                    {base: "a: |\n  x\n   y\nb: >-\n  p\n  q\n", want: "a: |\n  x\n   y\nb: p q\n"},
		"documents meet by name":        {base: "apiVersion: v1\nkind: A\nname: x\nn: 1\n---\napiVersion: v1\nkind: A\nname: y\nn: 1\n", patches: []string{"apiVersion: v1\nkind: A\nname: y\nn: 2\n"}, want: "apiVersion: v1\nkind: A\nname: x\nn: 1\n---\napiVersion: v1\nkind: A\nname: y\nn: 2\n"},
		"or by metadata.name":           {base: "apiVersion: v1\nkind: A\nmetadata: {name: x}\n", patches: []string{"{apiVersion: v1, kind: A, metadata: {name: x, labels: {l: a}}}"}, want: "apiVersion: v1\nkind: A\nmetadata: {name: x, labels: {l: a}}\n"},
		"one without a match is added":  {base: "a: 1", patches: []string{"apiVersion: v1\nkind: A\n---\na: 2\n"}, want: "a: 2\n---\napiVersion: v1\nkind: A\n"},
		"a document is deleted":         {base: "a: 1\n---\napiVersion: v1\nkind: A\n", patches: []string{"apiVersion: v1\nkind: A\n$patch: delete\n---\napiVersion: v1\nkind: B\n$patch: delete\n"}, want: "a: 1\n"},
		"a document is replaced":        {base: "apiVersion: v1\nkind: A\nx: 1\n", patches: []string{"apiVersion: v1\nkind: A\n$patch: replace\ny: 2\n"}, want: "apiVersion: v1\nkind: A\ny: 2\n"},
		"a kindless one has no name":    {base: "name: x\na: 1", patches: []string{"a: 2"}, want: "name: x\na: 2\n"},
	} {
		if got := build(t, c.base, c.patches...); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
	got := build(t, talos, "machine:\n  install: {disk: /dev/nvme0n1}\n  network: {nameservers: [192.0.2.2]}\n---\napiVersion: v1alpha1\nkind: LinkConfig\nname: eth0\nmtu: 9000\n")
	want := strings.NewReplacer(" # a comment", "", "/dev/sda", "/dev/nvme0n1", "[192.0.2.1]", "[192.0.2.1, 192.0.2.2]", "1500", "9000").Replace(talos)
	if got != want {
		t.Errorf("Talos:\n%s\nwant\n%s", got, want)
	}
}

// TestRefusals: what cannot be merged is refused with words that name the place and no value.
func TestRefusals(t *testing.T) {
	deep := strings.Repeat("{a: ", 70) + "s3cret" + strings.Repeat("}", 70)
	for name, c := range map[string]struct{ base, patch, want string }{
		"no YAML":               {base: "a: [s3cret", want: "near line 1"},
		"a value as an alias":   {base: "password: *s3cret", want: "no valid YAML"},
		"aliases":               {base: "a: &s3cret [1]\nb: *s3cret", want: "line 1: anchors"},
		"a bomb":                {patch: "a: &s3cret [1]\nb: [*s3cret, *s3cret]", want: "patch 1: line 1: anchors"},
		"a merge key":           {base: "a: {<<: {b: s3cret}}", want: "line 1: this tag"},
		"another tag":           {base: "a: !s3cret x", want: "line 1: this tag"},
		"a key that is no key":  {base: "a: 1\n[s3cret]: 1", want: "line 2: a key"},
		"a key twice":           {base: "a: {s3cret: 1, s3cret: 2}", want: "line 1: the key is there twice, first in line 1"},
		"a key twice, quoted":   {patch: "s3cret: 1\n\"s3cret\": 2", want: "patch 1: line 2: the key is there twice"},
		"too long":              {base: "a: " + strings.Repeat("s", machineconfig.MaxBytes), want: "longer than"},
		"too many documents":    {base: strings.Repeat("a: 1\n---\n", 65), want: "more than 64 documents"},
		"too deep":              {base: deep, want: "64 deep"},
		"two of a name":         {base: "a: 1\n---\nb: 1", want: "line 3: another document"},
		"a base that is text":   {base: "s3cret", want: "line 1: a document is no map"},
		"a directive in it":     {base: "a:\n  $patch: delete", want: "line 2: $patch belongs into patches"},
		"a patch that is text":  {patch: "s3cret", want: "line 1: a patch is a map"},
		"another directive":     {base: "a: 1", patch: "a: {$patch: merge}", want: "line 1: $patch is delete or replace"},
		"one in a list":         {base: "l: [1]", patch: "l: [{$patch: delete}]", want: "$patch says nothing in a list"},
		"a map for a list":      {base: "m: {l: [1]}", patch: "m: {l: {a: 1}}", want: "m.l is a list there, and a map here"},
		"a scalar for a map":    {base: "m: {a: 1}", patch: "m: s3cret", want: "m is a map there, and a scalar here"},
		"a list":                {base: "a: 1", patch: "[s3cret]", want: "this is a list"},
		"an empty list":         {base: "a: 1", patch: "[]", want: "this is a list"},
		"JSON patch":            {base: "a: 1", patch: `[{"op":"replace","path":"/machine/install/disk","value":"s3cret"},{"op":"add","path":"/a/l/-","value":1},{"op":"remove","path":"/b"}]`, want: "VALUE it is {machine: {install: {disk: VALUE}}} and {a: {l: [VALUE]}} and {b: {$patch: delete}}"},
		"a list by JSON patch":  {base: "a: 1", patch: `[{"op":"replace","path":"/l","value":["s3cret", 2]}]`, want: "{l: {$patch: delete}} followed by another patch, {l: [VALUE, VALUE]}"},
		"a map by JSON patch":   {base: "a: 1", patch: `[{"op":"add","path":"/m","value":{"x": "s3cret", "y": {"s3cret": 1}, "z z": 1}}]`, want: "{m: {$patch: replace, x: VALUE, y: VALUE}}"},
		"an item by JSON patch": {base: "a: 1", patch: `[{"op":"replace","path":"/m/l/0/x","value":"s3cret"}]`, want: "{m: {l: {$patch: delete}}} followed by another patch with the whole list, {m: {l: [VALUE]}}"},
		"no item by JSON patch": {base: "a: 1", patch: `[{"op":"remove","path":"/m/l/0"}]`, want: "{m: {l: {$patch: delete}}} followed by"},
		"JSON patch, not easy":  {base: "a: 1", patch: "- {op: move, from: /s3cret, path: /b}\n- {op: test, path: /a, value: s3cret}\n- {op: add, path: '/s3cret !', value: 1}\n- {op: add, path: '', value: s3cret}", want: "operation 1 has no equivalent: write the value at its new place, and at the old one {$patch: delete}; operation 2 has no equivalent: a merge patch asks nothing, leave it out; operation 3 has no equivalent: its path is not one of plain keys; operation 4"},
		"JSON patch, long":      {base: "a: 1", patch: strings.Repeat("- {op: remove, path: /b}\n", 9), want: "{b: {$patch: delete}} and 5 more"},
	} {
		var patches []string
		if c.patch != "" {
			patches = append(patches, c.patch)
		}
		_, err := try(c.base, patches...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.300v; want %q", name, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error holds a value: %v", name, err)
		}
	}
	if _, err := try("a: "+strings.Repeat("s", machineconfig.MaxBytes/2), "b: "+strings.Repeat("s", machineconfig.MaxBytes/2)); err == nil {
		t.Error("there is no bound on what comes out")
	}
}

// TestResultHides: a result that is printed by mistake says nothing.
func TestResultHides(t *testing.T) {
	r, err := try(talos)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(struct{ R machineconfig.Result }{r})
	if all := fmt.Sprintf("%v %+v %#v %s %v", r, r, r, r, struct{ R machineconfig.Result }{r}) + string(asJSON); err != nil || strings.Contains(all, "s3cret") || strings.Count(all, "REDACTED") != 6 {
		t.Errorf("%s, %v", all, err)
	}
	if !strings.Contains(string(r.Bytes()), "s3cret-token") {
		t.Error("control: the secret is not in the config")
	}
}
