// Package lifecycle decides everything about one server: Decide takes what was observed and returns what shall be.
//
// It is pure (layer 1): the standard library, the API types and the list of reasons; no I/O, clock, randomness or logging. Decide is
//   - total: every combination of inputs has an answer, and none of them panics;
//   - deterministic: the same observation gives the same plan;
//   - modest: a plan holds at most one external action, and none for a server that another installation manages.
//
// Status is never an input that permits something: with all of status cleared, the plan holds no action that it did not hold before
// (DESIGN section 5). What cannot be observed again lives in the record, and a record is written before its action is begun.
package lifecycle

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Observation is all that a decision rests on. Decide reads it and keeps no pointer into it.
type Observation struct {
	// Now is the clock of the caller.
	Now time.Time
	// Installation is the random id of this installation.
	Installation string
	// Server with its spec, record and last status.
	Server *metal.Server
	// Inventory is nil until an agent reported.
	Inventory *metal.ServerInventorySpec
	// Power is the latest answer of the BMC.
	Power PowerReading
	// Agent is the session of the server's agent; nil when none is connected.
	Agent *AgentSession
	// AgentHeard is when the agent that waits on a server without a BMC was last heard by anybody, by the clock of Now.
	AgentHeard time.Time
	// ConflictsWith names the other Servers that the same evidence points to.
	ConflictsWith []string
	// NewID is random and was never used before: whatever this decision begins gets it.
	NewID string
	// Elsewhere maps the WWID of a disk to another Server that shows it too. Such disks are shared, and nobody's own.
	Elsewhere map[string]string
	// Budget of destructive actions.
	Budget Budget
	// DryRun withholds every grant.
	DryRun bool
	// Claim is what was read of the claim that the record names.
	Claim ClaimView
	// Warm says that the server's class lets it wait in the agent while it is Available.
	Warm bool
	// Erased is the id of the wipe whose signed erase record was published; empty when none was.
	Erased string
	// Passport is what goes with the server to another API server, or came with it.
	Passport PassportView
	// Account is what is known of Ingot's own account at the BMC; the zero value where the record names none.
	Account AccountView
	// Unserved is why the machine does not get the boot that was chosen for it: AgentImageMissing, and UnservedArch its architecture. Empty when it does, or nobody
	// knows. Whoever is on the network can forge it, so it changes words alone.
	Unserved, UnservedArch string
}

// Budget limits destructive actions (rule 6 of DESIGN section 3).
type Budget struct {
	// Granted counts the wipes that were granted in the last hour, on all servers.
	Granted int
	// Limit is how many may be.
	Limit int
}

// PowerReading is what the BMC last said, classified.
type PowerReading struct {
	// State is meaningful only when Reason is reasons.BMCAnswers.
	State metal.PowerState
	// At is when the BMC was asked for the state that it told last; zero when it never told one.
	At time.Time
	// Reason is BMCAnswers, or why there is no reading that can be believed. Empty means that nobody asked yet.
	Reason string
	// Message explains Reason for people; it holds no secret and no changing number.
	Message string
	// Pending is the id of the action that the BMC plane still has to do; empty when it has none.
	Pending string
	// Done is the id of the last action that the BMC plane ended with success: ordered, and read back afterwards.
	Done string
	// CommandAt is when the last power command ended; zero when this process ended none.
	CommandAt time.Time
	// Media says that the image of spec.bmc.virtualMediaURI is in a drive of the BMC.
	Media bool
	// Network explains for people why the BMC could not be told to boot the machine from the network the last time; empty when it could.
	Network string
	// PinSeen is the SHA-256 of the certificate that the BMC showed, lower-case hexadecimal; empty when it showed none.
	PinSeen string
}

// AgentSession is a connected agent.
type AgentSession struct {
	// BootID of the boot that it runs in.
	BootID string
}

// ActionKind is what shall be done outside of the API.
type ActionKind string

// The actions. Each is idempotent: it ensures a state, and doing it twice is harmless.
const (
	// NoAction leaves the machine alone.
	NoAction ActionKind = ""
	// EnsurePowerOn makes the BMC switch the machine on unless it is on.
	EnsurePowerOn ActionKind = "EnsurePowerOn"
	// EnsurePowerOnFromNetwork does the same, and lets a machine that is off boot from the network this once, whatever its firmware's order says.
	EnsurePowerOnFromNetwork ActionKind = "EnsurePowerOnFromNetwork"
	// EnsurePowerOff makes the BMC switch the machine off unless it is off.
	EnsurePowerOff ActionKind = "EnsurePowerOff"
	// EnsureShutdown makes the BMC ask the operating system of a machine that is on to switch it off. It is done when the BMC passed that on: the system may
	// take minutes, or never follow.
	EnsureShutdown ActionKind = "EnsureShutdown"
	// PublishErase writes the signed erase record of the wipe that the record holds.
	PublishErase ActionKind = "PublishErase"
	// WritePassport fills in the passport of a server that was let go.
	WritePassport ActionKind = "WritePassport"
	// EmptyPassport takes out what is in the passport of a server that is taken back, so that no later move carries it along.
	EmptyPassport ActionKind = "EmptyPassport"
	// ReadPower asks the BMC now, rather than at its next turn. It changes nothing.
	ReadPower ActionKind = "ReadPower"
	// EjectMedia takes the image of spec.bmc.virtualMediaURI, and no other, out of the BMC's drive.
	EjectMedia ActionKind = "EjectMedia"
	// WithdrawPower takes back a power command that has not begun: nobody wants it any more.
	WithdrawPower ActionKind = "WithdrawPower"
)

// Action is the one thing to do. An id is done once: another try has another id.
type Action struct {
	Kind ActionKind
	ID   string
}

