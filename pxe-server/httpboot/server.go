package httpboot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/limits"
)

// Header sizes. net/http adds 4 KiB of its own to MaxHeaderBytes.
const (
	maxHeader     = 4 << 10
	rememberHosts = 4096
)

// Server answers booting machines.
type Server struct {
	cfg        Config
	routes     map[string]http.HandlerFunc
	scripts    *limits.Buckets[netip.Prefix]
	allScripts *limits.Buckets[struct{}]
	turns      *limits.Turns[netip.Prefix]
	patience   *patience
	sources    *sources
}

// New checks the configuration and prepares the answers that are the same for every machine.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg:        cfg,
		scripts:    limits.NewBuckets[netip.Prefix](cfg.Limits.Scripts, rememberHosts, cfg.Now),
		allScripts: limits.NewBuckets[struct{}](cfg.Limits.AllScripts, 1, cfg.Now),
		turns:      newTurns(cfg),
		patience:   newPatience(rememberHosts, cfg.Now),
		sources:    newSources(rememberExpected, cfg.Now),
	}
	return s, s.route()
}

// newTurns counts a download for half a minute; whoever is slower is not in the others' way. It may wait a minute longer than it was told.
func newTurns(cfg Config) *limits.Turns[netip.Prefix] {
	return limits.NewTurns[netip.Prefix](limits.TurnLimits{Budget: cfg.Limits.InFlight, PerSource: 4, Hold: 30 * time.Second, Stay: 80 * time.Second}, cfg.Now)
}

// Under is the same server for machines that reach it under another address: its scripts name that one, and loaders has the first script for it. Both share
// what is remembered of boots, so that one boot's script goes to one address wherever it is asked for, and the limits of scripts for all. What one source may ask for
// is shared, too, unless other says something else for those machines.
func (s *Server) Under(addr netip.AddrPort, loaders *cache.Store, other Limits) (*Server, error) {
	o := *s
	o.cfg.Addr, o.cfg.Loaders = addr, loaders
	if other != (Limits{}) {
		o.cfg.Limits = other.withDefaults()
		o.scripts = limits.NewBuckets[netip.Prefix](o.cfg.Limits.Scripts, rememberHosts, o.cfg.Now)
	}
	if err := o.cfg.check(); err != nil {
		return nil, err
	}
	return &o, o.route()
}

// route lists every path that exists.
func (s *Server) route() error {
	first, err := boot.FirstStage(s.cfg.url(""), catalog.FirstStagePath, catalog.ScriptPath)
	if err != nil {
		return fmt.Errorf("writing the first boot script: %w", err)
	}
	s.routes = map[string]http.HandlerFunc{
		catalog.ScriptPath:     s.script,
		catalog.FirstStagePath: static(first),
		"/healthz":             s.healthy,
		"/readyz":              s.ready,
	}
	image, err := s.media()
	if err != nil {
		return err
	}
	if image != nil {
		s.routes[catalog.MediaPath] = s.asset(image.Open, path.Base(catalog.MediaPath), "")
	}
	stages := map[string]string{
		catalog.SNPOnly: StageFirstStage, catalog.IPXE: StageFirstStage, catalog.IPXEArm64: StageFirstStage, catalog.UNDIOnly: StageFirstStage,
		catalog.Kernel: StageKernel, catalog.Initramfs: StageInitramfs,
	}
	for _, name := range s.cfg.Loaders.Names() {
		s.routes[catalog.LoaderPath+name] = s.asset(s.cfg.Loaders.Open, name, stages[name])
	}
	for arch, image := range s.cfg.Images {
		for _, name := range image.Files.Names() {
			s.routes[catalog.AgentFile(arch, name)] = s.asset(image.Files.Open, name, stages[name])
		}
	}
	return nil
}

// Routes are all paths that are answered, sorted; that of the files of Environments ends in a slash, which their digest follows.
func (s *Server) Routes() []string {
	all := append(slices.Collect(maps.Keys(s.routes)), catalog.BlobPath)
	slices.Sort(all)
	return all
}

// Serve answers on l until ctx ends, then lets requests under way finish for five seconds.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	lim := s.cfg.Limits
	srv := &http.Server{
		Handler:           s,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: lim.HeaderTime,
		ReadTimeout:       lim.HeaderTime,
		WriteTimeout:      lim.WriteTime,
		IdleTimeout:       lim.IdleTime,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { stopped <- shutdown(srv) })
	defer stop()
	gate := limits.NewGate[netip.Prefix](lim.Connections, lim.ConnectionsPerSource)
	err := srv.Serve(limits.Listen(l, gate))
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP boot: %w", err)
	}
	return <-stopped
}

func shutdown(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return srv.Close()
	}
	return nil
}

// ServeHTTP finds the answer by the request line as it came: what is not spelt exactly as advertised does not exist.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	name, _, _ := cutQuery(r.RequestURI)
	handle, ok := s.find(name)
	switch {
	case !ok:
		http.Error(w, "not found", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
	case r.ContentLength != 0:
		h.Set("Connection", "close")
		http.Error(w, "a request has no body here", http.StatusRequestEntityTooLarge)
	default:
		handle(w, r)
	}
}

// find looks a path up among those that never change, and among the files that the view names now.
func (s *Server) find(name string) (http.HandlerFunc, bool) {
	if handle, ok := s.routes[name]; ok {
		return handle, true
	}
	digest, ok := strings.CutPrefix(name, catalog.BlobPath)
	if !ok {
		return nil, false
	}
	view, _ := s.cfg.View()
	file, ok := view.Files[digest]
	if ok && view.AtHand[digest] != boot.FileCached {
		return notYet, true // quietly: whoever asks again and again fills no log
	}
	stage := StageKernel
	if file.Initramfs {
		stage = StageInitramfs
	}
	return s.asset(s.cfg.Blobs, digest, stage), ok
}

// notYet answers for a file that is still being fetched, or cannot be had.
func notYet(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "15")
	http.Error(w, "this file is not in the cache yet", http.StatusServiceUnavailable)
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }

// ready is false while the server cannot tell machines apart.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	view, ok := s.cfg.View()
	switch {
	case !ok:
		http.Error(w, "no view from the controller yet", http.StatusServiceUnavailable)
	case view.Isolated:
		_, _ = w.Write([]byte("isolated: the controller cannot be heard; servers with a system boot their own disk, and nothing is begun\n"))
	default:
		_, _ = w.Write([]byte("ok\n"))
	}
}

// static answers with text that is the same for everybody.
func static(text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { writeScript(w, r, text) }
}
