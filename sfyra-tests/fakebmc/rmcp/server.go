package rmcp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

const (
	maxPacket = 1500
	// maxBusy bounds the datagrams that are worked on at once.
	maxBusy = 64
	// maxLog bounds the log of commands.
	maxLog = 20000
	// maxPassword and maxUser are what IPMI 2.0 has room for (22.30, 13.20).
	maxPassword = 20
	maxUser     = 16
)

// Privilege levels (22.18).
const (
	User          = 2
	Operator      = 3
	Administrator = 4
)

// Config says what a BMC serves and where.
type Config struct {
	// Addr is where to listen: "127.0.0.1:0" when empty.
	Addr string
	// Conn replaces Addr, for a socket inside a network namespace. Close closes it.
	Conn net.PacketConn
	// Machine is the server behind the BMC.
	Machine machine.Machine
	// Username and Password are the only account.
	Username, Password string
	// Address, where the BMC says in band that it is; the zero value says nothing. Its port is that of the LAN configuration.
	Address netip.AddrPort
	// Privilege is the most that the account may do: Administrator when 0.
	Privilege uint8
	// LateRefusal: what the account may do is looked at when a session asks for it, not when it is opened, as some BMCs do.
	LateRefusal bool
	// Suites are the numbers of the cipher suites that it has: 17 and 3 when nil.
	Suites []uint8
	// SessionLimit is fakebmc.DefaultSessionLimit when 0.
	SessionLimit int
	// SOL is how serial-over-LAN is set up.
	SOL SOL
	// Faults is none when nil.
	Faults *fakebmc.Faults
	// Now is time.Now when nil.
	Now func() time.Time
	// Log is silent when nil. It gets one line per command.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.Privilege == 0 {
		c.Privilege = Administrator
	}
	if c.Suites == nil {
		c.Suites = []uint8{17, 3}
	}
	if c.SessionLimit == 0 {
		c.SessionLimit = fakebmc.DefaultSessionLimit
	}
	if c.Faults == nil {
		c.Faults = &fakebmc.Faults{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.Machine == nil || c.Username == "" || c.Password == "":
		return errors.New("starting bmc: machine, username and password are needed")
	case len(c.Username) > maxUser || len(c.Password) > maxPassword:
		return fmt.Errorf("starting bmc: IPMI has room for %d bytes of user name and %d of password", maxUser, maxPassword)
	}
	return nil
}

// BMC is one running management controller.
type BMC struct {
	config Config
	conn   net.PacketConn
	guid   [16]byte
	busy   chan struct{}

	// turn is held while a command is carried out: one at a time, as on real ones.
	turn sync.Mutex
	boot bootOptions

	// sol is serial-over-LAN as it is set up; line is who has it, nil for nobody.
	sol parameters

	mu    sync.Mutex
	line  *line
	users [userSlots + 1]user
	// changes counts the host's commands that change users.
	changes int
	access  ChannelAccess
	table   table
	log     []Command

	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup
	closing sync.Once
}

// Command is one line of the log: a command that came through a session.
type Command struct {
	NetFn, Cmd uint8
	Data       []byte
	// Code is the completion code that it was answered with.
	Code uint8
}

// Start listens and serves until Close or the end of ctx.
func Start(ctx context.Context, config Config) (*BMC, error) {
	b, err := newBMC(config)
	if err != nil {
		return nil, err
	}
	if b.conn = config.Conn; b.conn == nil {
		if b.conn, err = (&net.ListenConfig{}).ListenPacket(ctx, "udp", b.config.Addr); err != nil {
			return nil, fmt.Errorf("listening for bmc on %s: %w", b.config.Addr, err)
		}
	}
	b.ctx, b.cancel = context.WithCancel(ctx)
	context.AfterFunc(b.ctx, func() { _ = b.conn.Close() })
	b.work.Go(b.serve)
	return b, nil
}

func newBMC(config Config) (*BMC, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	b := &BMC{
		config: config, guid: guidOf(config.Machine.Identity().UUID), busy: make(chan struct{}, maxBusy),
		table: table{limit: config.SessionLimit, now: config.Now}, sol: config.SOL.parameters(), access: ChannelAccess{Mode: alwaysOn, Limit: Administrator},
	}
	b.users[adminSlot] = user{name: config.Username, password: config.Password, status: userEnabled, messaging: true, privilege: config.Privilege}
	return b, nil
}

// guidOf is the machine's UUID, or a random one.
func guidOf(uuid string) (guid [16]byte) {
	if raw, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", "")); err == nil && len(raw) == len(guid) {
		return [16]byte(raw)
	}
	_, _ = rand.Read(guid[:])
	return guid
}

// serve reads datagrams until the socket is closed. What comes while all hands are busy is lost, as UDP is.
func (b *BMC) serve() {
	buffer := make([]byte, maxPacket+1)
	for {
		n, from, err := b.conn.ReadFrom(buffer)
		if err != nil {
			if b.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // the host's word on an earlier answer
		}
		packet := append([]byte(nil), buffer[:n]...)
		if isSOL(packet) { // in their order
			b.answer(packet, from)
			continue
		}
		select {
		case b.busy <- struct{}{}:
			b.work.Go(func() { defer func() { <-b.busy }(); b.answer(packet, from) })
		default:
		}
	}
}

func (b *BMC) answer(packet []byte, to net.Addr) {
	if b.config.Faults.Get().Dead || b.config.Faults.Hang(b.ctx, b.ctx) != nil {
		return
	}
	if reply := b.handle(packet, to.String()); reply != nil {
		_, _ = b.conn.WriteTo(reply, to)
	}
}

// Addr is where it listens, as host:port.
func (b *BMC) Addr() string { return b.conn.LocalAddr().String() }

// Sessions counts the sessions that are open now, half-open ones included.
func (b *BMC) Sessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.table.count()
}

// Tally counts sessions since the start.
type Tally struct {
	// Opened became active, Refused found the table full, Most were there at once, half-open ones included.
	Opened, Refused, Most int
	// Presented counts proofs of a password, right or wrong.
	Presented int
}

// Tally counts sessions since the start.
func (b *BMC) Tally() Tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.table.tally
}

// DropSessions forgets all sessions, as a BMC does when it restarts.
func (b *BMC) DropSessions() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.table.sessions = nil
}

// SetPassword changes the account's password. Sessions stay.
func (b *BMC) SetPassword(password string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users[adminSlot].password = password
}

// Commands lists the commands so far, oldest first. The list is bounded; the oldest fall out.
func (b *BMC) Commands() []Command {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Command(nil), b.log...)
}

func (b *BMC) note(c Command) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.log) == maxLog {
		b.log = append(b.log[:0], b.log[maxLog/2:]...)
	}
	b.log = append(b.log, c)
	b.config.Log.Info("bmc command", "netfn", c.NetFn, "cmd", c.Cmd, "data", hex.EncodeToString(c.Data), "code", c.Code)
}

// Close ends the BMC and returns when nothing of it runs any more.
func (b *BMC) Close() error {
	b.closing.Do(func() {
		b.cancel()
		_ = b.conn.Close()
		b.work.Wait()
	})
	return nil
}
