package ipmi

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/rmcpplus"
	"github.com/bougou/go-ipmi/pkg/types"

	"ingot.dev/ingot/metal-controller/bmc"
)

const (
	// maxUser and maxPassword are what RAKP has room for (13.20; 22.30: 20 bytes of password in IPMI 2.0).
	maxUser     = 16
	maxPassword = 20
	// nameOnly asks the BMC to look the user up by name alone, not by name and privilege (13.20).
	nameOnly = true
	// privilege is what switching and boot options need (appendix G: operator). An account that may do more gets no more from us, but for a console
	// that the BMC lets administrators only have.
	privilege = types.PrivilegeLevelOperator
)

// Probing is the Doing of an error about the first, anonymous question.
const Probing = "asking for IPMI"

// probe asks what the BMC speaks, without credentials (22.13). Nothing about safety rests on the answer, which anybody can forge.
func (d *driver) probe(ctx context.Context) error {
	command := &app.GetChannelAuthenticationCapabilitiesRequest{IPMIv20Extended: true, ChannelNumber: types.ChannelNumberSelf, MaximumPrivilegeLevel: privilege}
	message := old(request(command, 0))
	got, err := d.exchange(ctx, d.pace.waits, command, 0, func() ([]byte, error) { return message, nil }, unold)
	if err != nil {
		return err
	}
	var can app.GetChannelAuthenticationCapabilitiesResponse
	if err := read(got, command, &can); err != nil {
		return err
	}
	switch {
	case !can.SupportIPMIv20:
		return bmc.Fail(bmc.ErrUnsupported, "", "it speaks IPMI 1.5, whose sessions are not safe; Ingot needs IPMI 2.0, update its firmware or use Redfish")
	case can.KgStatus:
		return bmc.Fail(bmc.ErrUnsupported, "", "it has a BMC key (K_g) beside its passwords; set that key to zeros, as it is by default")
	}
	return nil
}

// login opens a session: the best suite that the BMC has, then the privilege that orders need.
func (d *driver) login(ctx context.Context) error {
	for _, s := range suites() {
		agreed, err := d.try(ctx, s)
		if err == nil {
			return d.raise(ctx)
		}
		if status, ok := statusOf(err); !ok || !unknownSuite(status) || agreed {
			return err
		}
	}
	return bmc.Fail(bmc.ErrUnsupported, "", "it has neither cipher suite 17 nor 3; enable one of them, the others are not safe")
}

// try goes through the four messages of 13.15 with one suite. agreed says that the BMC took the suite, so that another is no remedy.
func (d *driver) try(ctx context.Context, s suite) (agreed bool, err error) {
	h := handshake{driver: d, suite: s, role: uint8(d.level) | 0x10}
	var random [4]byte
	_, _ = rand.Read(random[:])
	h.consoleID = binary.LittleEndian.Uint32(random[:]) | 1 // never 0
	_, _ = rand.Read(h.consoleRandom[:])
	if err := h.openSession(ctx); err != nil {
		return false, err
	}
	if err := h.first(ctx); err != nil {
		h.giveUp(err)
		return true, err
	}
	err = h.second(ctx)
	d.session = h.session()
	if err != nil {
		d.abandon() // the BMC may have taken it for open
	}
	return true, err
}

// raise asks for the privilege that orders need; a session begins as a user's (22.18). An account without it is told apart from a wrong password.
func (d *driver) raise(ctx context.Context) error {
	command := &app.SetSessionPrivilegeLevelRequest{PrivilegeLevel: d.level}
	var level app.SetSessionPrivilegeLevelResponse
	err := d.command(ctx, command, &level)
	if err == nil && types.PrivilegeLevel(level.PrivilegeLevel&0x0f) != d.level {
		err = noRight("")
	}
	if err != nil {
		_ = d.closeSession(context.WithoutCancel(ctx), d.pace.farewell) // the first failure is the one to tell
	}
	return err
}

// handshake is a session that is being opened.
type handshake struct {
	*driver
	suite            suite
	role             uint8
	consoleID, bmcID uint32
	consoleRandom    [16]byte
	bmcRandom, guid  []byte
	sik, k1, k2      []byte
}

// setup sends one of the messages and reads the answer of its kind, tag and session ID.
func (h *handshake) setup(ctx context.Context, kind, wanted types.PayloadType, payload []byte, id uint32, accept func([]byte) error) error {
	const shortest = 8 // tag, status, privilege or reserved, reserved, console session ID
	packet := plain(kind, payload)
	var failure error
	err := h.wire.ask(ctx, h.pace.waits, func() ([]byte, error) { return packet, nil }, func(datagram []byte) bool {
		got, ok := unplain(wanted, datagram)
		if !ok || len(got) < 2 || got[0] != payload[0] {
			return false
		}
		if got[1] != 0 {
			failure = rejected(types.RmcpStatusCode(got[1])) // a rejection need not say whose session it is about: ipmi_sim's ends here
			return true
		}
		if len(got) < shortest || binary.LittleEndian.Uint32(got[4:]) != id {
			return false
		}
		if accept(got) != nil {
			failure = senseless(nil)
		}
		return true
	})
	if err != nil {
		return err
	}
	return failure
}

