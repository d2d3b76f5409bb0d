package ipmi

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/command/transport"
	"github.com/bougou/go-ipmi/pkg/rmcpplus"
	"github.com/bougou/go-ipmi/pkg/types"

	"ingot.dev/ingot/metal-controller/bmc"
)

func testKeys(s suite) keys {
	return keys{s, bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}
}

// FuzzPackets gives the readers of datagrams any bytes. Only what was sealed with the keys is opened.
func FuzzPackets(f *testing.F) {
	const id, number = 0x01020304, 7
	message := request(&chassis.GetChassisStatusRequest{}, 1)
	for _, s := range suites() {
		for kind, payload := range map[types.PayloadType][]byte{types.PayloadTypeIPMI: message, types.PayloadTypeSOL: []byte("\x01\x00\x00\x00login: ")} {
			packet, err := testKeys(s).seal(kind, id, number, payload, make([]byte, ivSize))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(packet)
		}
	}
	f.Add(plain(types.PayloadTypeRAKPMessage2, make([]byte, 60)))
	f.Add(old(message))
	f.Add([]byte{})
	f.Add([]byte{6, 0, 0xff, 7, 6, 0xc0})
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, s := range suites() {
			for _, kind := range []types.PayloadType{types.PayloadTypeIPMI, types.PayloadTypeSOL} {
				k := testKeys(s)
				sequence, message, ok := k.open(kind, id, packet)
				if !ok {
					continue
				}
				again, err := k.seal(kind, id, sequence, message, packet[rmcpSize+headerSize:][:ivSize])
				if err != nil || !bytes.Equal(again[rmcpSize:], packet[rmcpSize:]) { // what is before is not signed (13.28.4)
					t.Fatalf("opened what was not sealed: %x", packet)
				}
			}
		}
		for _, kind := range []types.PayloadType{types.PayloadTypeRmcpOpenSessionResponse, types.PayloadTypeRAKPMessage2, types.PayloadTypeRAKPMessage4} {
			if payload, ok := unplain(kind, packet); ok && !bytes.Equal(plain(kind, payload)[rmcpSize+headerSize:], payload) {
				t.Fatalf("%x", packet)
			}
		}
		if message, ok := unold(packet); ok {
			_, _ = answerTo(&chassis.GetChassisStatusRequest{}, 1, message)
		}
	})
}

// FuzzAnswers gives everything that reads what a BMC says any bytes: a state or a classified error, never a panic.
func FuzzAnswers(f *testing.F) {
	f.Add(uint8(0), []byte{})
	f.Add(uint8(0), []byte{1, 0, 0})
	f.Add(uint8(0), []byte{1, 5, 0x80, 0x04, 0, 0, 0})
	f.Add(uint8(0xd4), []byte{1})
	f.Add(uint8(0), make([]byte, 76))
	f.Fuzz(func(t *testing.T, code uint8, data []byte) {
		var flags flags
		for _, c := range []struct {
			command  types.Request
			response types.Response
		}{
			{&chassis.GetChassisStatusRequest{}, &chassis.GetChassisStatusResponse{}},
			{&chassis.ChassisControlRequest{}, &chassis.ChassisControlResponse{}},
			{&chassis.GetSystemBootOptionsParamRequest{}, &chassis.GetSystemBootOptionsParamResponse{}},
			{&app.SetSessionPrivilegeLevelRequest{}, &app.SetSessionPrivilegeLevelResponse{}},
			{&app.CloseSessionRequest{}, &app.CloseSessionResponse{}},
			{&app.GetChannelAuthenticationCapabilitiesRequest{}, &app.GetChannelAuthenticationCapabilitiesResponse{}},
			{&app.GetSessionInfoRequest{}, &app.GetSessionInfoResponse{}},
			{&transport.ActivatePayloadRequest{}, &transport.ActivatePayloadResponse{}},
			{&transport.GetPayloadInstanceInfoRequest{}, &transport.GetPayloadInstanceInfoResponse{}},
			{&transport.GetSOLConfigParamRequest{}, &transport.GetSOLConfigParamResponse{}},
		} {
			err := read(answer{types.CompletionCode(code), data}, c.command, c.response)
			var classified *bmc.Error
			if err != nil && !errors.As(explain("fuzzing", err), &classified) {
				t.Fatalf("an error without a class: %v", err)
			}
		}
		_, _ = flags.Unpack(data), (&types.SOLConfigParam_SOLEnable{}).Unpack(data)
		for _, s := range suites() {
			rakp2, rakp4 := rmcpplus.RAKPMessage2{AuthAlg: s.auth}, rmcpplus.RAKPMessage4{AuthAlg: s.auth}
			var opened rmcpplus.OpenSessionResponse
			for _, unpack := range []func([]byte) error{rakp2.Unpack, rakp4.Unpack, opened.Unpack} {
				_ = unpack(data)
			}
			_ = s.chosen(&opened)
		}
	})
}

// TestFuzzControl: honest bytes get through, so that the fuzzing starts from answers that are read to the end.
func TestFuzzControl(t *testing.T) {
	for _, s := range suites() {
		packet, err := testKeys(s).seal(types.PayloadTypeIPMI, 5, 9, []byte("a message"), make([]byte, ivSize))
		if err != nil {
			t.Fatal(err)
		}
		if sequence, message, ok := testKeys(s).open(types.PayloadTypeIPMI, 5, packet); !ok || sequence != 9 || string(message) != "a message" {
			t.Errorf("suite %d: %d %q %v", s.id, sequence, message, ok)
		}
		if _, _, ok := testKeys(s).open(types.PayloadTypeIPMI, 6, packet); ok {
			t.Errorf("suite %d: another session's packet was opened", s.id)
		}
		if _, _, ok := testKeys(s).open(types.PayloadTypeSOL, 5, packet); ok {
			t.Errorf("suite %d: a message was opened as a console's characters", s.id)
		}
	}
	var status chassis.GetChassisStatusResponse
	if err := read(answer{types.CodeOK, []byte{1, 0, 0}}, &chassis.GetChassisStatusRequest{}, &status); err != nil || !status.PowerIsOn {
		t.Errorf("%+v %v", status, err)
	}
}
