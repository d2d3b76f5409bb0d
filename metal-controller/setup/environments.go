package setup

import (
	"fmt"

	"k8s.io/client-go/tools/events"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/reconcilers/environment"
	"ingot.dev/ingot/metal-controller/resolve"
)

// addEnvironments sets up what finds and pins the files of Talos, on the leader, and what tells how files fare, on every replica.
func (a *app) addEnvironments() error {
	told := environmentRecorder{a.manager.GetEventRecorder("ingot.dev/metal-controller")}
	files := &environment.Reconciler{Client: a.manager.GetClient(), Files: a.files, Events: told, Now: a.cfg.Now}
	if err := files.SetupWithManager(a.manager); err != nil {
		return fmt.Errorf("setting up the Environment reconciler: %w", err)
	}
	jobs := resolve.NewJobs(resolve.Resolver{Agent: "ingot/" + version.Version, Keep: a.cfg.KeepFile}, a.cfg.Now)
	pinner := &environment.Pinner{Client: a.manager.GetClient(), Jobs: jobs, Events: told, Now: a.cfg.Now}
	if err := pinner.SetupWithManager(a.manager); err != nil {
		return fmt.Errorf("setting up the pinning of Environments: %w", err)
	}
	return nil
}

// environmentRecorder writes events about Environments.
type environmentRecorder struct{ events events.EventRecorder }

// Event records one event.
func (r environmentRecorder) Event(env *metal.Environment, warning bool, reason, message string) {
	tell(r.events, env, warning, reason, "Resolve", message)
}
