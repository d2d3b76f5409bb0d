package ipmi

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/types"
)

// session is an RMCP+ session that the BMC takes for active.
type session struct {
	keys
	// consoleID is what we called it, bmcID what the BMC did.
	consoleID, bmcID uint32
	// sent numbers our packets, from 1; heard is the last number of the BMC's (6.12.13).
	sent, heard uint32
	// number numbers our messages, modulo 64.
	number uint8
}

// packet is the next packet with this message.
func (s *session) packet(message []byte) ([]byte, error) {
	return s.wrap(types.PayloadTypeIPMI, message)
}

// wrap is the next packet with this payload. Each has a number, which all kinds share (15.5), and an initialization vector of its own.
func (s *session) wrap(kind types.PayloadType, payload []byte) ([]byte, error) {
	s.sent++
	var iv [ivSize]byte
	_, _ = rand.Read(iv[:]) // never fails, says crypto/rand
	return s.seal(kind, s.bmcID, s.sent, payload, iv[:])
}

// take reads an answer of this session that was not heard before.
func (s *session) take(packet []byte) ([]byte, bool) {
	sequence, message, ok := s.open(types.PayloadTypeIPMI, s.consoleID, packet)
	if !ok || sequence <= s.heard {
		return nil, false
	}
	s.heard = sequence
	return message, true
}

// command asks the BMC for one thing within the session.
func (d *driver) command(ctx context.Context, command types.Request, response types.Response) error {
	s := d.session
	s.number = (s.number + 1) & maxSequence
	message := request(command, s.number)
	got, err := d.exchange(ctx, d.pace.waits, command, s.number, func() ([]byte, error) { return s.packet(message) }, s.take)
	if err != nil {
		return err
	}
	return read(got, command, response)
}

// closeSession ends the session and waits for the BMC's word (22.19).
func (d *driver) closeSession(ctx context.Context, waits []time.Duration) error {
	s := d.session
	d.session = nil
	if s == nil {
		return nil
	}
	message := s.goodbye()
	command := &app.CloseSessionRequest{SessionID: s.bmcID}
	got, err := d.exchange(ctx, waits, command, s.number, func() ([]byte, error) { return s.packet(message) }, s.take)
	if err != nil {
		return err
	}
	return read(got, command, &app.CloseSessionResponse{})
}

// abandon gives up a session that may be open. If the BMC has it, it ends there; nobody waits to hear.
func (d *driver) abandon() {
	if s := d.session; s != nil {
		if packet, err := s.packet(s.goodbye()); err == nil {
			d.wire.tell(packet)
		}
	}
	d.session = nil
}

func (s *session) goodbye() []byte {
	s.number = (s.number + 1) & maxSequence
	return request(&app.CloseSessionRequest{SessionID: s.bmcID}, s.number)
}

// exchange sends a command until it is answered.
func (d *driver) exchange(
	ctx context.Context, waits []time.Duration, command types.Request, number uint8, next func() ([]byte, error), take func([]byte) ([]byte, bool),
) (answer, error) {
	var got answer
	err := d.wire.ask(ctx, waits, next, func(packet []byte) bool {
		message, ok := take(packet)
		if ok {
			got, ok = answerTo(command, number, message)
		}
		return ok
	})
	return got, err
}

// read judges an answer and unpacks what it says.
func read(got answer, command types.Request, response types.Response) error {
	if got.code != types.CodeOK {
		return refused(command, got.code)
	}
	if err := response.Unpack(got.data); err != nil {
		return senseless(command)
	}
	return nil
}
