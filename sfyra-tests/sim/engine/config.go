package engine

import "time"

// Config says what a run is like. The zero value is a run of 2 to 8 servers with the seed's own kinds.
type Config struct {
	// Servers is how many machines there are; 0 lets the seed choose 2 to 8.
	Servers int
	// Enable and Disable change the kinds that the seed chose.
	Enable, Disable Set
	// Chaos is how long faults and gestures go on, in virtual time; 0 is an hour.
	Chaos time.Duration
	// SkipGestures leaves gestures out by their number.
	SkipGestures map[int]bool
	// Forgers lets strangers tell, in the name of any server, what a Talos tells of itself.
	Forgers bool
	// Sabotage breaks the product on purpose; nil leaves it alone.
	Sabotage *Sabotage
	// Trace keeps a line for each event.
	Trace bool
	// Progress hears how far virtual time is, before each event; nil hears nothing. It must not block for long, and cannot change a run.
	Progress func(now time.Duration)
}

// Result is what came of a run.
type Result struct {
	Seed    uint64
	Config  Config
	Servers int
	Kinds   Set
	// Violation is nil when every rule held.
	Violation *ViolationError
	Counts    Counts
	// Steps are reconciles, Writes are writes to the API, Gestures is how many gestures there were.
	Steps, Writes, Gestures int
	// Virtual is how long the run took in virtual time.
	Virtual time.Duration
	// Trace is one line for each event; empty unless it was asked for.
	Trace []string
}
