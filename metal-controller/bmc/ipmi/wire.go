package ipmi

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
)

// errSilent: the BMC answered nothing that counts, however often it was asked.
var errSilent = errors.New("no answer")

// maxStray bounds the datagrams that are looked at in vain for one question.
const maxStray = 1000

// pace is how long an answer is waited for, and how often a session shows that it lives.
type pace struct {
	// waits are for the first try and for each repetition.
	waits []time.Duration
	// farewell is the same for what ends a session.
	farewell []time.Duration
	// alive is the time between two signs of life: a BMC ends a session after 60 s without (6.12.15).
	alive time.Duration
}

// usual is the pace on a network. BMCs take seconds for a power order now and then.
func usual() pace {
	return pace{
		waits: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, farewell: []time.Duration{time.Second, time.Second},
		alive: 25 * time.Second,
	}
}

// wire is the socket to one BMC. Being connected, it hears that address alone.
type wire struct{ conn net.Conn }

func dial(ctx context.Context, target bmc.Target) (*wire, error) {
	port := target.Port
	if port == 0 {
		port = bmc.DefaultIPMIPort
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", net.JoinHostPort(target.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return &wire{conn}, nil
}

// ask sends what next gives, once per wait, until accept takes an answer.
func (w *wire) ask(ctx context.Context, waits []time.Duration, next func() ([]byte, error), accept func([]byte) bool) error {
	defer w.endWith(ctx)()
	stray := maxStray
	for _, wait := range waits {
		packet, err := next()
		if err != nil {
			return err
		}
		_ = w.conn.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil {
			return ctx.Err() // looked at after the deadline was set, so that endWith's cannot be lost
		}
		if err := w.send(packet); err != nil {
			return err
		}
		if heard, err := w.listen(accept, &stray); heard || err != nil && !isTimeout(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errSilent
}

// endWith ends reading when ctx does. The returned function undoes that, and waits where it has begun: it would end the reading of the next question.
func (w *wire) endWith(ctx context.Context) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = w.conn.SetReadDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// listen reads until accept takes a datagram or the deadline passes.
func (w *wire) listen(accept func([]byte) bool, stray *int) (heard bool, err error) {
	buffer := make([]byte, maxPacket+1)
	for *stray > 0 {
		n, err := w.conn.Read(buffer)
		if err != nil {
			return false, err
		}
		if accept(buffer[:n]) {
			return true, nil
		}
		*stray--
	}
	return false, errSilent
}

// send writes once more after a refusal: that is the host's answer to an earlier packet, and the BMC may have started meanwhile.
func (w *wire) send(packet []byte) error {
	_, err := w.conn.Write(packet)
	if errors.Is(err, syscall.ECONNREFUSED) {
		_, err = w.conn.Write(packet)
	}
	return err
}

// tell sends a packet whose answer nobody waits for.
func (w *wire) tell(packet []byte) { _ = w.send(packet) }

func isTimeout(err error) bool {
	var failure net.Error
	return errors.As(err, &failure) && failure.Timeout()
}
