package machinelog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Where lines are kept: in ConfigMaps of the system namespace with the label Label, whose value is the Server's name, under the key Key. A ConfigMap is
// written once; a later one holds the same lines and more. So one that vanishes takes nothing away that another does not have.
const (
	Label = "metal.ingot.dev/log-of"
	Key   = "log.gz"
	// prefix of such a ConfigMap's name.
	prefix = "log."
	// maxPlain bounds what is unpacked, in bytes: more than MaxLines of MaxText.
	maxPlain = 256 << 10
)

// Name of the ConfigMap that is written for a server at a time. Names sort as their times do.
func Name(server string, at time.Time) string {
	return fmt.Sprintf("%s%014x", Prefix(server), at.UnixMicro())
}

// Prefix is what the names of all ConfigMaps of a server begin with.
func Prefix(server string) string { return prefix + server + "." }

// stamp is how a time is written.
const stamp = "2006-01-02T15:04:05.000000Z"

// Encode packs lines: gzip of a line each, TIME SOURCE TEXT.
func Encode(lines []Line) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	for _, l := range lines {
		if _, err := fmt.Fprintf(z, "%s %s %s\n", l.At.UTC().Format(stamp), l.Source, clean(l.Text)); err != nil {
			return nil, fmt.Errorf("packing lines: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("packing lines: %w", err)
	}
	return out.Bytes(), nil
}

var errForm = errors.New("these are no lines of Ingot's")

// Decode unpacks lines. Whoever may write ConfigMaps may have written these: what is no line is left out, and the rest is cleaned and bounded.
func Decode(packed []byte) ([]Line, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errForm
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxPlain))
	if err != nil {
		return nil, errForm
	}
	var out []Line
	for text := range strings.SplitSeq(string(plain), "\n") {
		if l, ok := parse(text); ok && len(out) < MaxLines {
			out = append(out, l)
		}
	}
	return out, nil
}

func parse(text string) (Line, bool) {
	when, rest, _ := strings.Cut(text, " ")
	source, words, ok := strings.Cut(rest, " ")
	at, err := time.Parse(stamp, when)
	if !ok || err != nil || source != string(Kernel) && source != string(Talos) {
		return Line{}, false
	}
	return Line{At: at, Source: Source(source), Text: clean(words)}, true
}

// Merge puts lines of several writes into one order, each of them once.
func Merge(writes ...[]Line) []Line {
	all := slices.Concat(writes...)
	slices.SortStableFunc(all, func(a, b Line) int { return a.At.Compare(b.At) })
	seen := map[Line]bool{}
	return slices.DeleteFunc(all, func(l Line) bool {
		known := seen[l]
		seen[l] = true
		return known
	})
}
