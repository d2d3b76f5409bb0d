package rmcp

import (
	"context"
	"encoding/binary"
	"errors"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// Network functions and commands (appendix G).
const (
	Chassis = 0x00
	App     = 0x06
	Lan     = 0x0c // Transport

	ChassisCapabilities = 0x00
	ChassisStatus       = 0x01
	ChassisControl      = 0x02
	SetBootOptions      = 0x08
	GetBootOptions      = 0x09

	deviceID        = 0x01
	sessionInfo     = 0x3d
	systemGUID      = 0x37
	authCapability  = 0x38
	setPrivilege    = 0x3b
	closeSession    = 0x3c
	getCipherSuites = 0x54
)

// Completion codes (table 5-2).
const (
	codeOK          = 0x00
	codeNoParameter = 0x80 // 28.12
	codeTooHigh     = 0x81 // 22.18
	codeNoSession   = 0x87 // 22.19
	codeBadCommand  = 0xc1
	codeBadLength   = 0xc7
	codeBadField    = 0xcc
	codeNoAnswer    = 0xce
	codeNoRight     = 0xd4
	codeNotNow      = 0xd5
	codeUnspecified = 0xff
)

// anonymous answers what may be asked without a session (22.13, 22.15, 22.14).
func (b *BMC) anonymous(r request) []byte {
	if r.netFn != App {
		return r.reply(codeNoRight)
	}
	switch r.cmd {
	case authCapability:
		if len(r.data) != 2 {
			return r.reply(codeBadLength)
		}
		return r.reply(codeOK, 1, 0x80, 0x04, 0x02, 0, 0, 0, 0) // channel 1, IPMI 2.0 alone, users with names, no OEM
	case getCipherSuites:
		return b.cipherSuites(r)
	case systemGUID:
		return r.reply(codeOK, b.guid[:]...)
	}
	return r.reply(codeNoRight)
}

// cipherSuites lists records of 22.15.1 by sixteens; all of ours fit into the first.
func (b *BMC) cipherSuites(r request) []byte {
	if len(r.data) != 3 {
		return r.reply(codeBadLength)
	}
	list := []byte{1}
	if r.data[2]&0x3f == 0 {
		for _, id := range b.config.Suites {
			s := suites()[id]
			list = append(list, 0xc0, s.id, s.auth, 0x40|s.integrity, 0x80|s.crypt)
		}
	}
	return r.reply(codeOK, list...)
}

// command is one that a session may send, with the privilege that it needs.
type command struct {
	level uint8
	run   func(ctx context.Context, s *session, data []byte) (uint8, []byte)
}

func (b *BMC) commands() map[[2]uint8]command {
	return map[[2]uint8]command{
		{App, deviceID}:                {User, b.deviceID},
		{App, systemGUID}:              {User, func(context.Context, *session, []byte) (uint8, []byte) { return codeOK, b.guid[:] }},
		{App, setPrivilege}:            {0, b.setPrivilege},
		{App, closeSession}:            {0, b.closeSession},
		{Chassis, ChassisCapabilities}: {User, func(context.Context, *session, []byte) (uint8, []byte) { return codeOK, make([]byte, 5) }},
		{Chassis, ChassisStatus}:       {User, b.status},
		{Chassis, ChassisControl}:      {Operator, b.control},
		{Chassis, SetBootOptions}:      {Operator, b.setBoot},
		{Chassis, GetBootOptions}:      {Operator, b.getBoot},
		{App, sessionInfo}:             {User, b.sessionInfo},
		{App, ActivatePayload}:         {User, b.activateSOL},
		{App, DeactivatePayload}:       {User, b.deactivateSOL},
		{App, payloadStatus}:           {User, b.statusSOL},
		{App, payloadInfo}:             {User, b.infoSOL},
		{Lan, SetSOL}:                  {Administrator, b.setSOL},
		{Lan, getSOL}:                  {User, b.getSOL},
	}
}

// perform carries out one command and notes it. The turn is held.
func (b *BMC) perform(s *session, r request) []byte {
	c, known := b.commands()[[2]uint8{r.netFn, r.cmd}]
	code, data := uint8(codeBadCommand), []byte(nil)
	fault := b.config.Faults.Get()
	switch {
	case !known:
		if r.netFn == App && (r.cmd == authCapability || r.cmd == getCipherSuites) {
			return b.anonymous(r)
		}
	case s.level < c.level:
		code = codeNoRight
	case fault.Status != 0 && r.cmd != closeSession:
		code = codeNoAnswer
	case fault.Garbage && r.netFn == Chassis:
		code, data = codeOK, []byte{0xff}
	default:
		b.expireFlags(b.ctx)
		code, data = c.run(b.ctx, s, r.data)
	}
	b.note(Command{NetFn: r.netFn, Cmd: r.cmd, Data: clone(r.data), Code: code})
	return r.reply(code, data...)
}

// deviceID is 20.1: IPMI 2.0, a chassis device.
func (b *BMC) deviceID(context.Context, *session, []byte) (uint8, []byte) {
	return codeOK, []byte{0x20, 0x01, 0x01, 0x00, 0x02, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}
}

func (b *BMC) setPrivilege(_ context.Context, s *session, data []byte) (uint8, []byte) {
	if len(data) != 1 {
		return codeBadLength, nil
	}
	switch wanted := data[0] & 0x0f; {
	case wanted == 0:
	case wanted < User:
		return codeBadField, nil
	case wanted > min(b.config.Privilege, s.role&0x0f):
		return codeTooHigh, nil
	default:
		s.level = wanted
	}
	return codeOK, []byte{s.level}
}

// closeSession ends the session that asks. To end another one takes more than this BMC allows anybody.
func (b *BMC) closeSession(_ context.Context, s *session, data []byte) (uint8, []byte) {
	if len(data) < 4 {
		return codeBadLength, nil
	}
	if binary.LittleEndian.Uint32(data) != s.bmcID {
		return codeNoSession, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.table.remove(s)
	return codeOK, nil
}

// status is 28.2. The machine's word is the power state.
func (b *BMC) status(ctx context.Context, _ *session, _ []byte) (uint8, []byte) {
	on, err := b.config.Machine.PowerState(ctx)
	if err != nil {
		return codeUnspecified, nil
	}
	if b.config.Faults.Get().Inverted {
		on = !on
	}
	var power uint8
	if on {
		power = 1
	}
	return codeOK, []byte{power, 0, 0}
}

// Chassis Control (28.3).
const (
	Down  = 0
	Up    = 1
	Cycle = 2
	Reset = 3
	Soft  = 5
)

func (b *BMC) control(ctx context.Context, _ *session, data []byte) (uint8, []byte) {
	if len(data) != 1 {
		return codeBadLength, nil
	}
	kind := data[0] & 0x0f
	fault := b.config.Faults.Get()
	order, known := b.orders()[kind]
	if !known || kind == Soft && fault.NoShutdown {
		return codeBadField, nil
	}
	b.boot.set = b.config.Now() // the 60 s of the flags begin anew
	if fault.IgnorePower {
		return codeOK, nil
	}
	return codeFor(order(ctx)), nil
}

func (b *BMC) orders() map[uint8]func(context.Context) error {
	m := b.config.Machine
	return map[uint8]func(context.Context) error{
		Down:  func(ctx context.Context) error { return except(m.ForceOff(ctx), machine.ErrPoweredOff) },
		Up:    func(ctx context.Context) error { return except(m.PowerOn(ctx), machine.ErrPoweredOn) },
		Cycle: func(ctx context.Context) error { return errors.Join(m.ForceOff(ctx), m.PowerOn(ctx)) },
		Reset: m.Reset,
		Soft:  m.GracefulShutdown,
	}
}

// except forgives a machine that is where it shall be.
func except(err, allowed error) error {
	if errors.Is(err, allowed) {
		return nil
	}
	return err
}

func codeFor(err error) uint8 {
	switch {
	case err == nil:
		return codeOK
	case errors.Is(err, machine.ErrPoweredOff), errors.Is(err, machine.ErrPoweredOn), errors.Is(err, machine.ErrBusy):
		return codeNotNow
	case errors.Is(err, machine.ErrInvalid):
		return codeBadField
	}
	return codeUnspecified
}
