package console

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func line(f func(*slog.Logger)) string {
	var out bytes.Buffer
	f(slog.New(New(&out, func() time.Duration { return 12345 * time.Millisecond })))
	return out.String()
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		name string
		log  func(*slog.Logger)
		want string
	}{
		{"plain", func(l *slog.Logger) { l.Info("waiting for DHCP on eth0") }, "[   12.345] ingot: waiting for DHCP on eth0\r\n"},
		{
			"attributes", func(l *slog.Logger) { l.Info("got it", "address", "10.0.0.7", "took", 2*time.Second) },
			"[   12.345] ingot: got it address=10.0.0.7 took=2s\r\n",
		},
		{"spaces are quoted", func(l *slog.Logger) { l.Info("x", "why", "two words", "none", "") }, "[   12.345] ingot: x why=\"two words\" none=\"\"\r\n"},
		{"warnings say so", func(l *slog.Logger) { l.Warn("no link", "error", errors.New("x")) }, "[   12.345] ingot: warn: no link error=x\r\n"},
		{"debugging is left out", func(l *slog.Logger) { l.Debug("no") }, ""},
		{"with", func(l *slog.Logger) { l.With("a", 1).WithGroup("g").Info("x", "b", 2) }, "[   12.345] ingot: x a=1 g.b=2\r\n"},
		{
			"no forged lines, no escapes", func(l *slog.Logger) { l.Info("a\r\n[ 1.0] ingot: b", "s", "\x1b[2J\u202e") },
			"[   12.345] ingot: a  [ 1.0] ingot: b s=?[2J?\r\n",
		},
	} {
		if got := line(c.log); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestLongLinesAreCut(t *testing.T) {
	got := line(func(l *slog.Logger) { l.Info(strings.Repeat("ä", 100000)) })
	if len(got) > maxLine+10 || !strings.HasSuffix(got, "…\r\n") {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzHandle(f *testing.F) {
	f.Add("message", "key", "value")
	f.Add("\x1b[2J\n", "\r", "\xff")
	f.Fuzz(func(t *testing.T, message, key, value string) {
		got := line(func(l *slog.Logger) { l.Info(message, slog.String(key, value)) })
		body := strings.TrimSuffix(got, "\r\n")
		if strings.ContainsFunc(body, func(r rune) bool { return r < ' ' || r == 0x7F }) || !utf8.ValidString(body) || len(got) > maxLine+10 {
			t.Errorf("got %q", got)
		}
	})
}
