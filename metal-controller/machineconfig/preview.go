package machineconfig

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What stands for a value that is not shown.
const (
	// Secret stands for a value that looks like a secret; it is never shown.
	Secret = "(secret)"
	// Hidden stands for a value that nobody asked to see.
	Hidden = "(hidden)"
)

// Line is one value of a machine config.
type Line struct {
	// Document is the apiVersion, kind and name of its document; "v1alpha1" for Talos' document without a kind.
	Document string
	// Path in the document, for instance machine.network.interfaces[0].mtu.
	Path string
	// Value, or what stands for it.
	Value string
	// Origin is OriginSecret or that of a patch.
	Origin string
}

// secretWords are in the names of what is never shown: too many rather than one too few.
var secretWords = []string{
	"key", "secret", "token", "password", "passphrase", "passwd", "credential", "bundle", "crt", "cert", "auth", "private", "content", "psk", "seed",
}

// secretNames are never shown either; they are parts of too many other words.
var secretNames = []string{"ca", "pin", "data", "stringdata", "pass"}

// secretValue looks like a secret whatever it is called: a private key, or an address with a password.
var secretValue = regexp.MustCompile(`PRIVATE KEY|://[^/\s@]*:[^/\s@]*@|ingot\.config=`)

// maxShownValue bounds one value on a screen, in characters.
const maxShownValue = 120

// Preview lists all values with their origin, in the order of the config. Without showValues, only what is there.
func Preview(r Result, showValues bool) []Line {
	var lines []Line
	for _, d := range r.documents {
		w := &walk{origins: r.origins, document: title(identityOf(d)), callback: identityOf(d) == callbackIdentity, show: showValues}
		w.visit(d, "", false)
		lines = append(lines, w.lines...)
	}
	return lines
}

// walk goes through one document.
type walk struct {
	origins  origins
	document string
	callback bool // Ingot's own document, whose url is a capability
	show     bool
	lines    []Line
}

func (w *walk) visit(n *yaml.Node, path string, secret bool) {
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content) > 0:
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i].Value
			w.visit(n.Content[i+1], join(path, key), secret || secretKey(key) || w.callback && key == "url")
		}
	case n.Kind == yaml.SequenceNode && len(n.Content) > 0:
		for i, c := range n.Content {
			w.visit(c, path+"["+strconv.Itoa(i)+"]", secret)
		}
	default:
		w.lines = append(w.lines, Line{w.document, path, w.value(n, secret), w.origins[n]})
	}
}

// value is what is shown of a scalar, an empty map or an empty list.
func (w *walk) value(n *yaml.Node, secret bool) string {
	switch {
	case secret || secretValue.MatchString(n.Value):
		return Secret
	case !w.show:
		return Hidden
	case n.Kind == yaml.MappingNode:
		return "{}"
	case n.Kind == yaml.SequenceNode:
		return "[]"
	}
	if r := []rune(n.Value); len(r) > maxShownValue {
		return strconv.Quote(string(r[:maxShownValue])) + "…"
	}
	return strconv.Quote(n.Value)
}

func secretKey(key string) bool {
	key = strings.ToLower(key)
	return slices.Contains(secretNames, key) || slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(key, w) })
}

// join adds a key to a path; one that would read as several is quoted.
func join(path, key string) string {
	if !plainKey.MatchString(key) || strings.Contains(key, ".") {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func title(id identity) string {
	if id == (identity{}) {
		return "v1alpha1"
	}
	return strings.TrimSpace(strings.TrimPrefix(id.apiVersion+"/"+id.kind, "/") + " " + id.name)
}
