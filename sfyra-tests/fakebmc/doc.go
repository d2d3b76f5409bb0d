// Package fakebmc is an honest Redfish BMC for a virtual server: HTTPS with a certificate of its own, Basic
// authentication and sessions, in front of a machine.Machine.
//
// Layer 2: it imports machine, the standard library and a WebSocket library; it knows no rack and no controller.
//
// What keeps it honest:
//   - It stores no power state: every answer asks the machine. "On" answers once the machine is up.
//   - What makes no sense in the present state is refused with 409 and changes nothing.
//   - A graceful shutdown leaves the state On until the guest has ended.
//   - The boot override is the machine's; "Once" disappears when a start consumed it.
//   - Everything but /redfish and /redfish/v1/ needs credentials; only creating a session brings its own.
//   - What it misbehaves in is set through Faults, by a test or by name (Kinds), and is off otherwise.
//
// The request log is for oracles; it never holds a password, a token or a body.
package fakebmc
