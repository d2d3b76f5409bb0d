// Package sol is the remote console's end of serial-over-LAN: what one activation of the payload says and hears, without network, keys and clock.
//
// Layer 1: pure. Time comes in as an argument, payloads as bytes; the session around them, which numbers, encrypts and signs packets, is
// package ipmi's. Sections and tables are those of the IPMI specification v2.0, revision 1.1.
//
// Invariants:
//   - One packet is under way each way (table 15-2). What was typed stays until the BMC took it, and is sent again, unchanged, until then.
//   - What the BMC sends again is shown once, and what it appended to it meanwhile too (15.11).
//   - A packet that the network delivers late changes nothing: within a session, what is older than the last of its kind is dropped.
//   - Both buffers are bounded: a full one makes Type take less, or the BMC wait ("suspend NACK", table 15-3).
package sol
