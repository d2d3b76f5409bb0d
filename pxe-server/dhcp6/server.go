package dhcp6

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net"
	"net/netip"
	"sync"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"ingot.dev/ingot/pxe-server/leases"
	"ingot.dev/ingot/pxe-server/limits"
	"ingot.dev/ingot/pxe-server/packets"
)

// transport is the network as the shell needs it; the real one is in socket_linux.go.
type transport interface {
	// receive blocks; an error after close means the end. unicast says that the packet was sent to us alone.
	receive(b []byte) (n int, from netip.Addr, unicast bool, err error)
	send(b []byte, to netip.Addr) error
	close() error
}

// Server is a DHCPv6 server with its socket open and its leases loaded.
type Server struct {
	cfg       Config
	transport transport
	store     *leases.Store // nil when no address is given
	perSource *limits.Buckets[netip.Addr]
	overall   *limits.Buckets[struct{}]
	seed      maphash.Seed

	mu    sync.Mutex // guards what is below
	core  *core
	stats Stats
}

// Stats counts since the start.
type Stats struct {
	Received, Advertises, Replies uint64
	// Silent counts the packets that got no answer.
	Silent map[Reason]uint64
}

const (
	rememberSources = 4096
	queueLength     = 64
)

// kind is that of our lease file. A client's name is its DUID and an IAID.
var kind = leases.Kind{Header: "ingot-dhcp6-leases", Fits: func(r leases.Record) bool { return isIPv6(r.IP) && len(r.Client) > 4 }}

// New validates the configuration, loads the leases and opens the socket. It needs the right to bind port 547: root, or CAP_NET_BIND_SERVICE and
// CAP_NET_RAW.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("checking DHCPv6 configuration: %w", err)
	}
	link, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return nil, fmt.Errorf("finding interface %s: %w; see the names with: ip link", cfg.Interface, err)
	}
	t, err := listen(link)
	if err != nil {
		return nil, err
	}
	s, err := newServer(cfg.withDefaults(), t, link.HardwareAddr)
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return s, nil
}

func newServer(cfg Config, t transport, hw net.HardwareAddr) (*Server, error) {
	// DUID-LL (RFC 8415 section 11.4): the same after a restart without a file of its own.
	id := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: hw}
	s := &Server{
		cfg: cfg, transport: t, core: newCore(cfg, string(id.ToBytes())), seed: maphash.MakeSeed(), stats: Stats{Silent: map[Reason]uint64{}},
		perSource: limits.NewBuckets[netip.Addr](limits.Rate{PerSecond: cfg.Limits.PerSourceRate, Burst: cfg.Limits.PerSourceBurst}, rememberSources, cfg.Now),
		overall:   limits.NewBuckets[struct{}](limits.Rate{PerSecond: cfg.Limits.InterfaceRate, Burst: cfg.Limits.InterfaceBurst}, 1, cfg.Now),
	}
	if cfg.Pool.IsZero() {
		return s, nil
	}
	store, bad, err := leases.Open(cfg.LeaseFile, kind, cfg.Now())
	if err != nil {
		return nil, err
	}
	if bad > 0 {
		cfg.Log.Warn("Left out damaged lines of the lease file", "file", cfg.LeaseFile, "lines", bad)
	}
	s.store = store
	for _, r := range store.Records() {
		s.core.table.restore(r)
	}
	return s, nil
}

// Leases lists the addresses in use.
func (s *Server) Leases() []Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.table.leases(s.cfg.Now())
}

// Stats returns the counters so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Silent = maps.Clone(out.Silent)
	return out
}

// inbound is one packet.
type inbound struct {
	bytes   []byte
	from    netip.Addr
	unicast bool
}

// Serve answers until ctx ends, then closes everything. Call it once.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	queues := make([]chan inbound, s.cfg.Limits.Workers)
	for i := range queues {
		queues[i] = make(chan inbound, queueLength)
		wg.Go(func() {
			for p := range queues[i] {
				s.work(ctx, p)
			}
		})
	}
	stop := context.AfterFunc(ctx, func() { s.transport.close() })
	err := s.read(ctx, queues)
	stop()
	cancel()
	for _, q := range queues {
		close(q)
	}
	wg.Wait()
	s.transport.close()
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	return err
}

// read hands packets to workers by their source, so that those of one client stay in order.
func (s *Server) read(ctx context.Context, queues []chan inbound) error {
	return packets.Read(ctx, "DHCPv6 packets", func() error {
		b := make([]byte, maxPacket+1)
		n, from, unicast, err := s.transport.receive(b)
		if err == nil {
			s.enqueue(queues, inbound{bytes: b[:n], from: from, unicast: unicast})
		}
		return err
	})
}

func (s *Server) enqueue(queues []chan inbound, p inbound) {
	s.count(func(c *Stats) { c.Received++ })
	if !s.overall.Allow(struct{}{}) || !s.perSource.Allow(p.from) {
		s.drop(Limited)
		return
	}
	select {
	case queues[maphash.Comparable(s.seed, p.from)%uint64(len(queues))] <- p:
	default:
		s.drop(Overload)
	}
}

func (s *Server) count(what func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what(&s.stats)
}

func (s *Server) drop(why Reason) { s.count(func(c *Stats) { c.Silent[why]++ }) }

// work does what a step asks for: save, send, tell.
func (s *Server) work(ctx context.Context, p inbound) {
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	st := s.core.handle(s.cfg.Now(), p.bytes, p.from, p.unicast)
	s.mu.Unlock()
	log := s.cfg.Log.With("client", p.from)
	if st.reply == nil {
		s.drop(st.silence)
		log.Debug("Not answering", "reason", string(st.silence))
		return
	}
	for _, r := range st.save {
		if err := s.store.Put(r, s.cfg.Now()); err != nil {
			s.drop(Failed)
			log.Error("Not answering, since the lease is not on disk", "error", err)
			return
		}
	}
	s.count(func(c *Stats) { // before it is sent: who has the answer finds it counted
		if st.typ == dhcpv6.MessageTypeAdvertise {
			c.Advertises++
		} else {
			c.Replies++
		}
	})
	if err := s.transport.send(st.reply, p.from); err != nil {
		s.drop(Failed)
		log.Warn("Sending a DHCPv6 answer", "error", err)
		return
	}
	log.Debug("Answered", "type", st.typ.String())
	if st.event != nil {
		s.cfg.Seen(*st.event)
	}
}
