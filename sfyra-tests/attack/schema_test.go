package main

import (
	_ "embed"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ingot.dev/ingot/crds/manifests"
)

// field is a leaf of a kind's schema.
type field struct {
	kind kind
	// path begins with the kind; [] stands for any item of a list, {} for any value of a map.
	path   string
	schema map[string]any
}

// kind is one of the API's.
type kind struct {
	name, group, version, plural string
	namespaced, status           bool
	spec                         map[string]any // schema
}

// kinds are those of the CustomResourceDefinitions that Ingot installs.
func kinds(t *testing.T) (all []kind) {
	t.Helper()
	objects, err := manifests.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		all = append(all, kindOf(o))
	}
	if len(all) < 9 {
		t.Fatalf("only %d kinds are there", len(all))
	}
	return all
}

func kindOf(o *unstructured.Unstructured) kind {
	text := func(path ...string) string {
		s, _, _ := unstructured.NestedString(o.Object, append([]string{"spec"}, path...)...)
		return s
	}
	versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
	version := versions[0].(map[string]any)
	spec, _, _ := unstructured.NestedMap(version, "schema", "openAPIV3Schema", "properties", "spec")
	_, status, _ := unstructured.NestedMap(version, "subresources", "status")
	return kind{text("names", "kind"), text("group"), version["name"].(string), text("names", "plural"), text("scope") == "Namespaced", status, spec}
}

// fields are all leaves of the kinds' specs.
func fields(all []kind) (out []field) {
	for _, k := range all {
		if k.spec != nil {
			out = leaves(k, k.name+".spec", k.spec, out)
		}
	}
	return out
}

func leaves(k kind, path string, schema map[string]any, out []field) []field {
	props, items, values := sub(schema, "properties"), sub(schema, "items"), sub(schema, "additionalProperties")
	switch {
	case props != nil:
		for _, name := range slices.Sorted(maps.Keys(props)) {
			out = leaves(k, path+"."+name, props[name].(map[string]any), out)
		}
		return out
	case items != nil:
		return leaves(k, path+"[]", items, out)
	case values != nil:
		return leaves(k, path+"{}", values, out)
	}
	return append(out, field{k, path, schema})
}

func sub(schema map[string]any, key string) map[string]any {
	m, _ := schema[key].(map[string]any)
	return m
}

//go:embed fields.txt
var fieldRows string

// writers says who may write each field.
func writers(t *testing.T) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for line := range strings.Lines(fieldRows) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if len(words) != 2 || rows[words[0]] != "" {
			t.Errorf("fields.txt: %q is no row, or there twice", line)
			continue
		}
		rows[words[0]] = words[1]
	}
	return rows
}

// unlisted are fields without a row, and rows without a field.
func unlisted(all []field, rows map[string]string) (out []string) {
	left := maps.Clone(rows)
	for _, f := range all {
		if rows[f.path] == "" {
			out = append(out, f.path)
		}
		delete(left, f.path)
	}
	return append(out, slices.Sorted(maps.Keys(left))...)
}

// TestFieldsAreComplete: every field has a row that says who may write it. A field that somebody adds is noticed.
func TestFieldsAreComplete(t *testing.T) {
	all, rows := kinds(t), writers(t)
	if missing := unlisted(fields(all), rows); len(missing) > 0 {
		t.Errorf("fields.txt lacks, or has too much: %v", missing)
	}
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == "Server" })
	sub(all[i].spec, "properties")["wipedByAgent"] = map[string]any{"type": "boolean"}
	if missing := unlisted(fields(all), rows); len(missing) != 1 || missing[0] != "Server.spec.wipedByAgent" {
		t.Errorf("control: a field that was added: %v", missing)
	}
	delete(rows, "Server.spec.accepted")
	if missing := unlisted(fields(all), rows); len(missing) != 2 {
		t.Errorf("control: a row that is gone: %v", missing)
	}
}

// kubernetes are parts of schemas that are Kubernetes' own types, whose strings have no bounds of ours: label selectors of a class, which operators write, and
// labels and annotations of templates, which Cluster API copies to objects where Kubernetes bounds them. The size of an object bounds them all.
var kubernetes = regexp.MustCompile(`\.(selector\.match(Labels|Expressions).*|template\.metadata\.(labels|annotations)\{\})$`)

// endless is a repetition without an end.
var endless = regexp.MustCompile(`[^\\][*+]|,\}`)

// TestFieldsAreBounded (T39): no string that anybody may write is without a bound, nor is a list.
func TestFieldsAreBounded(t *testing.T) {
	read := 0
	for _, f := range fields(kinds(t)) {
		if kubernetes.MatchString(f.path) {
			continue
		}
		if f.schema["type"] == "string" {
			read++
			if !bounded(f.schema) {
				t.Errorf("%s is a string without a bound: %v", f.path, f.schema)
			}
		}
	}
	for _, k := range kinds(t) {
		boundedLists(t, k.name+".spec", k.spec)
	}
	for text, want := range map[string]bool{"^[0-9a-f]{64}$": true, "^[a-z]+$": false, "^[a-z]{1,}$": false, "^x*$": false} {
		if bounded(map[string]any{"pattern": text}) != want {
			t.Errorf("control: %s", text)
		}
	}
	if read < 100 {
		t.Errorf("control: only %d strings were looked at", read)
	}
}

