package setup

import (
	"fmt"

	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/reconcilers/proof"
	"ingot.dev/ingot/metal-controller/talos"
)

// addProof sets up what asks the Talos of claimed servers whether it is installed and runs.
func (a *app) addProof(events *recorder) error {
	r := &proof.Reconciler{
		Client: a.manager.GetClient(), Live: a.manager.GetAPIReader(), Installation: a.trust.installation, Credentials: a.maker(),
		Asker:     talos.Client{Now: a.cfg.Now, BootArg: capability.BootArg, Port: talos.Port},
		Sightings: a.sightings, Events: events, Now: a.cfg.Now, Log: a.cfg.Log.WithName("proof"),
	}
	if err := r.SetupWithManager(a.manager); err != nil {
		return fmt.Errorf("setting up what asks Talos for proofs: %w", err)
	}
	return nil
}
