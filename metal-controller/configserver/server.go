// Package configserver gives booting machines their machine config, and hears from installed systems, both by capability.
//
// Layer 3. It is stateless and runs on every replica. What a replica that does not lead hears of running systems goes into the record now and then, since
// only the leader judges silence. Invariants:
//   - The capability is checked before anything is read. lifecycle decides, from a Server that was read from the API server itself.
//   - The release is written before the first byte leaves. Bytes are made anew for each call and kept nowhere.
//   - No token and no byte of a config reaches a log, an event, an error or a status.
//   - Answers that a machine should come back for are never 404, and never empty: Talos takes both for "no config" and stops asking.
package configserver

import (
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/records"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/pxe-server/limits"
)

// Limits of calls. A machine fetches once for a boot, and again while that fails; a rack behind address translation shares a source.
const (
	fetchesPerSource      = 2  // per second
	fetchesPerSourceBurst = 50 // at once
	fetchesInAll          = 100
	fetchesInAllBurst     = 500
	signalsPerSource      = 50
	signalsPerSourceBurst = 200
	signalsInAll          = 1000
	signalsInAllBurst     = 4000
	// maxSources bounds the memory of the limiters; the longest idle source is forgotten first.
	maxSources = 4096
	maxBody    = 4 << 10
	maxHeader  = 8 << 10
	// callTimeout bounds what one call may cost the API server.
	callTimeout = 15 * time.Second
	// sendTimeout is how long a machine may take to read its answer.
	sendTimeout = 60 * time.Second
)

// Events records an event about a Server.
type Events interface {
	Event(server string, warning bool, reason, message string)
}

// Config is what the server needs. All fields are required.
type Config struct {
	// Client reads from the cache and writes; Live reads from the API server itself.
	Client       client.Client
	Live         client.Reader
	Authority    *authority.Authority
	Names        []string // in the certificate
	Installation string
	Links        capability.Links
	Sightings    *sightings.Store
	// Elected is closed when this replica leads.
	Elected <-chan struct{}
	Events  Events
	Now     func() time.Time
	Random  io.Reader
	Log     logr.Logger
}

// Server answers machines.
type Server struct {
	cfg              Config
	records          records.Store
	maker            Maker
	journal          *journal
	fetching         *limits.Buckets[netip.Prefix]
	signalling       *limits.Buckets[netip.Prefix]
	fetches, signals *rate.Limiter
}

// New is a server for both ports.
func New(cfg Config) *Server {
	return &Server{
		cfg: cfg, records: records.Store{Client: cfg.Client, Live: cfg.Live, Installation: cfg.Installation}, journal: newJournal(cfg.Log, cfg.Events, cfg.Now),
		maker:      Maker{Live: cfg.Live, Links: cfg.Links, Pin: cfg.Authority.Pin(), Now: cfg.Now, Random: cfg.Random},
		fetching:   limits.NewBuckets[netip.Prefix](limits.Rate{PerSecond: fetchesPerSource, Burst: fetchesPerSourceBurst}, maxSources, cfg.Now),
		signalling: limits.NewBuckets[netip.Prefix](limits.Rate{PerSecond: signalsPerSource, Burst: signalsPerSourceBurst}, maxSources, cfg.Now),
		fetches:    rate.NewLimiter(fetchesInAll, fetchesInAllBurst), signals: rate.NewLimiter(signalsInAll, signalsInAllBurst),
	}
}

// Maker makes configs as this server does.
func (s *Server) Maker() Maker { return s.maker }

// HTTPS is the server of the port with TLS, under a certificate of the agents' authority.
func (s *Server) HTTPS() *http.Server {
	h := s.http(false)
	h.TLSConfig = s.cfg.Authority.Listener("ingot-config-port", s.cfg.Names, s.cfg.Now, s.cfg.Random).TLS()
	h.TLSConfig.ClientAuth, h.TLSConfig.NextProtos = 0, []string{"http/1.1"} // a capability is asked for, and no certificate
	return h
}

// Plain is the server of the port without TLS. It gives out what the class lets travel so, and nothing else.
func (s *Server) Plain() *http.Server { return s.http(true) }

func (s *Server) http(plain bool) *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, plain) }),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: sendTimeout, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: maxHeader, ErrorLog: s.journal.library(),
		Protocols: http1(),
	}
}

func http1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

// call is one request, taken apart.
type call struct {
	plain          bool
	server, id     string // id is the boot's, or the binding's
	token          string
	from           netip.Addr
	prefix, method string
}

// Forms of what stands in a path.
var (
	serverForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)
	idForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)
)

// route is one kind of path, PREFIX/SERVER/ID/TOKEN, that both ports answer.
type route struct {
	prefix, method string
	// limit is of calls from one source.
	limit  func(*Server) *limits.Buckets[netip.Prefix]
	handle func(*Server, http.ResponseWriter, *http.Request, call)
}

// routes are all that there are.
var routes = []route{
	{capability.ConfigPrefix, http.MethodGet, func(s *Server) *limits.Buckets[netip.Prefix] { return s.fetching }, (*Server).fetch},
	{capability.SignalPrefix, http.MethodPost, func(s *Server) *limits.Buckets[netip.Prefix] { return s.signalling }, (*Server).signal},
}

// Routes are what both ports answer, as METHOD PREFIX.
func Routes() (all []string) {
	for _, r := range routes {
		all = append(all, r.method+" "+r.prefix)
	}
	return all
}

// serve takes the exact paths, without a query, and nothing else.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, plain bool) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	i := slices.IndexFunc(routes, func(t route) bool { return strings.HasPrefix(r.URL.Path, t.prefix) })
	if i < 0 {
		answer(w, http.StatusNotFound, "there is nothing here")
		return
	}
	t := routes[i]
	c := call{plain: plain, from: limits.AddrOf(r.RemoteAddr), prefix: t.prefix, method: t.method}
	switch {
	case !t.limit(s).Allow(limits.Source(c.from)):
		later(w, http.StatusTooManyRequests, "too many calls from this address")
	case r.Method != c.method:
		w.Header().Set("Allow", c.method)
		answer(w, http.StatusMethodNotAllowed, "use "+c.method)
	case !c.parse(r):
		s.journal.refused(c, "the address is not one that Ingot gave")
		answer(w, http.StatusForbidden, refusal)
	default:
		t.handle(s, w, r, c)
	}
}

// parse reads PREFIX/SERVER/ID/TOKEN. What is written in any other way is no capability of ours.
func (c *call) parse(r *http.Request) bool {
	parts := strings.Split(strings.TrimPrefix(r.RequestURI, c.prefix), "/")
	if len(parts) != 3 || !strings.HasPrefix(r.RequestURI, c.prefix) || !serverForm.MatchString(parts[0]) || !idForm.MatchString(parts[1]) || len(parts[2]) != capability.TokenSize {
		return false
	}
	c.server, c.id, c.token = parts[0], parts[1], parts[2]
	return true
}

// refusal is all that somebody hears whose capability does not hold, or no longer.
const refusal = "refused: this address gives nothing, or no longer; the server's next boot gets a new one"

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n") // who does not listen is not helped by an error of ours
}

// later is answer for what may work in a moment.
func later(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Retry-After", "5")
	answer(w, code, text+": try again")
}
