package fakebmc

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Fault is how a BMC misbehaves. The zero value is an honest one.
type Fault struct {
	// Dead: connections are taken and nothing is ever answered.
	Dead bool
	// Latency delays every answer.
	Latency time.Duration
	// Status answers every authenticated request with this status and does nothing. 0: off.
	Status int
	// IgnorePower acknowledges power orders and does nothing.
	IgnorePower bool
	// IgnoreBoot acknowledges boot overrides and does nothing.
	IgnoreBoot bool
	// NoPxe: the firmware offers network boot over HTTP alone. IgnoreURI acknowledges an HttpBootUri and keeps another. Redfish only.
	NoPxe, IgnoreURI bool
	// NoMedia: it has no virtual media. IgnoreMedia acknowledges what is inserted and ejected and does nothing. MediaByPatch: its drive has no actions, and Image and
	// Inserted are written. MediaWantsProtocol refuses an InsertMedia without TransferProtocolType. Redfish only.
	NoMedia, IgnoreMedia, MediaByPatch, MediaWantsProtocol bool
	// NoShutdown: GracefulShutdown is neither offered nor taken.
	NoShutdown bool
	// Inverted reports a host that is on as off and the other way round. Orders do what they say.
	Inverted bool
	// FlagsExpire: a boot override is cleared FlagTime after it was set, unless a power order came meanwhile, and nobody can switch that off.
	FlagsExpire bool
	// RefuseKeys: serial-over-LAN takes nothing of what is typed; TakeKeys it takes so many characters of a packet and refuses the rest, 0 for all.
	RefuseKeys bool
	TakeKeys   int
	// Garbage: answers make no sense. Within an IPMI session they are signed as they should be.
	Garbage bool
	// Full: others have all sessions. A login finds no room, and who had a session has it no longer. Basic authentication needs none.
	Full bool
	// Rotated: the account has another password than the one of Config, and what was let in with that has ended.
	Rotated bool
	// Swapped: Redfish shows another certificate, and connections from before are dropped. IPMI has none.
	Swapped bool
}

// FlagTime is how long boot flags last that expire (IPMI v2.0, 28.13: 60 s +/- 10 %).
const FlagTime = time.Minute

// EndsSessions says that no session from before is good any more.
func (f Fault) EndsSessions() bool { return f.Full || f.Rotated }

// Faults is the port through which a test makes a BMC misbehave. It may be shared by many BMCs.
type Faults struct {
	mu  sync.Mutex
	now Fault
}

// Set replaces the fault; requests under way keep theirs.
func (f *Faults) Set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = fault
}

// Get is the present fault.
func (f *Faults) Get() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

var errDead = errors.New("bmc is dead")

// Hang waits out Dead and Latency, as every protocol of a BMC does before it answers. It fails when the client or the BMC went away meanwhile.
func (f *Faults) Hang(client, bmc context.Context) error {
	fault := f.Get()
	if !fault.Dead && fault.Latency == 0 {
		return nil
	}
	var late <-chan time.Time
	if !fault.Dead {
		timer := time.NewTimer(fault.Latency)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-late:
		return nil
	case <-client.Done():
	case <-bmc.Done():
	}
	return errDead
}
