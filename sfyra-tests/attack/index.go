package main

import "strings"

// attack is one case of the proof: what is tried, and what shows how Ingot takes it.
type attack struct {
	id, what string
	// tests are "folder TestName" of those that `make attack` runs; a fuzz target runs on its corpus. None: why says what is missing.
	tests []string
	// scenarios need virtual machines: `make e2e` runs them.
	scenarios []string
	why       string
}

// in names tests of one folder.
func in(folder string, names ...string) (all []string) {
	for _, n := range names {
		all = append(all, folder+" "+n)
	}
	return all
}

// of puts tests of several folders together.
func of(lists ...[]string) (all []string) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func words(s string) []string { return strings.Fields(s) }

const (
	bmc     = "metal-controller/bmc"
	redfish = "metal-controller/bmc/redfish"
	ipmi    = "metal-controller/bmc/ipmi"
	life    = "metal-controller/lifecycle"
	wired   = "metal-controller/setup"
	desk    = "metal-controller/agentserver/desk"
	configs = "metal-controller/configserver"
	dhcp    = "pxe-server/dhcp"
	tftp    = "pxe-server/tftp"
	web     = "pxe-server/httpboot"
	site    = "pxe-server/setup"
	script  = "pxe-server/boot"
	blobs   = "boot-assets/blobs"
	here    = "sfyra-tests/attack"
)

