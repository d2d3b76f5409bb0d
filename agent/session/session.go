package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"ingot.dev/ingot/agent/protocol"
)

// Config is what a Session needs. All fields are required unless said otherwise.
type Config struct {
	// URL is https://host:port of the controller's agent port.
	URL string
	Pin Pin
	// BootID is the boot id from the kernel line.
	BootID string
	// AgentVersion is reported at enrolment.
	AgentVersion string
	// Inventory yields the hardware; it is asked again whenever Changed fires.
	Inventory func() *protocol.Inventory
	// Evidence is made of the inventory at enrolment.
	Evidence func() *protocol.Evidence
	// Changed fires when the inventory is to be reported again. May be nil.
	Changed <-chan struct{}
	// Tasks erases disks.
	Tasks Tasks
	// Accounts sets up users of the BMC.
	Accounts Accounts
	// NetworkNext lets the next boot be from the network, if the firmware takes that, and says in one line what became of it.
	NetworkNext func(context.Context) string
	// Dial opens a connection; (&net.Dialer{}).DialContext on a real machine.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now must carry the monotonic clock; After is time.After. Both are fakes in tests.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
	// Random is crypto/rand.Reader.
	Random io.Reader
	Log    *slog.Logger
}

// Leave is why this boot shall end.
type Leave struct {
	Reason, Message string
	// PowerOff: the machine shall be switched off. Otherwise it restarts.
	PowerOff bool
}

func (l Leave) verb() string {
	if l.PowerOff {
		return "switch off"
	}
	return "restart"
}

// Session is one boot's conversation with the controller.
type Session struct {
	Config
	host, address string
	id            *identity
	backoff       backoff
	ledger        *ledger
	// begun has the wipe that is to run, at most one.
	begun chan *protocol.Wipe
	// reported says that the controller has the inventory; it need not get it again over a connection that only renews.
	reported bool
}

// New checks the configuration and makes the key of this boot.
func New(c Config) (*Session, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("the address of the controller (ingot.url) must be https://host:port, not %q", c.URL)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	id, err := newIdentity(c.Random)
	if err != nil {
		return nil, err
	}
	s := &Session{Config: c, host: u.Hostname(), address: net.JoinHostPort(u.Hostname(), port), id: id, ledger: newLedger(), begun: make(chan *protocol.Wipe, 1)}
	s.backoff.random = c.Random
	return s, nil
}

// Run talks to the controller until it wants this boot to end, or ctx ends. Outages and refusals are waited out, without end and with a
// message each time. A wipe that has begun goes on meanwhile.
func (s *Session) Run(ctx context.Context) (Leave, error) {
	s.Log.Info("waiting for the server", "address", s.address)
	ctx, cancel := context.WithCancelCause(ctx)
	var working sync.WaitGroup
	working.Go(func() { s.work(ctx) })
	defer working.Wait()
	defer cancel(nil)
	for {
		leave, err := s.once(ctx)
		if ctx.Err() != nil {
			return Leave{}, fmt.Errorf("talking to the server: %w", context.Cause(ctx))
		}
		if err == nil && leave != nil {
			return *leave, nil
		}
		if err == nil {
			// Renewed: go on at once, over a connection with the new certificate.
			continue
		}
		s.reported = false
		pause := s.backoff.next()
		s.Log.Warn(lament(err), "in", pause.Round(100*time.Millisecond), "error", plain(err))
		select {
		case <-s.After(pause):
		case <-ctx.Done():
		}
	}
}

// accepted is the reason with which a server refuses a boot that it did not begin, of a machine that was accepted (crds/reasons).
const accepted = "Accepted: "

// lament says what a failed attempt means to a person at the machine.
func lament(err error) string {
	switch {
	case errors.Is(err, errDenied) && strings.HasPrefix(plain(err), accepted):
		return "this server was accepted; waiting for the controller to restart this machine; asking again"
	case errors.Is(err, errDenied):
		return "the controller does not let this machine in; asking again"
	}
	return "no session with the server; trying again"
}

// once enrols if there is no certificate, and serves one connection. Neither leave nor error: the certificate is new.
func (s *Session) once(ctx context.Context) (*Leave, error) {
	if !s.id.enrolled(s.Now()) {
		if err := s.enroll(ctx); err != nil {
			return nil, err
		}
	}
	leave, err := s.serve(ctx)
	if refused(err) {
		// The certificate is not believed any more, for instance since the controller's CA is new: enrol again, with the same key. The
		// key is what makes this boot the same claimant.
		s.id.forget()
	}
	return leave, err
}
