package boot

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnsafe is returned when a value cannot stand in an iPXE script without changing its meaning.
var ErrUnsafe = errors.New("value cannot stand in a boot script")

// maxLine is the longest line that is rendered. Linux on x86 keeps 2,048 bytes of command line (COMMAND_LINE_SIZE).
const maxLine = 2048

// statement is one line of an iPXE script: a label, or a command whose failure may jump to a label.
//
// iPXE expands ${...} in a line, then splits it at blanks; it has no quotes. "||", "&&" and ";" are operators when they stand alone, a word
// that starts with "#" begins a comment, and options are read until the first word without a dash.
type statement struct {
	label  string
	words  []string
	onFail string
	// verbatim is a whole line, a constant of this package: the only kind that iPXE expands.
	verbatim string
}

// script is the syntax tree of an iPXE script.
type script []statement

func do(words ...string) statement { return statement{words: words} }

func (s statement) orGoto(label string) statement {
	s.onFail = label
	return s
}

func label(name string) statement { return statement{label: name} }

// say prints a line on the machine's console. Whatever stands in text becomes printable words.
func say(format string, args ...any) statement {
	return do(append([]string{"echo", "Ingot:"}, printable(fmt.Sprintf(format, args...))...)...)
}

// printable splits text into words that iPXE prints as they are. It replaces what would be read as syntax, and it is bounded.
func printable(text string) []string {
	const longest = 300
	var b strings.Builder
	for _, r := range text {
		switch {
		case b.Len() >= longest:
		case r == '$' || r == '#' || r == '|' || r == '&' || r == ';' || r == '\\':
			b.WriteByte('_')
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case r < ' ' || r > '~':
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return strings.Fields(b.String())
}

// render writes the script, or refuses: what it writes reads back as the same tree.
func (s script) render() ([]byte, error) {
	var b strings.Builder
	b.WriteString("#!ipxe\n")
	for _, st := range s {
		line, err := st.render()
		if err != nil {
			return nil, err
		}
		b.WriteString(line + "\n")
	}
	return []byte(b.String()), nil
}

func (s statement) render() (string, error) {
	if s.verbatim != "" {
		return s.verbatim, nil
	}
	if s.label != "" {
		return ":" + s.label, checkWord(s.label)
	}
	for _, w := range s.words {
		if err := checkWord(w); err != nil {
			return "", err
		}
	}
	line := strings.Join(s.words, " ")
	if len(line) > maxLine {
		return "", fmt.Errorf("%w: a line has %d bytes, at most %d fit", ErrUnsafe, len(line), maxLine)
	}
	if s.onFail != "" {
		line += " || goto " + s.onFail
	}
	return line, checkWord("x" + s.onFail)
}

// checkWord refuses what iPXE would not take as one plain word.
func checkWord(w string) error {
	switch {
	case w == "":
		return fmt.Errorf("%w: it is empty", ErrUnsafe)
	case w == "||" || w == "&&" || w == ";" || w[0] == '#':
		return fmt.Errorf("%w: %q is syntax of iPXE", ErrUnsafe, w)
	case strings.Contains(w, "${"):
		return fmt.Errorf("%w: %q would be expanded", ErrUnsafe, w)
	}
	for i := range len(w) {
		if w[i] <= ' ' || w[i] > '~' || w[i] == '\\' {
			return fmt.Errorf("%w: %q has a blank, a control character, a backslash or is not ASCII", ErrUnsafe, w)
		}
	}
	return nil
}
