// Package httpboot is the HTTP server that machines boot from: the first stage, one script per machine, iPXE and the agent image (layer 2).
//
// The boot segment is plain by nature, so nothing here is secret and nothing here is believed.
//
//   - Only exact names are served: the request line is looked up as it came, so that "..", escapes and other spellings name nothing.
//   - Of the files that Environments name only those are served that the controller's view names at that moment, by digest: nobody can list or guess them.
//   - What a script of an OS boot holds reaches one address, and neither log nor event: it is the capability for a machine config.
//   - A file leaves only after its digest was proven (boot-assets/cache). Scripts are rendered by pxe-server/boot, which refuses what would inject.
//   - Every source is limited: connections, scripts per second, header size, time. What a machine says of itself is cut and cleaned first.
//   - What machines did is told to the controller as hints, through a bounded queue that drops and counts.
package httpboot
