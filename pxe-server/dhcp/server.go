package dhcp

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"

	"ingot.dev/ingot/pxe-server/leases"
	"ingot.dev/ingot/pxe-server/limits"
	"ingot.dev/ingot/pxe-server/packets"
)

// transport is the network as the shell needs it; the real one is in socket_linux.go.
type transport interface {
	// receive blocks; an error after close means the end.
	receive(b []byte) (n int, from netip.AddrPort, err error)
	send(r *reply) error
	close() error
}

// Server is a DHCP server with its socket open and its leases loaded.
type Server struct {
	cfg     Config
	ports   map[uint16]transport // by our port: serverPort, in proxy mode proxyPort as well
	prober  Prober
	closer  func() error  // of the prober that New made
	store   *leases.Store // nil in proxy mode
	watcher *watcher      // nil when nobody listens for other servers
	perMAC  *limits.Buckets[macAddr]
	overall *limits.Buckets[struct{}]
	probes  *limits.Gate[macAddr]
	seed    maphash.Seed
	stats   counters

	mu   sync.Mutex // guards core
	core *core
}

const (
	rememberMACs = 4096
	queueLength  = 64
	maxProbes    = 4 // addresses tried for one packet
)

// New validates the configuration, loads the leases and opens the sockets. It needs the right to bind its ports and to open packet sockets (root, or
// CAP_NET_BIND_SERVICE and CAP_NET_RAW). A proxy without the second one serves, and does not hear other servers.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("checking DHCP configuration: %w", err)
	}
	cfg = cfg.withDefaults()
	link, err := interfaceWith(cfg.Interface, cfg.ServerIP)
	if err != nil {
		return nil, err
	}
	open := newFull
	if cfg.Mode == Proxy {
		open = newProxy
	}
	s, err := open(cfg, link)
	if err != nil {
		return nil, err
	}
	air, err := newAirwave(link)
	switch {
	case err == nil:
		s.watcher = newWatcher(cfg, air)
	case cfg.Mode == Proxy && errors.Is(err, os.ErrPermission):
		cfg.Log.Warn("Not listening for other DHCP servers: that takes CAP_NET_RAW", "interface", cfg.Interface)
	default:
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// close closes what never served.
func (s *Server) close() error {
	s.closePorts()
	if s.store != nil {
		return errors.Join(s.store.Close(), s.closer())
	}
	return s.closer()
}

func newFull(cfg Config, link *net.Interface) (*Server, error) {
	t, err := listen(link, cfg.ServerIP)
	if err != nil {
		return nil, err
	}
	if cfg.Prober != nil {
		s, err := newServer(cfg, t, cfg.Prober)
		if err != nil {
			return nil, errors.Join(err, t.close())
		}
		return s, nil
	}
	p, err := newARP(link)
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	s, err := newServer(cfg, t, p)
	if err != nil {
		return nil, errors.Join(err, t.close(), p.close())
	}
	p.tell(s.heard)
	s.closer = p.close
	return s, nil
}

// newProxy opens both ports of a proxy. It keeps nothing and probes nothing.
func newProxy(cfg Config, link *net.Interface) (*Server, error) {
	ports := map[uint16]transport{}
	for _, port := range []uint16{serverPort, proxyPort} {
		t, err := listenUDP(link, cfg.ServerIP, port)
		if err != nil {
			for _, open := range ports {
				err = errors.Join(err, open.close())
			}
			return nil, err
		}
		ports[port] = t
	}
	return assemble(cfg, ports), nil
}

// Serve answers until ctx ends.
func Serve(ctx context.Context, cfg Config) error {
	s, err := New(cfg)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// kind is that of our lease file. A client's name begins with its MAC.
var kind = leases.Kind{Header: "ingot-dhcp-leases", Fits: func(r leases.Record) bool {
	_, ok := toMAC(r.MAC[:])
	return ok && r.IP.Is4() && len(r.Client) >= len(r.MAC) && len(r.Client) <= len(r.MAC)+maxClientID
}}

func newServer(cfg Config, t transport, p Prober) (*Server, error) {
	now := cfg.Now()
	st, bad, err := leases.Open(cfg.LeaseFile, kind, now)
	if err != nil {
		return nil, err
	}
	if bad > 0 {
		cfg.Log.Warn("Left out damaged lines of the lease file", "file", cfg.LeaseFile, "lines", bad)
	}
	s := assemble(cfg, map[uint16]transport{serverPort: t})
	s.prober, s.store = p, st
	for _, r := range st.Records() { // the newest last
		s.core.restore(r)
	}
	return s, nil
}

func assemble(cfg Config, ports map[uint16]transport) *Server {
	return &Server{
		cfg: cfg, ports: ports, closer: func() error { return nil }, core: newCore(cfg), seed: maphash.MakeSeed(),
		perMAC:  limits.NewBuckets[macAddr](limits.Rate{PerSecond: cfg.Limits.PerMACRate, Burst: cfg.Limits.PerMACBurst}, rememberMACs, cfg.Now),
		overall: limits.NewBuckets[struct{}](limits.Rate{PerSecond: cfg.Limits.InterfaceRate, Burst: cfg.Limits.InterfaceBurst}, 1, cfg.Now),
		probes:  limits.NewGate[macAddr](cfg.Limits.Probes, 1),
	}
}

// Leases lists the addresses in use.
func (s *Server) Leases() []Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.leases(s.cfg.Now())
}

// Stats returns the counters so far.
func (s *Server) Stats() Stats { return s.stats.snapshot() }

// inbound is one packet: where it came from, and to which port of ours.
type inbound struct {
	bytes []byte
	from  netip.AddrPort
	port  uint16
	mac   macAddr
}

// Serve answers until ctx ends, then closes everything. Call it once.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	queues := make([]chan inbound, s.cfg.Limits.Workers)
	for i := range queues {
		queues[i] = make(chan inbound, queueLength)
		wg.Go(func() { s.work(ctx, queues[i], &wg) })
	}
	if s.watcher != nil {
		wg.Go(func() { s.watcher.run(ctx) })
	}
	if s.prober != nil && s.cfg.Limits.Ahead > 0 {
		wg.Go(func() { s.ahead(ctx) })
	}
	stop := context.AfterFunc(ctx, func() { s.closePorts() })
	err := s.readAll(ctx, cancel, queues)
	stop()
	cancel()
	for _, q := range queues {
		close(q)
	}
	wg.Wait()
	return errors.Join(err, s.close())
}

