// Package console writes the agent's log for a person who stands before the machine or watches its serial line.
//
// Layer 2, leaf: a slog.Handler that writes one short line per message, with the time since power-on. What comes from outside
// (messages of the server, names that hardware gives) cannot move the cursor, forge lines or fill the screen.
package console

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
)

// maxLine bounds one line in bytes.
const maxLine = 1000

// Handler is a slog.Handler for consoles. It is safe for concurrent use.
type Handler struct {
	mu     *sync.Mutex
	out    io.Writer
	uptime func() time.Duration
	attrs  string
	group  string
}

// New writes to out; uptime is the time since the kernel started.
func New(out io.Writer, uptime func() time.Duration) *Handler {
	return &Handler{mu: &sync.Mutex{}, out: out, uptime: uptime}
}

// Enabled leaves out debugging.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle writes one line.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "[%9.3f] ingot: ", h.uptime().Seconds())
	if r.Level >= slog.LevelWarn {
		b.WriteString(strings.ToLower(r.Level.String()) + ": ")
	}
	b.WriteString(oneLine(r.Message) + h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(attr(h.group, a))
		return true
	})
	line := b.String()
	if len(line) > maxLine {
		line = strings.ToValidUTF8(line[:maxLine], "") + "…"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.out, line+"\r\n")
	return err
}

// WithAttrs is part of slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	for _, a := range attrs {
		next.attrs += attr(h.group, a)
	}
	return &next
}

// WithGroup is part of slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	next := *h
	next.group += name + "."
	return &next
}

func attr(group string, a slog.Attr) string {
	if a.Equal(slog.Attr{}) {
		return ""
	}
	value := oneLine(a.Value.Resolve().String())
	if strings.ContainsRune(value, ' ') || value == "" {
		value = `"` + value + `"`
	}
	return " " + oneLine(group+a.Key) + "=" + value
}

// oneLine replaces what a terminal would act upon.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
