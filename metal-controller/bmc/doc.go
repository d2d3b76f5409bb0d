// Package bmc is the port to the management controllers of servers, and the plane that talks to all of them.
//
// Layer 2: it knows no Kubernetes, no protocol and no wall clock of its own. Protocols live in
// sub-packages (bmc/redfish); bmc/drivers picks one; reconcilers see the Plane only.
//
// Invariants:
//   - Actions are level-based: "ensure on", "ensure off", "ensure that the next boot is from the network".
//     A cycle is made of observed steps by the caller. A repeated action does no harm.
//   - One worker and at most one open driver, hence one session, per BMC. A dead BMC delays nobody else.
//   - Callers never wait on a network: Submit, Ensure, Forget and Latest return at once.
//   - Nothing counts without reading back: an acknowledged action whose effect does not show ends as ErrLied. A request to the host's
//     operating system is the exception: the BMC answers for having passed it on, not for what the system does.
//   - Wrong credentials are tried at most three times in ten minutes, so that no BMC locks the account.
//   - With a pinned certificate, another certificate ends the connection before credentials are sent.
//   - A password is a Secret; it prints as REDACTED whatever the verb.
package bmc
