package ipmi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi/sol"
)

// ConsoleOptions are how far to go for a console. The zero value changes nothing at the BMC, and takes it from nobody.
type ConsoleOptions struct {
	// TakeOver ends somebody else's use of it.
	TakeOver bool
	// Enable switches serial-over-LAN on where it is off; it stays on.
	Enable bool
	// BitRate of the serial line in bit/s, for as long as the console is open: 9600, 19200, 38400, 57600 or 115200. 0 leaves the BMC's.
	BitRate int
	// Tell is told what a person wants to know beside the output, a sentence each. It must not block. Nobody is told when nil.
	Tell func(sentence string)
}

// patience is the tempo of everything that a console does.
type patience struct {
	pace
	line sol.Tempo
}

func usualPatience() patience {
	return patience{usual(), sol.Tempo{Retry: time.Second, Tries: 8, Pause: 500 * time.Millisecond}}
}

// Console is a server's serial console over LAN (section 15), on a session of its own. It is safe for one reader, one writer and who closes it.
type Console struct {
	driver   *driver
	patience patience
	tell     func(string)
	// tells: the BMC says whose the payload is, and said that it is ours.
	tells bool

	// kick wakes the loop, which alone uses the session and the socket.
	kick chan struct{}
	stop context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	line    *sol.Line
	// err is why nothing is read any more, io.EOF after Close.
	err     error
	closing sync.Once
}

// OpenConsole opens a session, activates serial-over-LAN in it and returns the console. After an error nothing stays open at the BMC. ctx bounds the
// opening only. Errors are of the classes of package bmc, or ErrConsoleTaken or ErrConsoleOff.
func OpenConsole(ctx context.Context, target bmc.Target, options ConsoleOptions) (*Console, error) {
	return openConsole(ctx, target, options, usualPatience())
}

func openConsole(ctx context.Context, target bmc.Target, options ConsoleOptions, p patience) (*Console, error) {
	const doing = "activating serial-over-LAN"
	if _, known := bitRates[options.BitRate]; options.BitRate != 0 && !known {
		return nil, bmc.Fail(bmc.ErrUnsupported, doing, "IPMI knows 9600, 19200, 38400, 57600 and 115200 bit/s, not %d", options.BitRate)
	}
	d, err := connect(ctx, target, p.pace)
	if err != nil {
		return nil, err
	}
	a := activation{d, options}
	granted, err := a.begin(ctx)
	if err == nil {
		err = a.setBitRate(ctx)
	}
	if err != nil {
		_ = d.closeSession(context.WithoutCancel(ctx), p.farewell) // which ends the payload as well (24.2)
		_ = d.wire.conn.Close()
		return nil, refusal(doing, err)
	}
	c := newConsole(d, p, sol.New(p.line, int(granted.InboundPayloadSize)), options.Tell)
	c.tells = d.holder(ctx) == d.session.bmcID
	c.start()
	return c, nil
}

// refusal classifies an error, unless it is one of a console's own.
func refusal(doing string, err error) error {
	if errors.Is(err, ErrConsoleTaken) || errors.Is(err, ErrConsoleOff) {
		return err
	}
	return explain(doing, err)
}

func newConsole(d *driver, p patience, line *sol.Line, tell func(string)) *Console {
	if tell == nil {
		tell = func(string) {}
	}
	c := &Console{driver: d, patience: p, tell: tell, kick: make(chan struct{}, 1), line: line}
	c.changed = sync.NewCond(&c.mu)
	return c
}

func (c *Console) start() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	_ = c.driver.wire.conn.SetReadDeadline(time.Time{})
	c.work.Go(func() { c.run(ctx) })
}

// Read waits for output of the server. After Close it returns io.EOF.
func (c *Console) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.line.Unread() && c.err == nil {
		c.changed.Wait()
	}
	if !c.line.Unread() {
		return 0, c.err
	}
	n := c.line.Read(p)
	c.wake() // there may be room for what the BMC was made to wait with
	return n, nil
}

// Write types. It waits for room: that a line holds no more than 64 KiB of what was typed.
func (c *Console) Write(keys []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for done := 0; ; {
		if c.err != nil {
			return done, io.ErrClosedPipe
		}
		done += c.line.Type(keys[done:])
		c.wake()
		if done == len(keys) {
			return done, nil
		}
		c.changed.Wait()
	}
}

// Break sends a break after what was typed so far; Linux takes the next key for a magic SysRq.
func (c *Console) Break() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line.Break()
	c.wake()
}

