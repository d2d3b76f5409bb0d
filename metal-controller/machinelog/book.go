// Package machinelog is the last that machines said of themselves: a book of it in memory, and the form in which it is kept for `ingot logs`.
//
// It is an adapter (layer 2). Nothing rests on what is in it: any of it may be forged, or lost at any moment. Invariants:
//   - Each server has at most MaxLines lines and MaxBytes of them, all servers together a fixed room; whoever said nothing for longest is forgotten first. Of
//     one server the louder voice loses its oldest line, so that a kernel that repeats itself does not hide what Talos said.
//   - A line is printable ASCII of at most MaxText bytes, also when it is read back: whatever is printed cannot speak to a terminal.
//
// What must not be kept is taken out before it gets here; see the package signals.
package machinelog

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of one server's lines, and of one line.
const (
	MaxLines = 200
	MaxBytes = 32 << 10
	MaxText  = 512
	// overhead is what a line costs beside its text, in bytes.
	overhead = 64
	// maxInAll bounds all lines in memory, in bytes.
	maxInAll = 64 << 20
)

// How often what a server said is written down.
const (
	// every is the least time between two writes for one server.
	every = 15 * time.Second
	// gather is how long a first line waits for those that follow it.
	gather = 2 * time.Second
)

// Source is which of a machine's voices a line is of.
type Source string

// Sources.
const (
	// Kernel is the kernel log, into which Talos writes too.
	Kernel Source = "kernel"
	// Talos is what Talos' events say, in words of Ingot.
	Talos Source = "talos"
)

// Line is one line.
type Line struct {
	// At is when Ingot heard it, by its own clock, cut to microseconds.
	At     time.Time
	Source Source
	Text   string
}

// Book keeps lines. It is safe for concurrent use.
type Book struct {
	now func() time.Time

	mu    sync.Mutex
	pages map[string]*page
	bytes int
}

// page is what one server said.
type page struct {
	lines []Line
	bytes map[Source]int
	heard time.Time // the last line
	since time.Time // the first line that is not written yet; zero when all are
	wrote time.Time
}

// New is an empty book.
func New(now func() time.Time) *Book { return &Book{now: now, pages: map[string]*page{}} }

// Add adds a line to a server's.
func (b *Book) Add(server string, source Source, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if source != Talos {
		source = Kernel // there are two
	}
	p := b.pages[server]
	if p == nil {
		p = &page{bytes: map[Source]int{}}
		b.pages[server] = p
	}
	l := Line{At: b.now().UTC().Truncate(time.Microsecond), Source: source, Text: clean(text)}
	p.lines, p.heard = append(p.lines, l), l.At
	b.grow(p, source, len(l.Text)+overhead)
	for len(p.lines) > MaxLines || p.size() > MaxBytes {
		i := slices.IndexFunc(p.lines, func(l Line) bool { return l.Source == p.louder() })
		b.grow(p, p.lines[i].Source, -len(p.lines[i].Text)-overhead)
		p.lines = slices.Delete(p.lines, i, i+1)
	}
	if p.since.IsZero() {
		p.since = l.At
	}
	for b.bytes > maxInAll {
		b.forget(b.quietest())
	}
}

func (b *Book) grow(p *page, source Source, by int) {
	p.bytes[source] += by
	b.bytes += by
}

func (p *page) size() int { return p.bytes[Kernel] + p.bytes[Talos] }

// louder is the voice with more to say.
func (p *page) louder() Source {
	if p.bytes[Talos] > p.bytes[Kernel] {
		return Talos
	}
	return Kernel
}

// quietest is the server that said nothing for longest.
func (b *Book) quietest() (name string) {
	for n, p := range b.pages {
		if name == "" || p.heard.Before(b.pages[name].heard) {
			name = n
		}
	}
	return name
}

// Forget drops what a server said.
func (b *Book) Forget(server string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(server)
}

func (b *Book) forget(server string) {
	if p := b.pages[server]; p != nil {
		b.bytes -= p.size()
		delete(b.pages, server)
	}
}

// Next is a server whose lines should be written down now, with all of them, and counts as written: the one that waits longest. Hurry takes those too whose
// time has not come.
func (b *Book) Next(hurry bool) (server string, lines []Line, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, p := range b.pages {
		waits := !p.since.IsZero() && (hurry || b.due(p))
		if waits && (!ok || p.since.Before(b.pages[server].since)) {
			server, ok = name, true
		}
	}
	if !ok {
		return "", nil, false
	}
	p := b.pages[server]
	p.since, p.wrote = time.Time{}, b.now()
	return server, append([]Line(nil), p.lines...), true
}

func (b *Book) due(p *page) bool {
	now := b.now()
	return now.Sub(p.since) >= gather && (p.wrote.IsZero() || now.Sub(p.wrote) >= every)
}

// Again says that what Next gave could not be written.
func (b *Book) Again(server string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.pages[server]; p != nil && p.since.IsZero() {
		p.since = b.now()
	}
}

// Lines are what a server said, the oldest first.
func (b *Book) Lines(server string) []Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.pages[server]; p != nil {
		return append([]Line(nil), p.lines...)
	}
	return nil
}

// clean is text as it may be printed.
func clean(text string) string {
	text = strings.TrimRight(text[:min(len(text), MaxText)], " ")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
