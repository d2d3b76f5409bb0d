package machineconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tags are those of YAML's core schema.
var tags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!binary", "!!map", "!!seq"}

// lineForm finds the line in the parser's message. The rest of that may quote a value.
var lineForm = regexp.MustCompile(`line (\d+)`)

// awkward is text of several lines that begins with white space, or has some at the end of a line.
var awkward = regexp.MustCompile(`^\s|[ \t\r]\n|\s\n$`)

// parse reads a stream of documents and refuses what is beyond the limits. Empty documents are left out.
func parse(stream []byte) ([]*yaml.Node, error) {
	if len(stream) > MaxBytes {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxBytes)
	}
	var documents []*yaml.Node
	for d := yaml.NewDecoder(bytes.NewReader(stream)); ; {
		var document yaml.Node
		err := d.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, broken(err)
		}
		root := document.Content[0]
		if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
			continue
		}
		if len(documents) == MaxDocuments {
			return nil, fmt.Errorf("it has more than %d documents", MaxDocuments)
		}
		if err := check(root, 1); err != nil {
			return nil, err
		}
		documents = append(documents, root)
	}
}

func broken(err error) error {
	if m := lineForm.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("it is no valid YAML near line %s", m[1])
	}
	return errors.New("it is no valid YAML")
}

// check refuses what does not merge, and makes nodes plain: without comments and block styles.
func check(n *yaml.Node, depth int) error {
	switch {
	case depth > maxDepth:
		return fmt.Errorf("line %d: maps and lists are more than %d deep", n.Line, maxDepth)
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		return fmt.Errorf("line %d: anchors and aliases are not supported: write the value out; text that begins with & or * needs quotes", n.Line)
	case !slices.Contains(tags, n.ShortTag()):
		return fmt.Errorf("line %d: this tag or merge key is not supported", n.Line)
	case n.Kind == yaml.MappingNode:
		if err := checkKeys(n); err != nil {
			return err
		}
	}
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	restyle(n)
	for _, c := range n.Content {
		if err := check(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// restyle leaves block styles to the writer. Text that it is known to write wrongly as a block goes into quotes.
func restyle(n *yaml.Node) {
	n.Style &^= yaml.LiteralStyle | yaml.FoldedStyle
	if n.Kind == yaml.ScalarNode && n.Style == 0 && strings.Contains(n.Value, "\n") && awkward.MatchString(n.Value) {
		n.Style = yaml.DoubleQuotedStyle
	}
}

// checkKeys wants each key once. Messages name lines alone: what looks like a key may be a value that lost its quotes.
func checkKeys(n *yaml.Node) error {
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: a key is no scalar", key.Line)
		}
		if line, twice := first[key.Value]; twice {
			return fmt.Errorf("line %d: the key is there twice, first in line %d", key.Line, line)
		}
		first[key.Value] = key.Line
	}
	return nil
}
