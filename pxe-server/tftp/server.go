package tftp

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ingot.dev/ingot/pxe-server/limits"
	"ingot.dev/ingot/pxe-server/packets"
)

// Server is a TFTP server with its socket open.
type Server struct {
	cfg  Config
	conn *listener
	rate *limits.Buckets[netip.Prefix]
	gate *limits.Gate[netip.Prefix]
	// lines bounds what strangers can write into the log: sources of UDP packets cost nothing.
	lines *limits.Buckets[struct{}]
	// turns are held by the transfers that do something at this moment, rather than wait for a packet: half of the processors. A thousand of them that are ready to run
	// at once would keep DHCP and scripts, in the same process, waiting behind all of them.
	turns chan struct{}

	requests, served, bytes, refused, limited, malformed, failed atomic.Uint64

	mu     sync.Mutex // guards active and young
	active map[netip.AddrPort]*transfer
	// young are the transfers that may have no acknowledgement yet, the oldest first.
	young list.List
}

// transfer is one running session; a repeated request of the same client replaces it until the client has answered.
type transfer struct {
	client netip.AddrPort
	place  *list.Element // among the young
	cancel context.CancelFunc
	leave  func()
	since  time.Time
	proven atomic.Bool
}

const (
	rememberSources = 4096
	linesPerSecond  = 20
)

// New opens the socket. Port 69 needs root or CAP_NET_BIND_SERVICE.
func New(cfg Config) (*Server, error) {
	if cfg.Files == nil || !cfg.Addr.IsValid() {
		return nil, errors.New("checking TFTP configuration: addr and files must be set")
	}
	cfg = cfg.withDefaults()
	conn, err := listen(cfg.Addr, cfg.Interface)
	if err != nil {
		return nil, err
	}
	return &Server{
		cfg: cfg, conn: conn, active: map[netip.AddrPort]*transfer{},
		rate:  limits.NewBuckets[netip.Prefix](limits.Rate{PerSecond: cfg.Limits.Rate, Burst: cfg.Limits.Burst}, rememberSources, cfg.Now),
		gate:  limits.NewGate[netip.Prefix](cfg.Limits.Transfers, cfg.Limits.PerSource),
		lines: limits.NewBuckets[struct{}](limits.Rate{PerSecond: linesPerSecond, Burst: linesPerSecond}, 1, cfg.Now),
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}, nil
}

// Serve answers until ctx ends.
func Serve(ctx context.Context, cfg Config) error {
	s, err := New(cfg)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.conn.addr() }

// Stats returns the counters so far.
func (s *Server) Stats() Stats {
	return Stats{
		Requests: s.requests.Load(), Served: s.served.Load(), Bytes: s.bytes.Load(), Refused: s.refused.Load(),
		Limited: s.limited.Load(), Malformed: s.malformed.Load(), Failed: s.failed.Load(),
	}
}

// Serve answers until ctx ends, then ends every transfer and closes the socket. Call it once.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { s.conn.close() })
	var wg sync.WaitGroup
	err := s.read(ctx, &wg)
	stop()
	cancel()
	s.conn.close()
	wg.Wait()
	return err
}

func (s *Server) read(ctx context.Context, wg *sync.WaitGroup) error {
	return packets.Read(ctx, "TFTP requests", func() error {
		b := make([]byte, maxRequest+1)
		n, client, local, err := s.conn.receive(b)
		if err == nil {
			s.requests.Add(1)
			s.accept(ctx, wg, b[:n], client, local)
		}
		return err
	})
}

func (s *Server) accept(ctx context.Context, wg *sync.WaitGroup, b []byte, client netip.AddrPort, local netip.Addr) {
	source := limits.Source(client.Addr())
	if !local.IsValid() || client.Port() == 0 || !s.rate.Allow(source) {
		s.limited.Add(1)
		return
	}
	r, no, ok := parseRequest(b)
	switch {
	case !ok:
		s.malformed.Add(1)
	case no != nil:
		s.refuse(no, client, local)
	default:
		s.begin(ctx, wg, r, client, local)
	}
}

func (s *Server) refuse(no *refusal, client netip.AddrPort, local netip.Addr) {
	s.refused.Add(1)
	s.note("Refusing a TFTP request", "client", client, "reason", no.text)
	s.conn.send(no.packet(), client, local)
}

// note logs what a stranger caused.
func (s *Server) note(message string, args ...any) {
	if s.lines.Allow(struct{}{}) {
		s.cfg.Log.Info(message, args...)
	}
}

