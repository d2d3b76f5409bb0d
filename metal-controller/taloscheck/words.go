package taloscheck

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/go-multierror"
	"go.yaml.in/yaml/v3"

	"ingot.dev/ingot/metal-controller/machineconfig"
)

// words turns Talos' errors into ones without values.
type words struct{ config []byte }

// unknownKeys begins the list of fields that Talos does not know.
const unknownKeys = "unknown keys found during decoding:\n"

var (
	// lineForm finds the innermost line that an error names: the last one.
	lineForm = regexp.MustCompile(`line (\d+)`)
	// intoForm is what the decoder says of a value that is of another type; the value itself stands between.
	intoForm = regexp.MustCompile(`cannot (?:unmarshal|construct|decode) (!!\w+)[^\n]* into ([\w.*\[\]]+)`)
	// outer is the decoder's own wrapping.
	outer = regexp.MustCompile(`^error decoding (document|\S*) .*?\): |^error decoding \S* to \*\S+: `)
)

// decoding explains why the config cannot be read as Talos'.
func (w words) decoding(err error) error {
	text := err.Error()
	document, path := w.place(text)
	if before, unknown, found := strings.Cut(text, unknownKeys); found {
		document, _ = w.place(before)
		return fmt.Errorf("%s: Talos knows no field %s", document, strings.Join(keyPaths(unknown), ", nor "))
	}
	if strings.HasSuffix(text, "not registered") {
		return fmt.Errorf("%s: Talos %s knows no such kind of document", document, Version)
	}
	if m := intoForm.FindStringSubmatchIndex(text); m != nil { // the first of them, with the line before it
		document, path = w.place(text[:m[0]])
		return fmt.Errorf("%s: %s is a %s, and Talos wants a %s there", document, path, typeName(text[m[2]:m[3]]), typeName(text[m[4]:m[5]]))
	}
	for m := outer.FindString(text); m != ""; m = outer.FindString(text) {
		text = text[len(m):]
	}
	return fmt.Errorf("%s: Talos cannot read it: %s", place(document, path), w.clean(text))
}

// place is what the last line that a text names holds.
func (w words) place(text string) (document, path string) {
	line := 1
	if all := lineForm.FindAllStringSubmatch(text, -1); len(all) > 0 {
		line, _ = strconv.Atoi(all[len(all)-1][1])
	}
	return machineconfig.Locate(w.config, line)
}

func place(document, path string) string {
	if path == "" {
		return document
	}
	return document + ", near " + path
}

func typeName(t string) string {
	switch strings.TrimLeft(t, "*!") {
	case "str", "string":
		return "text"
	case "int", "float", "uint", "uint8", "uint16", "uint32", "uint64", "int32", "int64":
		return "number"
	case "bool":
		return "true or false"
	case "seq":
		return "list"
	case "map":
		return "map"
	}
	if strings.HasPrefix(t, "[]") {
		return "list"
	}
	return "value of another kind"
}

// keyPaths are the paths of the keys in a text, without what they hold.
func keyPaths(text string) (paths []string) {
	var n yaml.Node
	if yaml.Unmarshal([]byte(text), &n) == nil && len(n.Content) > 0 {
		collect(n.Content[0], "", &paths)
	}
	if len(paths) > maxShown {
		paths = paths[:maxShown]
	}
	if len(paths) == 0 {
		return []string{"of this name"}
	}
	return paths
}

func collect(n *yaml.Node, path string, into *[]string) {
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content) > 0:
		for i := 0; i < len(n.Content); i += 2 {
			if secret, next := machineconfig.SecretKeyName(n.Content[i].Value), machineconfig.Join(path, n.Content[i].Value); secret {
				*into = append(*into, next)
			} else {
				collect(n.Content[i+1], next, into)
			}
		}
	case n.Kind == yaml.SequenceNode && len(n.Content) > 0 && path != "":
		for _, c := range n.Content {
			collect(c, path+"[]", into)
		}
	default:
		*into = append(*into, path)
	}
}

// validation explains what does not fit in a config that can be read.
func (w words) validation(err error) error {
	var faults []string
	for _, e := range flatten("", err) {
		faults = append(faults, w.clean(e))
	}
	return joined(faults)
}

// flatten takes joined errors apart. What wraps them names the document.
func flatten(prefix string, err error) (all []string) {
	var list *multierror.Error
	if errors.As(err, &list) {
		if before, _, found := strings.Cut(err.Error(), list.Error()); found {
			prefix += before
		}
		for _, e := range list.Errors {
			all = append(all, flatten(prefix, e)...)
		}
		return all
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range j.Unwrap() {
			all = append(all, flatten(prefix, e)...)
		}
		return all
	}
	if inner := errors.Unwrap(err); inner != nil {
		if before, found := strings.CutSuffix(err.Error(), inner.Error()); found {
			return flatten(prefix+before, inner)
		}
	}
	return []string{prefix + err.Error()}
}

// quoted is text in quotes: Talos writes values so.
var quoted = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"?|`[^`]*`?|'[^']*'?")

// apostrophe is one inside a word, which quotes nothing.
var apostrophe = regexp.MustCompile(`(\w)'(\w)`)

// clean takes every value of the config out of a text: what is a value there, what stands in quotes, and words that are a part of a value.
func (w words) clean(text string) string {
	known := machineconfig.Values(w.config)
	text = apostrophe.ReplaceAllString(known.Hide(text, hidden), "$1’$2")
	text = quoted.ReplaceAllStringFunc(text, func(q string) string {
		if inner := strings.Trim(q, `"'`); machineconfig.IsPlainWord(inner) && !known.Any(inner) {
			return q
		}
		return hidden
	})
	parts := strings.Fields(strings.ReplaceAll(text, "’", "'"))
	for i, p := range parts {
		if bare := strings.Trim(p, `.,:;()[]"'`); len(bare) >= 6 && !machineconfig.IsPlainWord(bare) && known.Any(bare) {
			parts[i] = hidden
		}
	}
	if r := []rune(strings.Join(parts, " ")); len(r) > maxMessage {
		return string(r[:maxMessage]) + hidden
	}
	return strings.Join(parts, " ")
}

// hidden stands where a value was.
const hidden = "…"
