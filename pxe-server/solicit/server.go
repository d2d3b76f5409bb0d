package solicit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Config is what the server needs. Log, Now and After may be nil: no logs, the system's clock.
type Config struct {
	Interface string
	// Announce is what every host is told; nil tells nobody but machines that netboot, and those nothing.
	Announce *Announcement
	Log      *slog.Logger
	Now      func() time.Time
	After    func(time.Duration) <-chan time.Time
}

// wire is the network as the server needs it; the real one is in socket_linux.go.
type wire interface {
	// receive blocks; an error after close means the end.
	receive(b []byte) (n int, from mac, err error)
	send(b []byte, to mac) error
	close() error
}

// Server answers on one interface.
type Server struct {
	cfg  Config
	wire wire

	mu       sync.Mutex // guards what is below
	table    *table
	answered uint64
}

// New opens a packet socket; it needs root, or CAP_NET_RAW.
func New(cfg Config) (*Server, error) {
	link, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return nil, fmt.Errorf("finding interface %s: %w; `ip link` lists the interfaces", cfg.Interface, err)
	}
	w, err := open(link)
	if err != nil {
		return nil, err
	}
	var own mac
	copy(own[:], link.HardwareAddr)
	return newServer(cfg, w, own), nil
}

func newServer(cfg Config, w wire, own mac) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.After == nil {
		cfg.After = time.After
	}
	t := newTable(own)
	t.announce = cfg.Announce
	return &Server{cfg: cfg, wire: w, table: t}
}

// Boots notes that the machine with that MAC asks DHCP for a boot: for a minute its router solicitations are answered. It returns at once.
func (s *Server) Boots(hw net.HardwareAddr) {
	if len(hw) != len(mac{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.boot(s.cfg.Now(), mac(hw))
}

// Answered counts the answers so far.
func (s *Server) Answered() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

// Serve answers until ctx ends, then closes the socket. Call it once.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var announcing sync.WaitGroup
	defer announcing.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.wire.close() })
	defer stop()
	defer s.wire.close()
	if s.cfg.Announce != nil {
		announcing.Go(func() { s.announce(ctx) })
	}
	b := make([]byte, longestWord)
	for failures := 0; ; {
		n, from, err := s.wire.receive(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (errors.Is(err, net.ErrClosed) || failures > 100):
			return fmt.Errorf("receiving router solicitations on %s: %w", s.cfg.Interface, err)
		case err != nil:
			failures++ // such as "network is down"; the next receive blocks again
			continue
		}
		failures = 0
		s.frame(from, b[:n])
	}
}

// announce tells all hosts of the network, now and then, until ctx ends.
func (s *Server) announce(ctx context.Context) {
	for n := 1; ; n++ {
		s.mu.Lock()
		b, ok := s.table.toAll(s.cfg.Now())
		s.mu.Unlock()
		if ok {
			if err := s.wire.send(b, mac(allNodes)); err != nil && ctx.Err() == nil {
				s.cfg.Log.Debug("Announcing the IPv6 network", "interface", s.cfg.Interface, "error", err)
			}
		}
		pause := announceTime
		if n < announcesSoon {
			pause = announceFirst
		}
		select {
		case <-s.cfg.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) frame(from mac, packet []byte) {
	now := s.cfg.Now()
	s.mu.Lock()
	before := s.table.announces(now)
	answer, to, ok := s.table.frame(now, from, packet)
	if ok {
		s.answered++
	}
	silenced := before && !s.table.announces(now)
	s.mu.Unlock()
	if silenced {
		s.cfg.Log.Warn("A router advertises itself, so the IPv6 network is not announced by us; if it is meant to be there, leave out --announce-prefix", "interface", s.cfg.Interface, "router", from.hardware().String())
	}
	if !ok {
		return
	}
	if err := s.wire.send(answer, to); err != nil {
		s.cfg.Log.Debug("Answering a router solicitation", "mac", from.hardware().String(), "error", err)
	}
}
