// Package redfish is the Redfish driver of the BMC port (DMTF DSP0266), on bmclib and gofish.
//
// Layer 2: no Kubernetes, no clock of its own, no logging.
//
// Who does what, and why not all of it is bmclib (v2.3.5):
//   - Power goes through bmclib's "gofish" provider, used directly, so no other provider is registered.
//   - The boot override goes through gofish: bmclib's reading of it drops BootSourceOverrideEnabled, so that
//     "once" and "disabled" look alike, and drops the allowed targets.
//   - Session, certificate, limits and deadlines are ours, in the http.RoundTripper below both libraries (wire).
//     bmclib takes the deadline of Open for the life of its client and ignores later contexts; it swallows errors
//     of logging out; with DEBUG_BMCLIB=true it prints requests with the password. So it is given no credentials:
//     the wire adds them, to the one host they are for.
//   - gofish v0.20.0 ends the process with a nil dereference in a goroutine of its own when a member of a
//     collection reads "null", follows links to other hosts when a path starts with "@", and follows any number
//     of pages. The wire passes only JSON objects, only to its host, and a bounded number of requests.
//
// Invariants: the password is in the login request or the Basic header and nowhere else; error texts hold no
// body of the BMC; a body is read up to 4 MiB and a request takes up to 30 s.
package redfish
