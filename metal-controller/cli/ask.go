package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxAnswer bounds what is read from a terminal, in bytes.
const maxAnswer = 256

// typed asks a person to type a word exactly. Without a terminal nobody can be asked, and --yes is needed.
func (e *Env) typed(word, question string) error {
	f, ok := e.Streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return refused("%s: this is no terminal, so nobody can be asked; say --yes to go on. Nothing was done", word)
	}
	fmt.Fprint(e.Streams.ErrOut, question)
	answer, err := bufio.NewReader(io.LimitReader(f, maxAnswer)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if strings.TrimSpace(answer) != word {
		return refused("that is not %q; nothing was done", word)
	}
	return nil
}
