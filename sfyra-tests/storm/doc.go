// Package storm puts many machines, and many Servers, on a real `ingot up`.
//
// TestBenchStorm boots simulated machines at once: every one of them asks for an address over DHCP, fetches the first stage over TFTP, its script, kernel and initramfs
// over HTTP, and enrols with the agent's real session. What a machine would spend in its firmware and kernel is left out, so the storm is denser than one of real
// machines. TestBenchReplicaKilled kills one of two boot servers in the middle of it. TestBenchMany has no machines, and 10,000 Servers.
//
// Layer 5, proof. It runs in network namespaces: the program on one side of a cable or switch, all machines on the other, each with an address of its own.
//
//	go test -tags bench -run TestBenchStorm -v ./sfyra-tests/storm
package storm
