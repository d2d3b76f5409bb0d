package signals

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ingot.dev/ingot/pxe-server/limits"
)

// Limits of the port for kernel logs. Whoever is faster is read more slowly, and loses nothing: Talos waits.
const (
	// maxLine bounds one line, in bytes: the kernel's longest has 1,024, which JSON makes longer. One that is longer is left out.
	maxLine = 8 << 10
	// A line costs a millisecond of a processor at worst, where somebody made it for that (BenchmarkLine).
	linesPerSecond  = 50 // of one connection
	linesBurst      = 2000
	linesInAll      = 1000
	linesInAllBurst = 20000
	// Connections: a rack behind one /64 shares a source; of one server there are those before and after it restarts, twice.
	connectionsEach      = 4
	connectionsPerSource = 256
	connectionsInAll     = 2048
	waitingInAll         = 256
	waitingPerSource     = 4
	// socketBuffer bounds what the system keeps of a connection that is not read, in bytes.
	socketBuffer = 64 << 10
	// waitFor is how long a machine waits until it is known: it is when its config left.
	waitFor = 5 * time.Minute
	// lookEvery is how often it is looked whose an address is.
	lookEvery = 2 * time.Second
	// sureFor is how long an answer counts.
	sureFor = 10 * time.Second
	// restFor is the pause after a connection could not be taken.
	restFor = time.Second
)

// KernelLog is the server of the port for kernel logs.
type KernelLog struct {
	r       *Receiver
	all     *rate.Limiter
	each    *limits.Gate[string]
	waiting *limits.Gate[netip.Prefix]

	ctx  context.Context
	end  context.CancelFunc
	busy sync.WaitGroup
}

// KernelLog is the server of the port for kernel logs.
func (r *Receiver) KernelLog() *KernelLog {
	k := &KernelLog{
		r: r, all: rate.NewLimiter(linesInAll, linesInAllBurst), each: limits.NewGate[string](1<<30, connectionsEach),
		waiting: limits.NewGate[netip.Prefix](waitingInAll, waitingPerSource),
	}
	k.ctx, k.end = context.WithCancel(context.Background())
	return k
}

// Serve takes connections until the listener or the server is closed. It goes on after any other error: that this machine has no room for another connection
// must not end the program.
func (k *KernelLog) Serve(l net.Listener) error {
	k.busy.Add(1)
	defer k.busy.Done()
	defer context.AfterFunc(k.ctx, func() { _ = l.Close() })()
	l = limits.Listen(frugal{l}, limits.NewGate[netip.Prefix](connectionsInAll, connectionsPerSource))
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			k.busy.Go(func() { k.connection(c) }) // which ends at once where the server is closed
		case k.ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			k.r.cfg.Log.Error(err, "Taking a connection for a kernel log")
			k.rest()
		}
	}
}

// rest waits a moment.
func (k *KernelLog) rest() {
	t := time.NewTimer(restFor)
	defer t.Stop()
	select {
	case <-t.C:
	case <-k.ctx.Done():
	}
}

// Close ends all connections, and returns when they are gone.
func (k *KernelLog) Close() {
	k.end()
	k.busy.Wait()
}

// connection hears one connection to its end.
func (k *KernelLog) connection(c net.Conn) {
	defer context.AfterFunc(k.ctx, func() { _ = c.Close() })()
	defer func() { _ = c.Close() }() // nothing was written
	from := limits.AddrOf(c.RemoteAddr().String())
	s, ok := k.await(from)
	if !ok {
		k.r.drop(&k.r.unknown, "no server of ours is known at its address", from)
		return
	}
	leave, ok := k.each.Enter(s.Server)
	if !ok {
		k.r.drop(&k.r.refused, "too many kernel logs of one server", from)
		return
	}
	defer leave()
	k.read(c, from, s)
}

// await is whose an address is. It waits without reading: what the machine sends meanwhile waits with it.
func (k *KernelLog) await(from netip.Addr) (Speaker, bool) {
	if s, ok := k.r.cfg.Whose(k.ctx, from); ok {
		return s, true
	}
	leave, ok := k.waiting.Enter(limits.Source(from))
	if !ok {
		return Speaker{}, false
	}
	defer leave()
	ctx, cancel := context.WithTimeout(k.ctx, waitFor)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return Speaker{}, false
		case <-tick.C:
			if s, ok := k.r.cfg.Whose(ctx, from); ok {
				return s, true
			}
		}
	}
}

// read hears line after line, until the machine says nothing for long, or its address is another's.
func (k *KernelLog) read(c net.Conn, from netip.Addr, s Speaker) {
	in, redactor := bufio.NewReaderSize(c, maxLine), &Redactor{}
	pace := rate.NewLimiter(linesPerSecond, linesBurst)
	looked := k.r.cfg.Now()
	for {
		_ = c.SetReadDeadline(time.Now().Add(quiet)) // sockets know no other clock
		line, err := in.ReadSlice('\n')
		whole := err == nil
		if !whole && !errors.Is(err, bufio.ErrBufferFull) || errors.Join(pace.Wait(k.ctx), k.all.Wait(k.ctx)) != nil {
			return
		}
		if now := k.r.cfg.Now(); now.Sub(looked) >= sureFor {
			var ok bool
			if s, ok = k.same(from, s); !ok {
				return
			}
			looked = now
		}
		if whole {
			k.r.Line(s, from, redactor, line)
			continue
		}
		k.r.drop(&k.r.unreadable, "a line is too long", from)
		if !k.skip(c, in, pace) {
			return
		}
	}
}

// same looks again whose an address is: another server's lines need a connection of their own.
func (k *KernelLog) same(from netip.Addr, was Speaker) (Speaker, bool) {
	s, ok := k.r.cfg.Whose(k.ctx, from)
	return s, ok && s.Server == was.Server
}

// skip reads to the end of a line that is too long, at the same pace.
func (k *KernelLog) skip(c net.Conn, in *bufio.Reader, pace *rate.Limiter) bool {
	for {
		_ = c.SetReadDeadline(time.Now().Add(quiet)) // as above
		_, err := in.ReadSlice('\n')
		if err == nil {
			return true
		}
		if !errors.Is(err, bufio.ErrBufferFull) || errors.Join(pace.Wait(k.ctx), k.all.Wait(k.ctx)) != nil {
			return false
		}
	}
}

// frugal is a listener whose connections keep little of what is not read.
type frugal struct{ net.Listener }

// Accept waits for the next connection.
func (f frugal) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetReadBuffer(socketBuffer) // without it the system's own bound holds
	}
	return c, err
}
