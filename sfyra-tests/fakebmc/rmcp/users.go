package rmcp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
)

// Users and channels as a host sees them through its system interface. A login over the network depends on nothing else than these users.
const (
	userSlots = 10
	adminSlot = 2
	lan       = 1

	channelAccess = 0x41
	channelInfo   = 0x42
	putUserAccess = 0x43
	userAccess    = 0x44
	putUserName   = 0x45
	userName      = 0x46
	userPassword  = 0x47

	// Transport is the network function of LAN configuration parameters (23).
	Transport    = 0x0c
	lanParameter = 0x02

	userEnabled, userDisabled = 1, 2 // 22.27
	alwaysOn                  = 2    // 22.23
	nobody                    = 0x0f
	nameSize                  = 16
	codeWrongPassword         = 0x80 // 22.30
)

// user is one slot.
type user struct {
	name, password string
	// status is as of 22.27: 0 where nobody ever enabled or disabled it.
	status    uint8
	messaging bool
	privilege uint8
}

// ChannelAccess is who may come over the LAN channel while the host runs (22.23).
type ChannelAccess struct{ Mode, Limit uint8 }

// SetChannelAccess changes it, as a person in the BMC's set-up does.
func (b *BMC) SetChannelAccess(a ChannelAccess) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.access = a
}

// AddUser fills a slot, as a person in the BMC's set-up does.
func (b *BMC) AddUser(slot int, name, password string, privilege uint8) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users[slot] = user{name: name, password: password, status: userEnabled, messaging: true, privilege: privilege}
}

// Users are the names that are let in now, with their passwords: the truth, for oracles.
func (b *BMC) Users() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]string{}
	for _, u := range b.users {
		if u.letIn() {
			all[u.name] = u.password
		}
	}
	return all
}

// UserChanges is how many commands the host sent that change users, whatever became of them.
func (b *BMC) UserChanges() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changes
}

func (u user) letIn() bool {
	return u.status == userEnabled && u.messaging && u.name != "" && u.privilege >= User && u.privilege <= Administrator
}

// find is the slot of a user that is let in; 0 without one. The lock is held.
func (b *BMC) find(name string) int {
	for i, u := range b.users {
		if u.letIn() && u.name == name {
			return i
		}
	}
	return 0
}

// privilegeOf is the most that the session's user may do.
func (b *BMC) privilegeOf(s *session) uint8 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(string(s.user)); i != 0 {
		return min(b.users[i].privilege, b.config.Privilege)
	}
	return b.config.Privilege
}

// InBand answers a command that the host sends through its system interface, with the completion code first. The host may do everything.
func (b *BMC) InBand(netFn, cmd uint8, data []byte) []byte {
	b.turn.Lock()
	defer b.turn.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	code, answer := b.inBand(netFn, cmd, data)
	return append([]byte{code}, answer...)
}

func (b *BMC) inBand(netFn, cmd uint8, data []byte) (uint8, []byte) {
	switch {
	case netFn == Transport && cmd == lanParameter:
		return b.lanConfig(data)
	case netFn != App:
		return codeBadCommand, nil
	case cmd == deviceID:
		return b.deviceID(b.ctx, nil, data)
	case cmd == channelInfo || cmd == channelAccess:
		return b.channel(cmd, data)
	case cmd < putUserAccess || cmd > userPassword:
		return codeBadCommand, nil
	}
	return b.userCommand(cmd, data)
}

// channel is 22.24 and 22.23: one LAN channel, and the system interface.
func (b *BMC) channel(cmd uint8, data []byte) (uint8, []byte) {
	switch {
	case len(data) == 0 || cmd == channelAccess && len(data) != 2:
		return codeBadLength, nil
	case data[0]&0x0f != lan:
		return codeBadField, nil
	case cmd == channelInfo:
		return codeOK, []byte{lan, 4, 1, 0x80, 0xf2, 0x1b, 0, 0, 0}
	}
	return codeOK, []byte{0x20 | b.access.Mode, b.access.Limit}
}

// lanConfig is 23.2, of the parameters that say where the BMC is.
func (b *BMC) lanConfig(data []byte) (uint8, []byte) {
	const revision, address, source, port = 0x11, 3, 4, 8
	if len(data) != 4 {
		return codeBadLength, nil
	}
	at := b.config.Address
	ip := netip.IPv4Unspecified()
	if at.IsValid() {
		ip = at.Addr().Unmap()
	}
	switch {
	case data[0]&0x0f != lan:
		return codeBadField, nil
	case data[1] == address:
		return codeOK, append([]byte{revision}, ip.AsSlice()...)
	case data[1] == source:
		return codeOK, []byte{revision, 1}
	case data[1] == port && at.Port() != 0:
		return codeOK, binary.LittleEndian.AppendUint16([]byte{revision}, at.Port())
	}
	return codeNoParameter, nil
}

// userCommand are the commands about one user: 22.26 to 22.30.
func (b *BMC) userCommand(cmd uint8, data []byte) (uint8, []byte) {
	at := 0
	if cmd == putUserAccess || cmd == userAccess {
		at = 1
	}
	if len(data) <= at {
		return codeBadLength, nil
	}
	slot := data[at] & 0x3f
	if slot == 0 || slot > userSlots || at == 1 && data[0]&0x0f != lan {
		return codeBadField, nil
	}
	u := &b.users[slot]
	switch cmd {
	case userAccess:
		return codeOK, b.accessOf(u)
	case userName:
		return codeOK, append([]byte(u.name), make([]byte, nameSize-len(u.name))...)
	}
	b.changes++
	switch cmd {
	case putUserAccess:
		return u.allow(data)
	case putUserName:
		return b.rename(slot, data)
	}
	return u.operate(data)
}

func (b *BMC) accessOf(u *user) []byte {
	enabled := uint8(0)
	for _, other := range b.users {
		if other.status == userEnabled {
			enabled++
		}
	}
	access := u.privilege
	if u.privilege == 0 {
		access = nobody
	}
	if u.messaging {
		access |= 0x10
	}
	return []byte{userSlots, u.status<<6 | enabled, 1, access}
}

func (u *user) allow(data []byte) (uint8, []byte) {
	if len(data) < 3 {
		return codeBadLength, nil
	}
	if data[0]&0x80 != 0 {
		u.messaging = data[0]&0x10 != 0
	}
	u.privilege = data[2] & 0x0f
	return codeOK, nil
}

// rename refuses the nameless user and a name that another one has.
func (b *BMC) rename(slot uint8, data []byte) (uint8, []byte) {
	if len(data) != 1+nameSize {
		return codeBadLength, nil
	}
	name := strings.TrimRight(string(data[1:]), "\x00")
	if slot == 1 {
		return codeBadField, nil
	}
	for i, other := range b.users {
		if name != "" && i != int(slot) && other.name == name {
			return codeBadField, nil
		}
	}
	b.users[slot].name = name
	return codeOK, nil
}

// operate is Set User Password: 16 or 20 bytes, as bit 7 of the user says.
func (u *user) operate(data []byte) (uint8, []byte) {
	size := 16
	if data[0]&0x80 != 0 {
		size = 20
	}
	if len(data) < 2 || data[1]&3 >= 2 && len(data) != 2+size {
		return codeBadLength, nil
	}
	password := string(bytes.TrimRight(data[2:], "\x00"))
	switch data[1] & 3 {
	case 0:
		u.status = userDisabled
	case 1:
		u.status = userEnabled
	case 2:
		u.password = password
	default:
		if u.password != password {
			return codeWrongPassword, nil
		}
	}
	return codeOK, nil
}