func (s *Server) begin(ctx context.Context, wg *sync.WaitGroup, r request, client netip.AddrPort, local netip.Addr) {
	source := limits.Source(client.Addr())
	if !s.replace(client) {
		return // its transfer runs; the request was a late copy
	}
	leave, ok := s.enter(source)
	if !ok {
		s.limited.Add(1)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Limits.Lifetime)
	t := &transfer{client: client, cancel: cancel, leave: leave, since: s.cfg.Now()}
	s.mu.Lock()
	s.active[client], t.place = t, s.young.PushBack(t)
	s.mu.Unlock()
	wg.Go(func() {
		defer leave()
		defer s.remove(t)
		defer cancel()
		s.transfer(ctx, t, r, client, local)
	})
}

// enter takes a slot. When all are taken, the oldest transfer that nobody acknowledged for a while makes room: otherwise a few requests a
// second with made-up sources would keep everybody out. Where none is old enough the request is dropped, and the client repeats it.
func (s *Server) enter(source netip.Prefix) (leave func(), ok bool) {
	if leave, ok = s.gate.Enter(source); ok || s.gate.Held(source) >= s.cfg.Limits.PerSource || !s.evict() {
		return leave, ok
	}
	return s.gate.Enter(source)
}

func (s *Server) evict() bool {
	before := s.cfg.Now().Add(-s.cfg.Limits.Grace)
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.young.Front(); e != nil; e = s.young.Front() {
		t := e.Value.(*transfer)
		switch {
		case t.proven.Load():
			s.young.Remove(e)
		case t.since.After(before):
			return false
		default:
			s.forget(t)
			t.cancel()
			t.leave()
			return true
		}
	}
	return false
}

// replace ends a transfer to the same client port that got no answer yet. It is false when one is under way.
func (s *Server) replace(client netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.active[client]
	if old == nil {
		return true
	}
	if old.proven.Load() {
		return false
	}
	old.cancel()
	return true
}

func (s *Server) remove(t *transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(t)
}

// forget leaves alone who came after it from the same port. The lock is held.
func (s *Server) forget(t *transfer) {
	s.young.Remove(t.place)
	if s.active[t.client] == t {
		delete(s.active, t.client)
	}
}

func (s *Server) transfer(ctx context.Context, t *transfer, r request, client netip.AddrPort, local netip.Addr) {
	f, size, err := s.open(r.name)
	if err != nil {
		s.note("No such file for TFTP", "client", client, "file", r.name, "error", err)
		s.refuse(&refusal{errNotFound, "no such file"}, client, local)
		return
	}
	defer f.Close()
	ses := newSession(r, f, size, s.cfg.Limits.FirstACK)
	if err := s.run(ctx, t, ses, client, local); err != nil {
		s.failed.Add(1)
		s.note("TFTP transfer ended early", "client", client, "file", r.name, "bytes", ses.bytes, "error", err)
		return
	}
	s.served.Add(1)
	s.bytes.Add(uint64(ses.bytes))
	s.cfg.Log.Info("Served by TFTP", "client", client, "file", r.name, "bytes", ses.bytes)
	s.cfg.Seen(Event{Source: client.Addr(), Name: r.name, Bytes: ses.bytes, Time: s.cfg.Now(), Stage: "FirstStage"})
}

func (s *Server) open(name string) (fs.File, int64, error) {
	f, err := s.cfg.Files.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// run drives a session over a socket of its own that is connected to the client, so that the kernel keeps strangers out.
func (s *Server) run(ctx context.Context, t *transfer, ses *session, client netip.AddrPort, local netip.Addr) error {
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)), net.UDPAddrFromAddrPort(client))
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	buf := make([]byte, maxRequest)
	s.turns <- struct{}{}
	defer func() { <-s.turns }()
	out, err := ses.begin(time.Now())
	for done := false; err == nil && !done; {
		if err = write(c, out); err == nil {
			out, done, err = s.next(c, ses, buf)
			t.proven.Store(ses.proven)
		}
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("transfer cancelled: %w", context.Cause(ctx))
	}
	return err
}

// next waits for a packet or the deadline, in nobody's way.
func (s *Server) next(c *net.UDPConn, ses *session, b []byte) (out [][]byte, done bool, err error) {
	if err := c.SetReadDeadline(ses.deadline); err != nil {
		return nil, false, err
	}
	<-s.turns
	n, err := c.Read(b)
	s.turns <- struct{}{}
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		out, err = ses.expired(time.Now())
		return out, false, err
	case err != nil:
		return nil, false, err // such as "connection refused": the client is gone
	}
	return ses.packet(time.Now(), b[:n])
}

func write(c *net.UDPConn, out [][]byte) error {
	for _, p := range out {
		if _, err := c.Write(p); err != nil {
			return err
		}
	}
	return nil
}
