package machineconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Locate says which document a line of a config is in, and the path of what stands there. Lines count from 1, and documents as they were read.
func Locate(config []byte, line int) (document, path string) {
	documents, err := parse(config)
	if err != nil || len(documents) == 0 {
		return "the machine config", ""
	}
	at := documents[0]
	for _, d := range documents {
		if d.Line <= line {
			at = d
		}
	}
	if document = title(identityOf(at)); !plainTitle.MatchString(document) {
		document = "a document"
	}
	return document, pathAt(at, "", line)
}

// plainTitle is a title that can be shown whoever wrote it.
var plainTitle = regexp.MustCompile(`^[A-Za-z0-9._/ -]{1,160}$`)

// pathAt is the path of the last value that begins at a line or before.
func pathAt(n *yaml.Node, path string, line int) string {
	best, bestPath := (*yaml.Node)(nil), path
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Line <= line {
				best, bestPath = n.Content[i+1], Join(path, n.Content[i].Value)
			}
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if c.Line <= line {
				best, bestPath = c, path+"[]"
			}
		}
	default: // a scalar holds no more
	}
	if best == nil {
		return path
	}
	return pathAt(best, bestPath, line)
}

// Join adds a key to a path. A key that is no plain word is not shown: it may be a value that lost its quotes.
func Join(path, key string) string {
	if !plainKey.MatchString(key) {
		key = "(a key)"
	}
	return strings.TrimPrefix(path+"."+key, ".")
}

// SecretKeyName says that what a key of this name holds is never shown.
func SecretKeyName(key string) bool { return secretKey(key) }

// plainWord is a word of a language, that is no secret.
var plainWord = regexp.MustCompile(`^[A-Za-z][a-zA-Z]{0,19}$`)

// IsPlainWord says that a text is one word of letters, as the names of fields are.
func IsPlainWord(s string) bool { return plainWord.MatchString(s) }

// Texts are the values of a config that are never shown in a message.
type Texts []string

// Values are all texts of a config, the longest first, with each line of those that have several. What documents are known by is left out, and so are a few
// words that are in every sentence, as long as their keys do not sound secret.
func Values(config []byte) Texts {
	var all Texts
	documents, _ := parse(config)
	for _, d := range documents {
		for i := 0; i+1 < len(d.Content); i += 2 {
			if key := d.Content[i].Value; d.Content[i+1].Kind != yaml.ScalarNode || !slices.Contains([]string{"apiVersion", "kind", "name"}, key) {
				all.collect(d.Content[i+1], secretKey(key))
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(all)
}

func (t *Texts) collect(n *yaml.Node, secret bool) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			t.collect(n.Content[i+1], secret || secretKey(n.Content[i].Value))
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			t.collect(c, secret)
		}
	default:
		for _, line := range append(strings.Split(n.Value, "\n"), strings.TrimSpace(n.Value)) {
			if line = strings.TrimSpace(line); len(line) >= 3 && (secret || !dull(n, line)) {
				*t = append(*t, line)
			}
		}
	}
}

// common are values that many configs have, and sentences too.
var common = []string{"controlplane", "worker", "init", "v1alpha1", "true", "false", "machine", "cluster"}

func dull(n *yaml.Node, text string) bool {
	return n.ShortTag() == "!!bool" || slices.Contains(common, text)
}

// Any says that one of the values holds the text.
func (t Texts) Any(text string) bool {
	return slices.ContainsFunc(t, func(v string) bool { return strings.Contains(v, text) })
}

// Hide puts something in the place of all values in a text.
func (t Texts) Hide(text, instead string) string {
	for _, v := range t {
		text = strings.ReplaceAll(text, v, instead)
	}
	return text
}