// index has the cases T12 to T40, by their numbers. T01 to T11 are the simulator's (`make sim`).
var index = []attack{
	{id: "T12", what: "BMCs that swallow everything delay no other server", tests: in(bmc, "TestDeadOnesDelayNobody", "TestDeadBMCIsAskedLessAndLess", "TestSlowReading", "TestCallsDoNotWait")},
	{
		id: "T13", what: "power commands acknowledged and ignored, delayed, inverted", scenarios: words("TestBMCLies"),
		tests: of(in(bmc, "TestIgnoredOrdersAreLies", "TestALieEndsWhenThePowerShows", "TestOffIsAwaited", "TestActionIsDoneOnceAndReadBack"), in(wired, "TestLiesAreToldUntilThePowerShows"), in(life, "TestPace")),
	},
	{id: "T14", what: "a BMC with few sessions", scenarios: words("TestControllerKilledMidWipe"), tests: of(in(ipmi, "TestBMCSessionLimit", "TestGivesBackWhatItGaveUp"), in(redfish, "TestSessionsDoNotLeak", "TestAllSessionsTaken"))},
	{
		id: "T15", what: "wrong and rotated BMC passwords", scenarios: words("TestCredentialRotationKilled"),
		tests: of(in(bmc, "TestWrongCredentialsLockNobodyOut", "TestPasswordThatGoesBadIsNoticed"), in(redfish, "TestWrongPasswordIsOneAttempt"), in(ipmi, "TestOneTryOfThePassword", "TestRotatedPassword")),
	},
	{
		id: "T16", what: "Redfish: huge and slow bodies, nonsense, another host, another certificate",
		tests: of(in(redfish, "TestHugeBody", "TestSlowBody", "TestAnswersThatMakeNoSense", "TestNobodyElseIsAsked", "TestPinnedCertificate", "FuzzAnswers"), in(bmc, "TestOtherCertificateGetsNoCredentials")),
	},
	{
		id: "T17", what: "IPMI: weak ciphers, impostors, forged and replayed answers",
		tests: in(ipmi, "TestOnlySuites17And3", "TestNoWeakerAlgorithms", "TestImpostor", "TestForgedAnswers", "TestOldAnswersStayOld", "TestWhatIsRefusedBeforeLogin", "FuzzPackets"),
	},
	{id: "T18", what: "a BMC that ignores the order to boot from the network", scenarios: words("TestRegisterBIOSIPMI TestBMCLies"), tests: in(life, "TestAttempts", "TestScripts")},
	{id: "T19", what: "DHCP packets of a fuzzer, and real ones in between", tests: of(in(dhcp, "FuzzPacket", "FuzzProxy", "FuzzAnswering", "TestGarbageIsCounted"), in("pxe-server/dhcp6", "FuzzPacket"))},
	{id: "T20", what: "a flood of made-up DHCP clients, and of enrolments", tests: of(in(dhcp, "TestServeInFlood", "TestFloodLeavesRoom", "TestLimitPerMAC", "TestLimitOfInterface"), in(wired, "TestFlood", "TestTooManyUnaccepted"))},
	{id: "T21", what: "beside another DHCP server nobody is answered who does not boot from the network", scenarios: words("TestBootProxySeaBIOS"), tests: in(dhcp, "TestProxyAnswersOnlyPXE")},
	{
		id: "T22", what: "another DHCP server on the segment is told of", scenarios: words("TestOtherDHCPServers"),
		tests: of(in(dhcp, "TestOtherServersOnTheWire", "TestOthersJudge", "TestWatcherTells"), in(site, "TestOtherServerIsReported"), in("metal-controller/networks", "TestChangesAreTold")),
	},
	{id: "T23", what: "relays, server ids, malformed options, small replies", tests: in(dhcp, "TestRelay", "TestServeRelayed", "TestDestination", "TestReplySize", "TestMachineID", "TestHeaderOfReply", "TestRequestStates", "TestOptionOrder")},
	{id: "T24", what: "every name that is advertised is served, with its digest", tests: of(in(site, "TestT24Contract", "TestT24ContractIPv6"), in(dhcp, "TestBootMatrix"))},
	{id: "T25", what: "hostile names over TFTP and HTTP, and writes", tests: of(in(web, "TestT25Names", "TestMethods"), in(tftp, "TestHostileNames", "TestWriteIsRefused", "TestCleanName", "TestErrors", "FuzzParseRequest"), in(here, "TestRoutes"))},
	{id: "T26", what: "TFTP requests with forged sources", tests: in(tftp, "TestSessionSendsOnceBeforeFirstACK", "TestStormOfRequests", "TestStormLeavesRoom", "TestPerSourceCap", "TestRepeatedRequest")},
	{id: "T27", what: "TFTP over a lossy link, acknowledgements twice", tests: in(tftp, "TestSessionLossyLink", "TestSessionIgnoresDuplicateACKs", "TestSessionHostilePackets")},
	{
		id: "T28", what: "slow HTTP clients, large headers, ranges, unfinished messages",
		tests: of(in(web, "TestT28SlowLoris", "TestTotalConnections", "TestIncomplete", "TestRanges"), in("metal-controller/agentserver", "TestStalledMessages", "TestNoAdmission"), in(wired, "TestRefusedByHeaders", "TestReportFlood"), in(configs, "TestLimits")),
	},
	{id: "T29", what: "values of machines in boot scripts and kernel lines", scenarios: words("TestHostileStrings"), tests: of(in(script, "TestT29Kernel", "TestT29OSKernel", "TestT29Text", "TestT29Words", "FuzzText"), in(web, "TestT29Query", "FuzzParseQuery"))},
	{
		id: "T30", what: "one flipped byte in a boot file", scenarios: words("TestTamperedAsset"),
		tests: of(in(web, "TestT30FlippedByte"), in("boot-assets/cache", "TestOneFlippedByte"), in(blobs, "TestFlippedInCache", "TestFlippedInSource"), in(site, "TestDamagedImage", "TestTamperedAsset")),
	},
	{
		id: "T31", what: "hostile sources of boot files: other schemes, the link's addresses, redirects, floods, paths that lead out",
		tests: of(in(blobs, "TestHostileSources", "TestRedirects", "TestDrips"), in("boot-assets/web", "TestDialedAddresses", "TestRedirectToThisMachine", "TestRedirectOfAPost"),
			in("boot-assets/factory", "TestHostile", "TestRedirects"), in("boot-assets/initramfs/debian", "TestFetchedTraversalIsRefused", "TestIndexTarRefuses"), in("sfyra-tests/api", "TestValidation")),
	},
	{
		id: "T32", what: "every call of every protocol with no identity, a wrong one, another's, an expired, a replayed and a revoked one", scenarios: words("TestAgentImpostor"),
		tests: of(in(here, "TestAgentCalls", "TestSiteCalls", "TestEventSinkCalls", "TestCallsAreComplete", "TestUnknownCalls"), in(wired, "TestProvenBoot", "TestImpostor", "TestRenew", "TestDeletedServer", "TestAcceptedWithoutBMC")),
	},
	{id: "T33", what: "a claim and a capability redeemed by many at once", tests: of(in(desk, "TestClaimants", "TestManyClaimants", "TestLostRace", "TestReceiptRace"), in(configs, "TestRace"), in(wired, "TestOneMachineManyEnrolments"))},
	{
		id: "T34", what: "a neighbour with the victim's UUID and MAC; UUIDs of zeroes and of many", scenarios: words("TestDuplicateUUID TestAgentImpostor"),
		tests: of(in(wired, "TestDuplicateUUID", "TestStolenIdentity", "TestUnprovenAndAccepted"), in("metal-controller/identity", "TestTable"), in("metal-controller/sightings", "TestConflicts"), in(script, "TestDecideConflict")),
	},
	{
		id: "T35", what: "a machine config twice, out of its window, from another address", scenarios: words("TestConfigCapability TestConfigSniffed"),
		tests: of(in(configs, "TestFetch", "TestContested", "TestRace", "TestAfterInstalled", "TestClosed", "TestChanged", "TestCapability", "TestSignalCapability", "TestPlain"), in(web, "TestOSSecondSource")),
	},
	{id: "T36", what: "forged TPM keys, quotes and logs", why: "trust level 3 (TPM) is planned: nothing takes a quote yet"},
	{
		id: "T37", what: "hostile inventories", scenarios: words("TestHostileStrings"),
		tests: of(in(here, "TestHostileFields"), in(wired, "TestHostileInventory"), in("metal-controller/agentserver/claims", "FuzzInventory", "FuzzEvidence", "TestText"), in("agent/inventory", "TestHostileHardware", "FuzzClean")),
	},
	{
		id: "T38", what: "power cut at each step of a wipe, disks that refuse, disks that are not in the grant", scenarios: words("TestControllerKilledMidWipe TestUnacceptedIsNeverTouched TestDataNeedsAPerson"),
		tests: of(in("agent/wipe", "TestPowerLossAtEachStep", "TestFaults", "TestNoReceiptWithoutProof", "TestOnlyDisksOfTheGrant", "TestHangingDisks"), in(life, "TestReceipts", "TestGrants", "TestHandOut"), in(desk, "TestReceipt", "TestSharedDisk")),
	},
	{
		id: "T39", what: "a tenant: other namespaces, oversized values, fields that are Ingot's",
		tests: of(in(here, "TestFields", "TestFieldsAreComplete", "TestFieldsAreBounded", "TestStatusIsIngots"), in("sfyra-tests/api", "TestReferencesHaveNoNamespace", "TestBinding", "TestRecordIsIngots", "TestInventoryIsIngots", "TestServerValidation")),
	},
	{
		id: "T40", what: "canary secrets: in no log, event, status, metric, answer or bundle", scenarios: words("TestClaimToRunning"),
		tests: of(in(configs, "TestCanary"), in(bmc, "TestSecretStaysSecret"), in(redfish, "TestDebuggingTheLibraryShowsNoSecret"), in("metal-controller/signals", "TestTokenNeverLeaves", "TestRedaction"),
			in("metal-controller/machineconfig", "TestResultHides"), in("metal-controller/capability", "TestKeyHides"), in("metal-controller/accounts", "TestPasswords"), in("metal-controller/talos", "TestSecretsHide"), in(script, "TestOSHides")),
	},
}