func bounded(schema map[string]any) bool {
	pattern, _ := schema["pattern"].(string)
	return schema["maxLength"] != nil || schema["enum"] != nil || schema["format"] == "date-time" || strings.HasSuffix(pattern, "$") && !endless.MatchString(pattern)
}

func boundedLists(t *testing.T, path string, schema map[string]any) {
	t.Helper()
	for name, p := range sub(schema, "properties") {
		boundedLists(t, path+"."+name, p.(map[string]any))
	}
	if items := sub(schema, "items"); items != nil {
		if schema["maxItems"] == nil && !kubernetes.MatchString(path) {
			t.Errorf("%s is a list without a bound", path)
		}
		boundedLists(t, path+"[]", items)
	}
}

// samples are values for patterns.
var samples = map[string]string{
	"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$":         "a",
	"^[!-~]+$":                                    "panic=1",
	"^[0-9a-f]{64}$":                              strings.Repeat("0a", 32),
	`^https?://[^\s]+$`:                           "http://files.example/k",
	`^https?://[^\s@]+$`:                          "http://files.example/k",
	`^https?://[^\s/?#@]+(/[^\s?#@]*)?$`:          "https://factory.example",
	`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`: "v1.13.0",
	"^[a-z0-9][a-z0-9-]{0,62}$":                   "a1",
	"^([0-9a-f]{2}:){5}[0-9a-f]{2}$":              "02:00:00:00:00:01",
	"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$": "11111111-2222-3333-4444-555555555555",
}

// sample is a value that a schema takes, with what is required and nothing else.
func sample(t *testing.T, path string, schema map[string]any) any {
	t.Helper()
	if enum, ok := schema["enum"].([]any); ok {
		return enum[0]
	}
	if schema["x-kubernetes-int-or-string"] == true {
		return "10G"
	}
	switch schema["type"] {
	case "boolean":
		return true
	case "integer":
		return number(schema["minimum"], 1)
	case "array":
		return []any{sample(t, path+"[]", sub(schema, "items"))}
	case "object":
		out := map[string]any{}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			out[name.(string)] = sample(t, path+"."+name.(string), sub(schema, "properties")[name.(string)].(map[string]any))
		}
		return out
	case "string":
		return textFor(t, path, schema)
	}
	t.Errorf("%s: no sample for %v", path, schema)
	return nil
}

func textFor(t *testing.T, path string, schema map[string]any) string {
	pattern, _ := schema["pattern"].(string)
	switch {
	case schema["format"] == "date-time":
		return "2026-01-01T00:00:00Z"
	case pattern != "":
		if samples[pattern] == "" {
			t.Errorf("%s: give samples a value for %s", path, pattern)
		}
		return samples[pattern]
	case strings.HasSuffix(path, ".operator"):
		return "Exists"
	}
	return strings.Repeat("a", int(max(1, number(schema["minLength"], 1))))
}

// number is an integer of a schema, or what is taken without one.
func number(v any, otherwise int64) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return otherwise
}

// steps takes a path apart: names, [] and {}.
func steps(path string) []string {
	path = strings.NewReplacer("[]", ".[]", "{}", ".{}").Replace(path)
	return strings.Split(path, ".")[1:]
}

// with is what a schema takes with a value at the place that the steps lead to, and beside it what is required on the way.
func with(t *testing.T, path string, schema map[string]any, way []string, value any) any {
	t.Helper()
	if len(way) == 0 {
		return value
	}
	switch way[0] {
	case "[]":
		return []any{with(t, path, sub(schema, "items"), way[1:], value)}
	case "{}":
		return map[string]any{"key": with(t, path, sub(schema, "additionalProperties"), way[1:], value)}
	}
	out := sample(t, path, schema).(map[string]any)
	out[way[0]] = with(t, path+"."+way[0], sub(schema, "properties")[way[0]].(map[string]any), way[1:], value)
	return out
}

// merge puts what is missing from base into an object, lists by their first item.
func merge(object, base any) any {
	switch b := base.(type) {
	case map[string]any:
		o, ok := object.(map[string]any)
		if !ok {
			return object
		}
		for key, value := range b {
			if have, ok := o[key]; ok {
				o[key] = merge(have, value)
			} else {
				o[key] = value
			}
		}
	case []any:
		if o, ok := object.([]any); ok && len(o) > 0 && len(b) > 0 {
			o[0] = merge(o[0], b[0])
		}
	}
	return object
}

// tooMuch are values just beyond the bounds of a schema.
func tooMuch(schema map[string]any) (all map[string]any) {
	all = map[string]any{}
	switch schema["type"] {
	case "string":
		all["one letter too many"] = strings.Repeat("a", int(number(schema["maxLength"], 1<<16))+1)
		all["a number"] = int64(7)
	case "integer":
		all["a text"] = "many"
		if m, ok := schema["maximum"]; ok {
			all["one too much"] = number(m, 0) + 1
		}
		if m, ok := schema["minimum"]; ok {
			all["one too little"] = number(m, 0) - 1
		}
	case "boolean":
		all["a text"] = "perhaps"
	default:
		all["a word"] = "much"
	}
	return all
}
