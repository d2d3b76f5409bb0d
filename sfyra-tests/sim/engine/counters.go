package engine

// counter is something that is counted, so that a fault that never happens shows.
type counter int

const (
	grantsRecorded counter = iota
	generations
	wipesBegun
	dataErased
	blankErased
	receiptsRecorded
	wipesVerified
	availableShown
	quarantinesRecorded
	acceptances
	acceptedByEvidence
	bootsStarted
	bootsClaimed
	bootsVoided
	claimsVoided
	agentsDenied
	serversRegistered
	ordersGiven
	systemsStopped
	replicasCrashed
	staleReads
	conflictsMade
	errorsMade
	timeoutsMade
	leadersTwice
	clocksJumped
	deadReadings
	ordersExpired
	commandsIgnored
	liesNoticed
	invertedReadings
	staleReadings
	powerLost
	firmwareHung
	machineRestarted
	staleViews
	secondSources
	reportsLost
	impostorsBegun
	impostorClaims
	impostorReceipts
	impostorsToldOff
	coincidences
	agentCrashed
	receiptsTwice
	receiptsLost
	disksLied
	disksFailed
	acceptsAsked
	dataConfirmed
	gitAccepts
	unaccepts
	quarantinesAsked
	liftsAsked
	pausesAsked
	powerAsked
	manifestsApplied
	serversDeleted
	disksIgnored
	storesRestored
	statusesLost
	disksAdded
	systemsInstalled
	claimsMade
	claimsBound
	claimsDeleted
	claimsMoved
	claimsForced
	claimsRemade
	clustersHeld
	configsEdited
	givenUp
	confirmedOff
	personsLied
	bindingsBegun
	bindingsEnded
	releasesRecorded
	fencesFooled
	configsReleased
	configsAgain
	configsRefused
	configsContested
	configsChanged
	configsTruncated
	configsStolen
	installsProven
	workloadsRun
	signalsLost
	signalsForged
	disksDied
	disksLost
	buttonsIgnored
	localBoots
	workloadsErased
	warmShown
	restartsOrdered
	restartsAcknowledged
	restartsForged
	wipesContradicted
	agentsFreed
	serversReused
	remediesBegun
	handmadeRun
	buttonsPressed
	foreignServers
	accountsAsked
	accountsBegun
	accountsHanded
	accountsTaken
	accountsFailed
	accountsForfeited
	accountsForged
	accountsInterrupted
	bmcsOnboarded
	usersDropped
	loginsRefused
	endAvailable
	endRunning
	endBound
	endUnbound
	endDeleting
	endWaiting
	counters
)