// Plan is the answer.
type Plan struct {
	// State for people, computed last.
	State metal.ServerState
	// Action to do after Record is written.
	Action Action
	// Record as it shall be; nil leaves it as it is.
	Record *metal.ServerRecord
	// BMC as spec.bmc shall be, written together with Record; nil leaves it as it is.
	BMC *metal.BMC
	// Accepted says that spec.accepted is set, together with Record: the yes came with the server.
	Accepted bool
	// Boot is what the machine shall get when it netboots next.
	Boot metal.BootStatus
	// Power to show; nil shows none.
	Power *metal.PowerStatus
	// Pending is the action under way; nil when none is.
	Pending *metal.PendingAction
	// Taken says that Record makes this installation the one that manages the server: nothing else is planned, and what came with the server is put in place first.
	Taken bool
	// Disks as they are judged.
	Disks []metal.DiskStatus
	// Granted says that Record holds a grant that the budget has to be asked for again, with all other servers locked out.
	Granted bool
	// Summary of the inventory; nil without one.
	Summary *metal.InventorySummary
	// Conditions of the server, all of them, in a fixed order.
	Conditions []Condition
	// Events for the timeline, at most one for each condition that changed.
	Events []Event
	// Silent says that status is not to be written: the installation that manages the server shows it, and two that share an API would write over each other
	// without end.
	Silent bool
	// After is when to decide again even if nothing changes; 0 waits for a change.
	After time.Duration
	// Report says what each check found, for `ingot why`, logs and tests.
	Report []Check
}

// Condition is one condition without its times, which the caller keeps.
type Condition struct {
	Type    string
	Status  Status
	Reason  string
	Message string
}

// Status of a condition: True, False or Unknown.
type Status string

// The three answers of a condition.
const (
	True    Status = "True"
	False   Status = "False"
	Unknown Status = "Unknown"
)

// Event is one line of the server's timeline.
type Event struct {
	// Warning is for what a person should look at.
	Warning bool
	Reason  string
	Message string
}

// Check is one line of the report.
type Check struct {
	// Name of the check.
	Name string
	// Reason that it found.
	Reason string
	// Waiting says that the server waits here for somebody.
	Waiting bool
}

// check is one link of the chain. It reads the observation and what earlier links planned, and adds its own part.
type check struct {
	name string
	run  func(*Observation, *Plan)
}

// chain lists the checks in order; later ones may rely on what earlier ones planned.
func chain() []check {
	return []check{
		{"ownership", ownership},       // only one installation acts on a server
		{"identity", identity},         // evidence names one Server
		{"registration", registration}, // an agent reported the hardware
		{"cabling", cabling},           // the cables are where they shall be
		{"bmc", bmcReachable},          // the BMC answers and can be believed
		{"binding", binding},           // both sides of a claim
		{"release", release},           // a claim that ended: off, proven, and only then forgotten
		{"acceptance", acceptance},     // the operator's yes becomes a record
		{"quarantine", quarantine},     // a person's one-time wish
		{"wipe", wipe},                 // judge a receipt, grant a wipe
		{"power", powerRequest},        // a person's one-time wish
		{"expected", expectedBoot},     // the boot that trust rests on
		{"stale", dropStale},           // commands that nobody wants any more
		{"account", bmcAccount},        // Ingot's own account at the BMC
		{"media", spareMedia},          // our image leaves the drive
		{"hand-over", handOver},        // another installation is to act on the server
		{"provisioned", provisioned},   // how the workload fares
		{"released", released},         // how giving back fares
		{"schedulable", schedulable},   // cordoned, quarantined, paused
		{"boot", bootTarget},           // what the machine gets when it netboots
		{"state", state},               // for people
		{"ready", ready},               // sums up
		{"events", events},             // what changed
	}
}

// Decide is the whole brain: what shall be, out of what was observed.
func Decide(o Observation) Plan {
	if o.Server == nil {
		return Plan{}
	}
	var p Plan
	for _, c := range chain() {
		if c.run(&o, &p); p.Taken { // everything else is judged by the new record
			return Plan{Record: p.Record, BMC: p.BMC, Accepted: p.Accepted, Taken: true, Silent: true, After: time.Second, Report: []Check{{Name: c.name, Reason: reasons.HandedOver}}}
		}
	}
	if foreign(&o) && shownByOwner(&o) {
		p.Silent, p.Events = true, nil
	}
	return p
}

// set adds a condition and its line of the report.
func (p *Plan) set(typ string, status Status, reason, message string) {
	p.Conditions = append(p.Conditions, Condition{Type: typ, Status: status, Reason: reason, Message: message})
	p.Report = append(p.Report, Check{Name: typ, Reason: reason, Waiting: status != True})
}

// condition finds a condition that was set before.
func (p *Plan) condition(typ string) Condition {
	for _, c := range p.Conditions {
		if c.Type == typ {
			return c
		}
	}
	return Condition{}
}

// again asks for another decision within d; the soonest wish wins.
func (p *Plan) again(d time.Duration) {
	d = max(d, time.Second)
	if p.After == 0 || d < p.After {
		p.After = d
	}
}

// record is the record as planned so far, never nil and never the caller's: it may be changed, and planned.
func (p *Plan) record(o *Observation) *metal.ServerRecord {
	if p.Record != nil {
		return p.Record
	}
	return recorded(o).DeepCopy()
}

// present is the record as planned so far, never nil, to be read only: it may be the caller's.
func (p *Plan) present(o *Observation) *metal.ServerRecord {
	if p.Record != nil {
		return p.Record
	}
	return recorded(o)
}

// recorded is the record as it is, never nil.
func recorded(o *Observation) *metal.ServerRecord {
	if r := o.Server.Spec.Record; r != nil {
		return r
	}
	return &metal.ServerRecord{}
}
