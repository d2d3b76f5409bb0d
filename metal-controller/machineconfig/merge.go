package machineconfig

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// directive is the key of a patch that says how it is applied.
const directive = "$patch"

// Directives.
const (
	remove  = "delete"
	replace = "replace"
)

// merger is a config that is being made.
type merger struct {
	documents []*yaml.Node
	origins   origins
	from      string // the origin of what is being merged
}

// identity is what documents meet by. The config of Talos that has no kind is a kind of its own.
type identity struct{ apiVersion, kind, name string }

func identityOf(document *yaml.Node) identity {
	id := identity{scalar(document, "apiVersion"), scalar(document, "kind"), scalar(document, "name")}
	if meta := value(document, "metadata"); id.name == "" && meta != nil {
		id.name = scalar(meta, "name")
	}
	if id.apiVersion == "" && id.kind == "" { // a name in it is a value like any other
		return identity{}
	}
	return id
}

// base takes the documents that patches are applied to.
func (m *merger) base(documents []*yaml.Node) error {
	seen := map[identity]bool{}
	for _, d := range documents {
		if d.Kind != yaml.MappingNode {
			return fmt.Errorf("line %d: a document is no map", d.Line)
		}
		if line := directiveLine(d); line > 0 {
			return fmt.Errorf("line %d: %s belongs into patches", line, directive)
		}
		id := identityOf(d)
		if seen[id] {
			return fmt.Errorf("line %d: another document has the same apiVersion, kind and name", d.Line)
		}
		seen[id] = true
		m.mark(d, OriginSecret)
	}
	m.documents = documents
	return nil
}

// patch applies a stream of patch documents.
func (m *merger) patch(p Patch) error {
	documents, err := parse([]byte(p.YAML))
	if err != nil {
		return err
	}
	m.from = p.Origin
	for _, d := range documents {
		if d.Kind == yaml.SequenceNode {
			return refuseList(d)
		}
		if d.Kind != yaml.MappingNode {
			return fmt.Errorf("line %d: a patch is a map", d.Line)
		}
		if err := m.document(d); err != nil {
			return err
		}
	}
	return nil
}

// document merges one patch document into the one that it names, or appends it.
func (m *merger) document(patch *yaml.Node) error {
	how, err := directiveOf(patch)
	if err != nil {
		return err
	}
	id := identityOf(patch)
	at := slices.IndexFunc(m.documents, func(d *yaml.Node) bool { return identityOf(d) == id })
	switch {
	case how == remove && at >= 0:
		m.documents = slices.Delete(m.documents, at, at+1)
		return nil
	case how == remove:
		return nil
	case at >= 0:
		return m.merge(m.documents[at], patch, nil)
	}
	fresh, left, err := m.fresh(patch, nil)
	if left {
		m.documents = append(m.documents, fresh)
	}
	return err
}

// merge merges a map of a patch into a map.
func (m *merger) merge(into, patch *yaml.Node, path []string) error {
	how, err := directiveOf(patch)
	if err != nil {
		return err
	}
	if how == replace {
		into.Content = nil
	}
	at := make(map[string]int, len(into.Content)/2)
	for i := 0; i < len(into.Content); i += 2 {
		at[into.Content[i].Value] = i
	}
	for i := 0; i < len(patch.Content); i += 2 {
		key := patch.Content[i]
		if key.Value == directive {
			continue
		}
		place, there := at[key.Value]
		if !there {
			place = -1
		}
		if err := m.entry(into, place, key, patch.Content[i+1], append(path, key.Value)); err != nil {
			return err
		}
	}
	into.Content = slices.DeleteFunc(into.Content, func(n *yaml.Node) bool { return n == nil })
	return nil
}