// openSession agrees on a suite and exchanges names for the session (13.17, 13.18).
func (h *handshake) openSession(ctx context.Context) error {
	const tag = 1
	var got rmcpplus.OpenSessionResponse
	proposal := h.suite.propose(tag, h.consoleID).Pack()
	if err := h.setup(ctx, types.PayloadTypeRmcpOpenSessionRequest, types.PayloadTypeRmcpOpenSessionResponse, proposal, h.consoleID, got.Unpack); err != nil {
		return err
	}
	if !h.suite.chosen(&got) || got.ManagedSystemSessionID == 0 {
		return bmc.Fail(bmc.ErrUnsupported, "", "it chose other algorithms than the ones it was asked for")
	}
	h.bmcID = got.ManagedSystemSessionID
	return nil
}

// first exchanges random numbers; by its answer the BMC proves that it knows the password (13.20, 13.21).
func (h *handshake) first(ctx context.Context) error {
	const tag = 2
	name := []byte(h.target.Username)
	message := rmcpplus.RAKPMessage1{
		MessageTag: tag, ManagedSystemSessionID: h.bmcID, RemoteConsoleRandomNumber: h.consoleRandom, NameOnlyLookup: nameOnly,
		RequestedMaximumPrivilegeLevel: h.level, UsernameLength: uint8(len(name)), Username: name,
	}
	got := rmcpplus.RAKPMessage2{AuthAlg: h.suite.auth}
	if err := h.setup(ctx, types.PayloadTypeRAKPMessage1, types.PayloadTypeRAKPMessage2, message.Pack(), h.consoleID, got.Unpack); err != nil {
		return err
	}
	h.bmcRandom, h.guid = got.ManagedSystemRandomNumber[:], got.ManagedSystemGUID[:]
	want, err := crypto.RAKP2AuthCode(h.suite.auth, h.consoleID, h.bmcID, h.consoleRandom[:], h.bmcRandom, h.guid, h.role, h.target.Username, h.password())
	if err != nil || !hmac.Equal(want, got.KeyExchangeAuthenticationCode) {
		return wrongPassword()
	}
	return nil
}

// second proves the same of us, and checks that both sides made the same keys (13.22, 13.23).
func (h *handshake) second(ctx context.Context) error {
	const tag = 3
	var err error
	h.sik, h.k1, h.k2, err = crypto.DeriveSessionKeys(h.suite.auth, h.consoleRandom[:], h.bmcRandom, h.role, h.target.Username, h.password())
	if err != nil {
		return err
	}
	proof, err := crypto.RAKP3AuthCode(h.suite.auth, h.bmcRandom, h.consoleID, h.role, h.target.Username, h.password())
	if err != nil {
		return err
	}
	message := rmcpplus.RAKPMessage3{MessageTag: tag, ManagedSystemSessionID: h.bmcID, KeyExchangeAuthenticationCode: proof}
	got := rmcpplus.RAKPMessage4{AuthAlg: h.suite.auth}
	if err := h.setup(ctx, types.PayloadTypeRAKPMessage3, types.PayloadTypeRAKPMessage4, message.Pack(), h.consoleID, got.Unpack); err != nil {
		return err
	}
	want, err := crypto.RAKP4ICV(h.suite.auth, h.consoleRandom[:], h.bmcID, h.guid, h.sik)
	if err != nil || !hmac.Equal(want, got.IntegrityCheckValue) {
		return wrongPassword()
	}
	return nil
}

// giveUp lets the BMC drop what is half open, by a RAKP message 3 that says so (13.22). Otherwise it is kept until it times out.
func (h *handshake) giveUp(why error) {
	if _, told := statusOf(why); told {
		return // the BMC ended it itself
	}
	message := rmcpplus.RAKPMessage3{MessageTag: 3, RmcpStatusCode: types.RmcpStatusCodeInvalidIntegrityCheckValue, ManagedSystemSessionID: h.bmcID}
	h.wire.tell(plain(types.PayloadTypeRAKPMessage3, message.Pack()))
}

func (h *handshake) session() *session {
	return &session{keys: keys{h.suite, h.k1, h.k2}, consoleID: h.consoleID, bmcID: h.bmcID}
}

// password is K_uid, the password with zeros up to 20 bytes (13.31).
func (h *handshake) password() []byte {
	return crypto.PadPassword20([]byte(h.target.Password.Reveal()))
}
