// Package clusterapi puts Cluster API beside the embedded control plane: its core in this process, certificates for webhooks without cert-manager, and the launcher
// of what clusterctl installs. Layer 4, wiring.
package clusterapi

import "ingot.dev/ingot/metal-controller/ingot/clusterapi/launcher"

// programs are what the launcher can run. A provider that is not among them is left alone.
func programs() []launcher.Program {
	return nil
}
