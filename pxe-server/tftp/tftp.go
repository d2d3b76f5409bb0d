// Package tftp serves the first boot stage over TFTP, read-only (RFC 1350, 2347, 2348, 2349, 7440).
//
// Layer 2. The protocol is small and its dangers lie in when a server sends, so the sender is our own and pure: session
// takes packets and times and returns packets. (github.com/pin/tftp, which the tests use as an independent client, repeats
// the first packet up to five times to an address that nobody has proven, and has no windows; neither can be set from
// outside.) The shell (server.go) owns sockets, limits and files.
//
// Invariants:
//
//   - Only regular files of Config.Files are served, by their exact name; see cleanName. Writing is always refused.
//   - An address that has not acknowledged anything gets one packet per request and no repetition: a forged source is
//     amplified by one block at most (proof T26).
//   - A duplicated ACK never doubles the data (the sorcerer's apprentice of RFC 1123 4.2.3.1).
//   - Transfers are bounded in number, per source, in repetitions and in time.
package tftp

import (
	"io/fs"
	"log/slog"
	"net/netip"
	"time"
)

// Config is what the server needs.
type Config struct {
	// Addr to listen on, usually port 69. With the unspecified address answers come from the address that was asked.
	Addr netip.AddrPort
	// Interface binds to one interface; empty for all.
	Interface string
	// Files is the catalogue.
	Files  fs.FS
	Limits Limits

	// Log, Seen and Now may be nil.
	Log *slog.Logger
	// Seen is called after every complete transfer. It must return at once.
	Seen func(Event)
	Now  func() time.Time
}

// Event tells that a file was fetched to its end.
type Event struct {
	Source netip.Addr
	Name   string
	Bytes  int64
	Time   time.Time
	// Stage is always FirstStage.
	Stage string
}

// Limits bound what clients may cost. Zero fields get their default.
type Limits struct {
	// Transfers at once; default 1,024, so that a hall that gets its power back finds room, and 4 per source. One costs up to 24 KiB.
	Transfers, PerSource int
	// Grace is how long a transfer that nobody acknowledged keeps its slot when all are taken; default 500 ms. On a busy machine an
	// acknowledgement waits to be read that long, and a client that has had a packet repeats its acknowledgement, not its request.
	Grace time.Duration
	// Requests per second and source; default 20, burst 40.
	Rate  float64
	Burst int
	// Timeout for the first ACK; default 5 s.
	FirstACK time.Duration
	// Lifetime of a transfer; default 5 min.
	Lifetime time.Duration
}

// Stats counts since the start.
type Stats struct {
	Requests, Served, Bytes uint64
	// Refused got an error packet, Limited and Malformed got nothing, Failed were started and not completed.
	Refused, Limited, Malformed, Failed uint64
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Seen == nil {
		c.Seen = func(Event) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	l := &c.Limits
	orDefault(&l.Transfers, 1024)
	orDefault(&l.PerSource, 4)
	orDefault(&l.Grace, 500*time.Millisecond)
	orDefault(&l.Rate, 20)
	orDefault(&l.Burst, 40)
	orDefault(&l.FirstACK, 5*time.Second)
	orDefault(&l.Lifetime, 5*time.Minute)
	return c
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