func (c *Console) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// run is the loop. It ends with its context, and by itself when the console does.
func (c *Console) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	heard := make(chan []byte)
	var listening sync.WaitGroup
	listening.Go(func() { c.listen(ctx, heard) })
	defer listening.Wait()
	defer c.driver.wire.conn.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // it ends listen; what follows sets its own
	defer cancel()
	pulse := pulse{every: c.patience.alive, waits: c.patience.waits}
	pulse.begin(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case packet, ok := <-heard:
			switch {
			case !ok:
				c.fail(errSilent)
			case c.take(packet):
				pulse.heard(time.Now())
			}
		case <-c.kick:
		case <-timer.C:
		}
		wait, alive := c.say(time.Now(), &pulse)
		if !alive {
			return
		}
		timer.Reset(wait)
	}
}

// listen hands on datagrams. A refusal is the host's answer to an earlier packet of ours: the BMC may be starting.
func (c *Console) listen(ctx context.Context, to chan<- []byte) {
	defer close(to)
	buffer := make([]byte, maxPacket+1)
	for {
		n, err := c.driver.wire.conn.Read(buffer)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return
		}
		select {
		case to <- bytes.Clone(buffer[:n]):
		case <-ctx.Done():
			return
		}
	}
}

// take takes what the session's keys open: output, or a sign of life. Everything else is as if it had not come.
func (c *Console) take(packet []byte) bool {
	s := c.driver.session
	if sequence, payload, ok := s.open(types.PayloadTypeSOL, s.consoleID, packet); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.line.Hear(time.Now(), sequence, payload)
		c.changed.Broadcast()
		return true
	}
	message, ok := s.take(packet)
	if ok && c.tells && !s.has(message) {
		c.fail(sol.ErrDeactivated)
	}
	return ok
}

// say sends what is due and gives the time until the next. It is false when the console has ended.
func (c *Console) say(now time.Time, p *pulse) (wait time.Duration, alive bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for payload := c.line.Send(now); payload != nil; payload = c.line.Send(now) {
		c.post(types.PayloadTypeSOL, payload)
	}
	beat, living := p.beat(now)
	if beat {
		c.post(types.PayloadTypeIPMI, c.driver.session.sign(c.tells))
	}
	c.report()
	if !living {
		c.end(errSilent)
	}
	if err := c.line.Err(); err != nil {
		c.end(err)
	}
	due, ok := c.line.Due()
	if !ok || p.due.Before(due) {
		due = p.due
	}
	return max(0, due.Sub(now)), c.err == nil
}

// post sends one packet. What is lost on the way is sent again; so is what could not be sent.
func (c *Console) post(kind types.PayloadType, payload []byte) {
	if packet, err := c.driver.session.wrap(kind, payload); err == nil {
		c.driver.wire.tell(packet)
	}
}

func (c *Console) report() {
	for _, n := range c.line.Notes() {
		switch n {
		case sol.HostOff:
			c.tell("the server is off; what you type is lost")
		case sol.HostOn:
			c.tell("the server is on")
		case sol.OutputLost:
			c.tell("some output was lost")
		}
	}
}

func (c *Console) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(err)
}

// end says why nothing comes any more. The lock is held.
func (c *Console) end(err error) {
	if c.err == nil {
		c.err = ended(err)
		c.changed.Broadcast()
	}
}

// ended classifies the end of a console.
func ended(err error) error {
	const doing = "serial-over-LAN"
	switch {
	case errors.Is(err, io.EOF):
		return err
	case errors.Is(err, sol.ErrDeactivated):
		return fmt.Errorf("%s: %w: somebody took the console over, or pressed the server's power or reset button", doing, err)
	case errors.Is(err, sol.ErrSilent):
		return bmc.Fail(bmc.ErrUnreachable, doing, "it acknowledges nothing any more; somebody else may have the console, or it has restarted")
	}
	return bmc.Fail(bmc.ErrUnreachable, doing, "no sign of life any more; it has restarted, or the network is down")
}

// Close sends what was typed, for a moment, gives the payload back and ends the session.
func (c *Console) Close() error {
	c.closing.Do(c.close)
	return nil
}

func (c *Console) close() {
	c.flush()
	c.stop()
	c.work.Wait()
	c.mu.Lock()
	mine := c.err == nil // otherwise the payload is somebody else's, or nobody hears us
	c.end(io.EOF)
	c.mu.Unlock()
	ctx := context.Background() // also when the caller's is done: what stays open is missing elsewhere. It is bounded by the pace
	c.driver.pace.waits = c.driver.pace.farewell
	if mine && (!c.tells || c.driver.holder(ctx) == c.driver.session.bmcID) { // to others it may be an administrator's order to end theirs
		_ = c.driver.deactivate(ctx)
	}
	_ = c.driver.closeSession(ctx, c.driver.pace.farewell) // which ends the payload as well (24.2)
	_ = c.driver.wire.conn.Close()
}

// flush waits until the BMC took what was typed, as long as one waits for a farewell.
func (c *Console) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience.farewell[0])
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.line.Idle() && c.err == nil && ctx.Err() == nil {
		c.changed.Wait()
	}
}
