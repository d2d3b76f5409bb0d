package proof

import (
	"context"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// givenBack is the Talos of a server that is given back, if only that can restart its machine.
func givenBack(server *metal.Server) (subject, bool) {
	if !lifecycle.RestartsItself(server) {
		return subject{}, false
	}
	i, address := server.Spec.Record.Installed, addressOf(server)
	return subject{binding: i.BindingID, boot: i.BootID, address: address, restarts: true}, address.IsValid()
}

// sendOff lets the Talos of a server that is given back restart its machine, which then netboots into the agent: that one's enrolment is the proof, not the
// order. The server is read once more from the API server itself before a system is stopped.
func (r *Reconciler) sendOff(ctx context.Context, server *metal.Server, s subject) (reason, message string, err error) {
	live, err := r.store().Read(ctx, server.Name)
	if over(err) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	if now, ok := givenBack(live); !ok || now != s {
		return "", "", nil
	}
	own, err := r.Credentials.Orders(ctx, live)
	if err != nil {
		return unready(err)
	}
	want, err := r.machine(ctx, live)
	if err != nil {
		return "", "", err
	}
	if err := r.Asker.Restart(ctx, s.address, own, want); err != nil {
		return reasons.FencingUnconfirmed, "Its Talos was told to restart the machine, and does not: " + err.Error() + ". Restart it from the network by hand.", nil //nolint:nilerr // no trouble of ours
	}
	r.Log.Info("audit", "reason", reasons.Releasing, "order", "Restart", "server", server.Name, "binding", s.binding, "source", s.address.String())
	r.Events.Event(server.Name, false, reasons.Releasing, "Its Talos restarts the machine, which netboots into the agent if the network is first in its boot order.")
	return "", "", nil
}
