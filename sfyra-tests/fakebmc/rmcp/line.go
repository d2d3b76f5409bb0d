package rmcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// Bits of the last byte of the header (table 15-2), as the BMC sends and hears them.
const (
	flagNack  = 0x40
	flagOff   = 0x20
	flagEnded = 0x10
	flagBreak = 0x10
)

const (
	// maxChunk is the most characters of a packet.
	maxChunk = 128
	// maxBehind is what it keeps of the machine's output while nobody acknowledges; the machine waits then.
	maxBehind = 4096
	// lookAgain is how often it looks whether the machine is on, and the session still there.
	lookAgain = 50 * time.Millisecond
)

// Break stands among the keys of a machine for a break on its serial line.
const Break = 0x00

// solPacket is the payload of serial-over-LAN (table 15-2).
type solPacket struct {
	number, acked, accepted, flags uint8
	data                           []byte
}

// line is the console while somebody has it. What is below heard belongs to the goroutine that runs it.
type line struct {
	bmc     *BMC
	session *session
	stop    context.CancelFunc
	heard   chan solPacket

	// serial is the machine's line, nil while it is off; output what it says, keys what is typed into it.
	serial io.ReadWriteCloser
	output chan []byte
	keys   chan []byte
	off    bool

	behind []byte
	// out is the packet that waits for its acknowledgement.
	out       *solPacket
	tries     int
	due       time.Time
	suspended atomic.Bool
	// number is of the last packet sent, last of the last one heard, with its answer.
	number, last uint8
	answer       solPacket
}

// isSOL says that a datagram is one of serial-over-LAN.
func isSOL(packet []byte) bool {
	return len(packet) >= plusHeader && packet[3] == classIPMI && packet[4] == formatPlus && packet[5] == payloadSOL|encrypted|authenticated
}

// handleSOL hands a packet to the line of its session. One that comes while the line is busy is lost, as UDP is.
func (b *BMC) handleSOL(packet []byte, peer string) {
	s, payload := b.admit(packet, peer)
	if len(payload) < 4 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.line == nil || b.line.session != s {
		return
	}
	select {
	case b.line.heard <- solPacket{payload[0] & 0x0f, payload[1] & 0x0f, payload[2], payload[3], payload[4:]}:
	default:
	}
}

// sendSOL sends one packet of serial-over-LAN. The lock is held.
func (b *BMC) sendSOL(s *session, p solPacket) {
	to, err := netip.ParseAddrPort(s.peer)
	if err != nil || b.conn == nil || b.config.Faults.Get().Dead {
		return
	}
	sealed := s.seal(payloadSOL, append([]byte{p.number, p.acked, p.accepted, p.flags}, p.data...))
	_, _ = b.conn.WriteTo(sealed, net.UDPAddrFromAddrPort(to))
}

// startLine runs the console for a session. The lock is held.
func (b *BMC) startLine(s *session) *line {
	ctx, stop := context.WithCancel(b.ctx)
	l := &line{bmc: b, session: s, stop: stop, heard: make(chan solPacket, 16)}
	b.work.Go(func() { l.run(ctx) })
	return l
}

func (l *line) run(ctx context.Context) {
	defer l.drop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	l.connect(ctx)
	for {
		output := l.output
		if len(l.behind) > maxBehind {
			output = nil
		}
		var retry <-chan time.Time
		if l.out != nil && !l.suspended.Load() {
			retry = time.After(time.Until(l.due))
		}
		select {
		case <-ctx.Done():
			return
		case p := <-l.heard:
			l.hear(p)
		case said, ok := <-output:
			if !ok {
				l.drop()
				break
			}
			l.behind = append(l.behind, said...)
		case <-retry:
			l.repeat()
		case <-look.C:
			if !l.there() {
				return
			}
			l.connect(ctx)
		}
		l.send()
	}
}

// there says that the session still has the payload.
func (l *line) there() bool {
	l.bmc.mu.Lock()
	defer l.bmc.mu.Unlock()
	return l.bmc.holder() == l
}

