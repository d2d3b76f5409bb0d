// Package ipmi is the IPMI 2.0 driver of the BMC port: RMCP+ over UDP, on the message and crypto packages of go-ipmi.
//
// Layer 2: no Kubernetes, no logging. The sections named in this package are those of "IPMI - Intelligent Platform Management
// Interface Specification, Second Generation, v2.0", revision 1.1 with its errata.
//
// Who does what, and why the session is not go-ipmi's own client (v0.9.0, pkg/client):
//   - Messages, cipher suites and key derivation are go-ipmi's: rmcpplus, crypto, types, command/*.
//   - Its client does not check the integrity of what a BMC answers, takes an unauthenticated answer within a session, and goes on
//     with whatever algorithms the BMC names, "none" included. Ours takes only what it asked for and only what is signed.
//   - Its client decrypts before it checks, in a goroutine of its own, and crypto.DecryptAES panics over a length that is no
//     multiple of 16: one forged datagram would end the process. Ours checks the signature, then the length, then decrypts.
//   - Its client repeats a lost request under the sequence number of the first, which a BMC has to drop as a duplicate (6.12.13).
//     Ours repeats the message under a new one.
//   - Its client leaves what it half opened to the BMC's time-outs. BMCs have four sessions or so; ours gives each back.
//
// Invariants:
//   - One session per driver, kept and reused; Close ends it. A session that is given up is told so before the next is opened.
//   - Cipher suite 17, then 3; none without authentication, integrity and confidentiality is ever proposed or accepted (13.17).
//   - The password is used to compute and never sent. Nothing computed from it goes out before the BMC has proved that it knows it
//     (RAKP message 2), so that an impostor learns nothing to guess at. What IPMI cannot mend: a BMC hands such a proof to
//     everybody who knows a user name, before any check; keep BMCs on a network of their own.
//   - A console (section 15) has a session of its own, since a payload belongs to the session that activated it. Its loop alone uses that session and socket;
//     what is said on the line is package sol's to decide. It ends the payload only where the BMC says that it is ours.
//   - Everything that is waited for has a bound, and ends with its context.
package ipmi