func (s *Server) closePorts() {
	for _, t := range s.ports {
		t.close()
	}
}

// readAll reads every port until the first fails or ctx ends.
func (s *Server) readAll(ctx context.Context, cancel context.CancelFunc, queues []chan inbound) error {
	var wg sync.WaitGroup
	failed := make(chan error, len(s.ports))
	for port, t := range s.ports {
		wg.Go(func() {
			failed <- s.read(ctx, t, port, queues)
			cancel()
		})
	}
	wg.Wait()
	close(failed)
	var all []error
	for err := range failed {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// read hands packets to workers by MAC, so that those of one client stay in order.
func (s *Server) read(ctx context.Context, t transport, port uint16, queues []chan inbound) error {
	return packets.Read(ctx, "DHCP packets", func() error {
		b := make([]byte, maxPacket+1)
		n, from, err := t.receive(b)
		if err == nil {
			s.enqueue(queues, inbound{bytes: b[:n], from: from, port: port})
		}
		return err
	})
}

func (s *Server) enqueue(queues []chan inbound, p inbound) {
	s.stats.received.Add(1)
	if len(p.bytes) < minPacket {
		s.drop(Malformed)
		return
	}
	copy(p.mac[:], p.bytes[28:34])
	if !s.overall.Allow(struct{}{}) || !s.perMAC.Allow(p.mac) {
		s.drop(Limited)
		return
	}
	select {
	case queues[maphash.Bytes(s.seed, p.mac[:])%uint64(len(queues))] <- p:
	default:
		s.drop(Overload)
	}
}

func (s *Server) drop(why Reason) { s.stats.drop(why) }

func (s *Server) work(ctx context.Context, queue <-chan inbound, wg *sync.WaitGroup) {
	for p := range queue {
		if ctx.Err() != nil {
			continue
		}
		if st := s.handle(p); !st.probe.IsValid() {
			s.finish(st)
		} else if s.probes.Held(p.mac) > 0 {
			s.drop(Repeated)
		} else if leave, ok := s.probes.Enter(p.mac); ok {
			wg.Go(func() {
				defer leave()
				s.finish(s.probe(ctx, p, st))
			})
		} else {
			s.finish(s.withoutProbe(p))
		}
	}
}

func (s *Server) handle(p inbound) step {
	st := s.decide(p)
	if st.boots {
		s.cfg.Boots(st.mac.hardware())
	}
	return st
}

func (s *Server) decide(p inbound) step {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Mode == Proxy {
		return s.core.proxy(s.cfg.Now(), p.bytes, p.from, p.port)
	}
	return s.core.handle(s.cfg.Now(), p.bytes, p.from.Addr())
}

func (s *Server) withoutProbe(p inbound) step {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.withoutProbe(s.cfg.Now(), p.bytes, p.from.Addr())
}

// probe tries addresses until one is in nobody's use, then decides about the packet again.
func (s *Server) probe(ctx context.Context, p inbound, st step) step {
	for range maxProbes {
		s.stats.probes.Add(1)
		holder, err := s.prober.Probe(ctx.Done(), st.probe)
		if ctx.Err() != nil {
			return silent(Failed)
		}
		if err != nil {
			// Without ARP the server still serves: most addresses are free, and clients check again (RFC 2131 4.4.1).
			s.cfg.Log.Warn("Offering an address without having probed it", "ip", st.probe, "error", err)
		}
		mac, _ := toMAC(holder)
		s.mu.Lock()
		conflict := s.core.probed(s.cfg.Now(), p.bytes, st.probe, mac)
		s.mu.Unlock()
		if conflict {
			s.conflict(st.probe, mac)
		}
		if st = s.handle(p); !st.probe.IsValid() {
			return st
		}
	}
	return silent(PoolEmpty)
}

// finish does what a step asks for: save, send, tell.
func (s *Server) finish(st step) {
	if s.watcher != nil && st.other.IsValid() {
		s.watcher.saw(st.other, true)
	}
	log := s.cfg.Log.With("mac", st.mac.String())
	if st.save != nil {
		if err := s.store.Put(*st.save, s.cfg.Now()); err != nil {
			s.drop(Failed)
			log.Error("Not answering, since the lease is not on disk", "error", err)
			return
		}
	}
	if st.reply == nil {
		s.drop(st.silence)
		if log.Enabled(context.Background(), slog.LevelDebug) {
			log.Debug("Not answering", "reason", string(st.silence))
		}
		s.tell(st.event)
		return
	}
	s.stats.reply(st.reply.typ)
	if err := s.send(st.reply); err != nil {
		s.drop(Failed)
		log.Warn("Sending a DHCP reply", "to", st.reply.to, "error", err)
		return
	}
	log.Debug("Answered", "type", st.reply.typ.String(), "to", st.reply.to)
	s.tell(st.event)
}

func (s *Server) send(r *reply) error {
	if r.port == 0 {
		return s.ports[serverPort].send(r)
	}
	return s.ports[r.port].send(r)
}

func (s *Server) tell(e *Event) {
	if e != nil {
		s.cfg.Seen(*e)
	}
}
