package ipmi

import (
	"github.com/bougou/go-ipmi/pkg/types"
)

// maxSequence is the last of the six bits that number a request (13.8).
const maxSequence = 0x3f

// request is the message of a command to the BMC (13.8, table 13-8): from the remote console's software ID 81h to the BMC's address 20h.
func request(command types.Request, sequence uint8) []byte {
	r := &types.IPMIRequest{
		ResponderAddr: types.BMC_SA, NetFn: command.Command().NetFn, ResponderLUN: uint8(types.IPMB_LUN_BMC),
		RequesterAddr: types.RemoteConsole_SWID, RequesterSequence: sequence, Command: command.Command().ID, CommandData: command.Pack(),
	}
	r.ComputeChecksum()
	return r.Pack()
}

// answer is what a BMC said to one command.
type answer struct {
	code types.CompletionCode
	data []byte
}

// answerTo reads a message that answers the request: both checksums hold, and function, number and command are those asked for.
func answerTo(command types.Request, sequence uint8, message []byte) (answer, bool) {
	const shortest = 8
	n := len(message)
	if n < shortest || sum(message[:3]) != 0 || sum(message[3:]) != 0 {
		return answer{}, false
	}
	asked := command.Command()
	if message[1]>>2 != uint8(asked.NetFn)|1 || message[4]>>2 != sequence || message[5] != asked.ID {
		return answer{}, false
	}
	return answer{code: types.CompletionCode(message[6]), data: message[7 : n-1]}, true
}

// sum is the checksum of 13.8: with it, the bytes add up to 0.
func sum(b []byte) (total uint8) {
	for _, x := range b {
		total += x
	}
	return total
}