var counterNames = [counters]string{
	grantsRecorded: "grants", generations: "generations after the first", wipesBegun: "wipes begun", dataErased: "disks with data erased",
	blankErased: "blank disks erased", receiptsRecorded: "receipts", wipesVerified: "wipes verified", availableShown: "status writes that say Available",
	quarantinesRecorded: "quarantines", acceptances: "acceptances", acceptedByEvidence: "acceptances by evidence", bootsStarted: "boots started",
	bootsClaimed: "boots claimed", bootsVoided: "boots voided", claimsVoided: "second claims", agentsDenied: "agents denied",
	serversRegistered: "servers registered", ordersGiven: "power orders", systemsStopped: "running systems stopped", replicasCrashed: "replicas crashed",
	staleReads: "stale caches", conflictsMade: "conflicts", errorsMade: "API errors", timeoutsMade: "timeouts that succeeded",
	leadersTwice: "two leaders", clocksJumped: "clock jumps", deadReadings: "readings of dead BMCs", ordersExpired: "orders expired",
	commandsIgnored: "commands ignored by BMCs", liesNoticed: "lies of BMCs noticed", invertedReadings: "inverted readings",
	staleReadings: "stale readings", powerLost: "power losses", firmwareHung: "firmware hangs", machineRestarted: "restarts by themselves",
	staleViews: "stale boot views", secondSources: "scripts fetched twice", reportsLost: "reports of second fetches lost",
	impostorsBegun: "impostors", impostorClaims: "boots claimed by impostors", impostorReceipts: "receipts of impostors",
	impostorsToldOff: "impostors told to switch off", coincidences: "strangers believed by coincidence", agentCrashed: "agents crashed", receiptsTwice: "receipts sent twice", receiptsLost: "receipts lost",
	disksLied: "lying disks", disksFailed: "failing disks", acceptsAsked: "accepts", dataConfirmed: "disks with data confirmed", gitAccepts: "accepts by Git",
	unaccepts: "accepts taken back", quarantinesAsked: "quarantines asked", liftsAsked: "lifts asked", pausesAsked: "pauses", powerAsked: "power requests",
	manifestsApplied: "old manifests applied", serversDeleted: "servers deleted", disksIgnored: "disks ignored", storesRestored: "restores",
	statusesLost: "statuses lost", disksAdded: "disks added or swapped", systemsInstalled: "systems installed by hand", claimsMade: "claims",
	claimsBound: "claims bound", claimsDeleted: "claims deleted", claimsMoved: "claims moved away", claimsForced: "finalizers taken off by force",
	claimsRemade: "claims made again", clustersHeld: "Clusters paused or missing", configsEdited: "machine configs edited or missing", givenUp: "servers given up",
	confirmedOff: "machines confirmed off", personsLied: "machines confirmed off that were on", bindingsBegun: "bindings complete", bindingsEnded: "bindings ended",
	releasesRecorded: "releases", fencesFooled: "fences fooled by a BMC", configsReleased: "machine configs", configsAgain: "machine configs again", configsRefused: "machine configs refused",
	configsContested: "machine configs contested", configsChanged: "machine configs changed meanwhile", configsTruncated: "machine configs in part", configsStolen: "machine configs stolen",
	installsProven: "systems proven installed", workloadsRun: "systems proven to run", signalsLost: "signals lost", signalsForged: "words in the name of servers", disksDied: "disks of systems lost", disksLost: "systems installed again",
	buttonsIgnored: "power buttons ignored", localBoots: "scripts for the local disk", workloadsErased: "disks of workloads erased", warmShown: "idle servers in the agent",
	restartsOrdered: "restarts ordered of agents", restartsAcknowledged: "restarts acknowledged", wipesContradicted: "verified wipes contradicted", agentsFreed: "releases proven by an agent", serversReused: "servers reused without a wipe", remediesBegun: "power cycles begun for a workload", handmadeRun: "systems proven to run without a BMC",
	restartsForged: "restarts acknowledged by strangers", buttonsPressed: "buttons pressed",
	accountsAsked: "accounts at BMCs asked for", accountsBegun: "accounts begun", accountsHanded: "accounts handed to agents", accountsTaken: "accounts taken into use",
	accountsFailed: "accounts that failed", accountsForfeited: "accounts forfeited", accountsForged: "accounts that strangers said they set up",
	accountsInterrupted: "agents crashed between two commands to their BMC", bmcsOnboarded: "BMCs declared by Ingot", usersDropped: "users of BMCs dropped", loginsRefused: "logins refused by BMCs",
	foreignServers: "servers of another installation", endAvailable: "servers Available at the end", endRunning: "servers Running at the end", endBound: "claims bound at the end",
	endUnbound: "claims that wait at the end", endDeleting: "claims that cannot end at the end", endWaiting: "servers that wait for a named reason at the end",
}

// Counts says how often each thing happened.
type Counts [counters]int

func (w *World) count(c counter) { w.counts[c]++ }

// Add adds up the counts of several runs.
func (c *Counts) Add(other Counts) {
	for i := range c {
		c[i] += other[i]
	}
}

// Missing names what never happened.
func (c Counts) Missing() (names []string) {
	for i, n := range c {
		if n == 0 {
			names = append(names, counterNames[i])
		}
	}
	return names
}

// Each calls f for every counter in order.
func (c Counts) Each(f func(name string, n int)) {
	for i, n := range c {
		f(counterNames[i], n)
	}
}
