// Package rmcp is the IPMI 2.0 side of a fake BMC: RMCP+ over UDP in front of a machine.Machine.
//
// Layer 2: it imports machine, the faults of fakebmc and the standard library. It shares no code with Ingot's IPMI driver nor with the library
// below that, so that the two check each other; ipmitool checks this one. Sections are those of the IPMI specification v2.0, revision 1.1.
//
// What keeps it honest:
//   - It stores no power state: every answer asks the machine.
//   - A session needs cipher suite 17 or 3; a packet within one that is not signed, not encrypted or not newer than the last is dropped
//     without a word (6.12.13, 6.12.14). There are four sessions, half-open ones included. One that is idle for 60 s ends (6.12.15).
//   - A session begins with the privilege of a user; switching needs an operator (appendix G).
//   - Boot flags are cleared 60 s after they were set, unless parameter 3 says otherwise or a Chassis Control came meanwhile (28.13). That is
//     looked at whenever somebody asks. Flags for the other kind of firmware are kept, and the firmware does not heed them.
//   - Serial-over-LAN is one instance, encrypted and signed, of the session that activated it; administrators end another's. Output is repeated until it is
//     acknowledged, with what was said meanwhile appended (15.11).
//   - A request that comes a second time under its number is answered as the first time and not done again.
//   - What it misbehaves in is set through fakebmc.Faults, by a test, and is off otherwise.
//
// The log of commands is for oracles; it holds no secret.
package rmcp