// entry merges one value of a patch into the value at place, which is below zero where there is none. A removed entry becomes nil.
func (m *merger) entry(into *yaml.Node, place int, key, patch *yaml.Node, path []string) error {
	how, err := directiveOf(patch)
	if err != nil {
		return err
	}
	if how == remove {
		if place >= 0 {
			into.Content[place], into.Content[place+1] = nil, nil
		}
		return nil
	}
	if place >= 0 {
		old := into.Content[place+1]
		switch {
		case old.Kind == yaml.MappingNode && patch.Kind == yaml.MappingNode:
			return m.merge(old, patch, path)
		case old.Kind != patch.Kind && !null(old) && !null(patch):
			return fmt.Errorf("line %d: %s is a %s there, and a %s here: remove the old value first, with a patch {%s: {%s: %s}} at its place",
				patch.Line, shorten(strings.Join(path, ".")), kindName(old), kindName(patch), shorten(key.Value), directive, remove)
		}
	}
	fresh, left, err := m.fresh(patch, path)
	switch {
	case err != nil:
		return err
	case place < 0 && left:
		into.Content = append(into.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: key.Tag, Value: key.Value, Style: key.Style}, fresh)
	case place >= 0 && patch.Kind == yaml.SequenceNode && !null(into.Content[place+1]):
		into.Content[place+1].Content = append(into.Content[place+1].Content, fresh.Content...)
	case place >= 0 && left:
		into.Content[place+1] = fresh
	}
	return nil
}

// fresh is a value of a patch without its directives. It says whether anything is left of one that held only directives.
func (m *merger) fresh(patch *yaml.Node, path []string) (*yaml.Node, bool, error) {
	out := &yaml.Node{Kind: patch.Kind, Tag: patch.Tag, Value: patch.Value, Style: patch.Style}
	m.origins[out] = m.from
	switch patch.Kind {
	case yaml.MappingNode:
		how, _ := directiveOf(patch)
		err := m.merge(out, patch, path)
		return out, len(out.Content) > 0 || len(patch.Content) == 0 || how == replace, err
	case yaml.SequenceNode:
		for _, item := range patch.Content {
			if how, err := directiveOf(item); how != "" || err != nil {
				return nil, false, fmt.Errorf("line %d: %s says nothing in a list: lists are appended; put it into the map that holds the list", item.Line, directive)
			}
			value, _, err := m.fresh(item, path)
			if err != nil {
				return nil, false, err
			}
			out.Content = append(out.Content, value)
		}
	default: // a scalar is its value
	}
	return out, true, nil
}

// directiveOf is how a map of a patch wants to be applied; empty for what is merged.
func directiveOf(n *yaml.Node) (string, error) {
	v := value(n, directive)
	if v == nil {
		return "", nil
	}
	if v.Kind == yaml.ScalarNode && (v.Value == remove || v.Value == replace) {
		return v.Value, nil
	}
	return "", fmt.Errorf("line %d: %s is %s or %s", v.Line, directive, remove, replace)
}

// directiveLine is the first line with a directive; 0 without any.
func directiveLine(n *yaml.Node) int {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == directive {
			return c.Line
		}
		if line := directiveLine(c); line > 0 {
			return line
		}
	}
	return 0
}

// mark notes where a value and all in it came from.
func (m *merger) mark(n *yaml.Node, from string) {
	m.origins[n] = from
	for _, c := range n.Content {
		m.mark(c, from)
	}
}

// value is that of a key in a map; nil without one.
func value(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// scalar is the text of a key in a map.
func scalar(n *yaml.Node, key string) string {
	if v := value(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func kindName(n *yaml.Node) string {
	return map[yaml.Kind]string{yaml.MappingNode: "map", yaml.SequenceNode: "list", yaml.ScalarNode: "scalar"}[n.Kind]
}

// shorten keeps messages readable, whatever a patch calls its keys.
func shorten(text string) string {
	if r := []rune(text); len(r) > 120 {
		return string(r[:120]) + "…"
	}
	return text
}

var errList = errors.New("a patch is a map, and this is a list")
