// Package machineconfig makes the machine config of a server: a stream of YAML documents and strategic merge patches in, one stream out.
//
// It is pure (layer 1). docs/claims.md says how documents meet and what merges. Invariants:
//   - The same input gives the same bytes, so that a digest tells whether the config changed.
//   - Everything that comes in is bounded before it is merged, and what goes out is read back and compared: a config never arrives other than it was meant.
//   - No error and no preview holds a value of the config: they name lines, and keys of patches.
//
// Comments are dropped. Anchors, aliases, merge keys, tags of other schemas and keys that are not scalars are refused.
package machineconfig

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Limits of what comes in, and of what goes out.
const (
	// MaxBytes of the config, of a patch, and of what is made of them.
	MaxBytes = 1 << 20
	// MaxDocuments of a stream.
	MaxDocuments = 64
	// maxPatches is more than class, claim and Server may have together.
	maxPatches = 128
	// maxDepth of maps and lists within each other.
	maxDepth = 64
)

// OriginSecret is where the values of the base come from.
const OriginSecret = "secret"

// Patch is a stream of strategic merge patches.
type Patch struct {
	// Origin names for people who wrote it, for instance "class large, patch 1".
	Origin string
	YAML   string
}

// Result is a machine config. It prints as REDACTED: what it holds are secrets.
type Result struct {
	bytes     []byte
	documents []*yaml.Node
	origins   origins
	talos     bool
}

// origins say where each value came from.
type origins map[*yaml.Node]string

// Build applies patches in order to the base. Errors are for the people who wrote either; they hold none of its values.
func Build(base []byte, patches []Patch) (Result, error) {
	m := &merger{origins: origins{}}
	documents, err := parse(base)
	if err == nil {
		err = m.base(documents)
	}
	if err != nil {
		return Result{}, fmt.Errorf("the machine config: %w", err)
	}
	if len(patches) > maxPatches {
		return Result{}, fmt.Errorf("there are %d patches; at most %d are applied", len(patches), maxPatches)
	}
	for _, p := range patches {
		if err := m.patch(p); err != nil {
			return Result{}, fmt.Errorf("%s: %w", p.Origin, err)
		}
	}
	if len(m.documents) > MaxDocuments {
		return Result{}, fmt.Errorf("patches make the machine config more than %d documents", MaxDocuments)
	}
	out, err := encode(m.documents)
	if err != nil {
		return Result{}, err
	}
	return Result{bytes: out, documents: m.documents, origins: m.origins}, nil
}

// Bytes are the config, to be sent to its machine and nowhere else. Nobody may change them.
func (r Result) Bytes() []byte { return r.bytes }

// SHA256 of the bytes, in lower-case hexadecimal.
func (r Result) SHA256() string {
	sum := sha256.Sum256(r.bytes)
	return hex.EncodeToString(sum[:])
}

// Format hides the config from every verb.
func (r Result) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("REDACTED")) }

// MarshalJSON hides the config.
func (r Result) MarshalJSON() ([]byte, error) { return []byte(`"REDACTED"`), nil }

// encode writes documents and reads them back.
func encode(documents []*yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	for _, d := range documents {
		if err := e.Encode(d); err != nil {
			return nil, errors.New("the machine config cannot be written as YAML") // the library's words may quote a value
		}
	}
	if err := e.Close(); err != nil && len(documents) > 0 {
		return nil, errors.New("the machine config cannot be written as YAML")
	}
	if out.Len() > MaxBytes {
		return nil, fmt.Errorf("patches make the machine config longer than %d bytes", MaxBytes)
	}
	again, err := parse(out.Bytes())
	if err != nil || !sameDocuments(documents, again) {
		return nil, errors.New("the machine config holds text that does not survive being written as YAML: write such values in double quotes")
	}
	return out.Bytes(), nil
}

func sameDocuments(a, b []*yaml.Node) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !same(a[i], b[i]) {
			return false
		}
	}
	return true
}

// same says that two nodes mean the same.
func same(a, b *yaml.Node) bool {
	return a.Kind == b.Kind && a.Value == b.Value && a.ShortTag() == b.ShortTag() && sameDocuments(a.Content, b.Content)
}
