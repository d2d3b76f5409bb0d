package fakebmc

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

const (
	// DefaultSessionLimit is how many sessions one BMC keeps, as small as on real ones.
	DefaultSessionLimit = 4
	// SessionTimeout ends an idle session.
	SessionTimeout = 30 * time.Minute

	headerTime = time.Minute // handshakes included, a thousand at once on a busy machine
	idleTime   = time.Minute
	maxHeader  = 64 << 10
)

// Config says what a BMC serves and where.
type Config struct {
	// Addr is where to listen: "127.0.0.1:0" when empty.
	Addr string
	// Listener replaces Addr, for a listener inside a network namespace. Close closes it.
	Listener net.Listener
	// Machine is the server behind the BMC.
	Machine machine.Machine
	// Username and Password are the only account.
	Username, Password string
	// Certificate is made and self-signed when nil.
	Certificate *tls.Certificate
	// SessionLimit is DefaultSessionLimit when 0. Negative: the BMC has no SessionService, Basic only.
	SessionLimit int
	// MediaAtSystem shows virtual media below the system, as newer BMCs do, instead of below the manager.
	MediaAtSystem bool
	// Faults is none when nil.
	Faults *Faults
	// Now is time.Now when nil.
	Now func() time.Time
	// Log is silent when nil. It gets one line per request: method, path, user, status.
	Log *slog.Logger
}

// BMC is one running management controller.
type BMC struct {
	config   Config
	listener net.Listener
	server   *http.Server
	sessions *sessions
	requests *requestLog
	faults   *Faults

	mu          sync.Mutex
	certificate tls.Certificate
	other       *tls.Certificate // of Fault.Swapped
	bootSet     time.Time        // when the override was set, or a power order came after that
	assetTag    string
	image       string // the URI of what is in the virtual drive; empty: nothing is
	conns       map[net.Conn]struct{}

	ctx     context.Context
	cancel  context.CancelFunc
	media   sync.Mutex // held while a medium changes
	work    sync.WaitGroup
	closing sync.Once
}

// Start listens and serves until Close or the end of ctx.
func Start(ctx context.Context, config Config) (*BMC, error) {
	b, err := newBMC(config)
	if err != nil {
		return nil, err
	}
	if b.listener, err = listen(ctx, config); err != nil {
		return nil, err
	}
	b.ctx, b.cancel = context.WithCancel(ctx)
	b.server = b.newServer()
	b.work.Go(func() {
		// Serve returns http.ErrServerClosed after Close; any other end is told.
		if err := b.server.ServeTLS(b.listener, "", ""); err != http.ErrServerClosed {
			b.config.Log.Error("bmc ended", "addr", b.Addr(), "err", err)
		}
	})
	context.AfterFunc(b.ctx, func() { _ = b.server.Close() })
	return b, nil
}

func newBMC(config Config) (*BMC, error) {
	if config.Machine == nil || config.Username == "" || config.Password == "" {
		return nil, fmt.Errorf("starting bmc: machine, username and password are needed")
	}
	config = withDefaults(config)
	b := &BMC{
		config: config, faults: config.Faults, requests: &requestLog{}, conns: map[net.Conn]struct{}{},
		assetTag: config.Machine.Identity().AssetTag,
		sessions: newSessions(config.SessionLimit, config.Now),
	}
	if config.Certificate != nil {
		b.certificate = *config.Certificate
		return b, nil
	}
	var err error
	b.certificate, err = selfSigned(config.Now())
	return b, err
}

func withDefaults(config Config) Config {
	if config.Addr == "" {
		config.Addr = "127.0.0.1:0"
	}
	if config.SessionLimit == 0 {
		config.SessionLimit = DefaultSessionLimit
	}
	if config.Faults == nil {
		config.Faults = &Faults{}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return config
}

func listen(ctx context.Context, config Config) (net.Listener, error) {
	if config.Listener != nil {
		return config.Listener, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", config.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening for bmc on %s: %w", config.Addr, err)
	}
	return listener, nil
}

func (b *BMC) newServer() *http.Server {
	return &http.Server{
		Handler:           b.handler(),
		TLSConfig:         b.tlsConfig(),
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1, as BMCs speak
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		ConnState:         b.track,
		ConnContext:       withShown,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return b.ctx },
		ErrorLog:          slog.NewLogLogger(b.config.Log.Handler(), slog.LevelDebug),
	}
}

// Addr is where it listens, as host:port.
func (b *BMC) Addr() string { return b.listener.Addr().String() }

// Requests lists the requests so far, oldest first. The list is bounded; the oldest fall out.
func (b *BMC) Requests() []Request { return b.requests.list() }

// Sessions counts the sessions that are open now.
func (b *BMC) Sessions() int { return b.sessions.count() }

// Tally counts sessions since the start.
func (b *BMC) Tally() Tally { return b.sessions.counted() }

// DropSessions forgets all sessions, as a BMC does when it restarts.
func (b *BMC) DropSessions() { b.sessions.drop() }

// Close ends all connections, consoles included, and returns when nothing of the BMC runs any more.
func (b *BMC) Close() error {
	b.closing.Do(func() {
		b.mu.Lock()
		b.cancel()
		b.mu.Unlock()
		_ = b.server.Close() // what matters is that it ended
		b.work.Wait()
	})
	return nil
}

// enter counts a request as running, unless the BMC ends. Under the lock, so that Close waits for all that got in.
func (b *BMC) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return false
	}
	b.work.Add(1)
	return true
}

// Handler is the service without its listener, for tests that need no connection.
func (b *BMC) Handler() http.Handler { return b.server.Handler }