// connect opens the machine's serial line when the machine is on, and tells when that changed (table 15-2, note 1).
func (l *line) connect(ctx context.Context) {
	if l.serial != nil {
		return
	}
	serial, err := l.bmc.config.Machine.Console(ctx)
	if err == nil {
		output, keys := make(chan []byte), make(chan []byte, 16)
		l.serial, l.output, l.keys = serial, output, keys
		l.bmc.work.Go(func() { pump(ctx, serial, output) })
		l.bmc.work.Go(func() { typeInto(serial, keys) })
	}
	if off := errors.Is(err, machine.ErrPoweredOff); off != l.off {
		l.off = off
		l.post(solPacket{flags: flagNack})
	}
}

// drop lets go of the machine's serial line.
func (l *line) drop() {
	if l.serial != nil {
		_ = l.serial.Close()
		close(l.keys)
		l.serial, l.output, l.keys = nil, nil, nil
	}
}

func pump(ctx context.Context, serial io.Reader, to chan<- []byte) {
	defer close(to)
	buffer := make([]byte, 256)
	for {
		n, err := serial.Read(buffer)
		if err != nil {
			return
		}
		select {
		case to <- clone(buffer[:n]):
		case <-ctx.Done():
			return
		}
	}
}

func typeInto(serial io.Writer, keys <-chan []byte) {
	for typed := range keys {
		if _, err := serial.Write(typed); err != nil {
			return
		}
	}
}

// post sends a packet with what there is to say of the machine.
func (l *line) post(p solPacket) {
	if l.off {
		p.flags |= flagNack | flagOff
	}
	l.bmc.mu.Lock()
	defer l.bmc.mu.Unlock()
	l.bmc.sendSOL(l.session, p)
}

// send packs what the machine said, one packet at a time.
func (l *line) send() {
	if l.out != nil || len(l.behind) == 0 {
		return
	}
	l.number = l.number%15 + 1
	l.out, l.tries = &solPacket{number: l.number}, 0
	l.grow()
	l.deliver()
}

// grow appends to the packet what came since (15.11).
func (l *line) grow() {
	n := min(len(l.behind), maxChunk-len(l.out.data))
	l.out.data = append(l.out.data, l.behind[:n]...)
	l.behind = l.behind[n:]
}

func (l *line) deliver() {
	l.post(*l.out)
	l.due = time.Now().Add(retryInterval * 10 * time.Millisecond)
}

// repeat sends the packet again, with what was said since, or gives it up.
func (l *line) repeat() {
	if l.tries++; l.tries > retryCount {
		l.out = nil
		return
	}
	l.grow()
	l.deliver()
}

// hear takes a packet of the console (table 15-3).
func (l *line) hear(p solPacket) {
	if l.out != nil && p.acked == l.out.number {
		l.acknowledge(p)
	}
	switch p.number {
	case 0:
	case l.last:
		l.post(l.answer)
	default:
		l.last, l.answer = p.number, l.accept(p)
		l.post(l.answer)
	}
}

func (l *line) acknowledge(p solPacket) {
	l.suspended.Store(p.flags&flagNack != 0)
	switch {
	case l.suspended.Load():
	case int(p.accepted) == len(l.out.data):
		l.out = nil
	default:
		l.deliver() // a partial or a resume ACK
	}
}

// accept types into the machine and says how much of a packet it took.
func (l *line) accept(p solPacket) solPacket {
	answer := solPacket{acked: p.number, accepted: uint8(len(p.data))}
	fault := l.bmc.config.Faults.Get()
	switch {
	case fault.RefuseKeys || l.serial == nil:
		answer.accepted = 0
	case fault.TakeKeys != 0:
		answer.accepted = uint8(min(len(p.data), fault.TakeKeys))
	}
	keys := clone(p.data[:answer.accepted])
	if p.flags&flagBreak != 0 && l.serial != nil {
		keys = append([]byte{Break}, keys...)
	}
	if len(keys) > 0 {
		select {
		case l.keys <- keys:
		default:
			answer.accepted = 0
		}
	}
	if int(answer.accepted) < len(p.data) {
		answer.flags = flagNack
	}
	return answer
}
