package setup

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotcluster"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotmachine"
	"ingot.dev/ingot/metal-controller/reconcilers/ingotremediation"
	"ingot.dev/ingot/metal-controller/reconcilers/ingottemplate"
)

// lookForClusterAPI is how often it is looked for: `clusterctl init` may come at any time, or never.
const lookForClusterAPI = 5 * time.Second

// addClusterAPI serves machines of Cluster API, from when the API server has its kinds.
func (a *app) addClusterAPI() error {
	templates := &ingottemplate.Reconciler{Client: a.manager.GetClient(), Now: a.cfg.Now}
	if err := templates.SetupWithManager(a.manager); err != nil {
		return fmt.Errorf("setting up the IngotMachineTemplate reconciler: %w", err)
	}
	d, err := discovery.NewDiscoveryClientForConfig(a.cfg.REST)
	if err != nil {
		return fmt.Errorf("reading the configuration of the API server: %w", err)
	}
	return a.manager.Add(&clusterAPI{app: a, discovery: d})
}

// clusterAPI waits for Cluster API's kinds, and then begins the reconcilers that watch them. The manager runs it on the leader.
type clusterAPI struct {
	app       *app
	discovery discovery.DiscoveryInterface
}

// Start waits, begins and returns.
func (c *clusterAPI) Start(ctx context.Context) error {
	tick := time.NewTicker(lookForClusterAPI)
	defer tick.Stop()
	for !c.served() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	c.app.cfg.Log.Info("Cluster API is installed: serving IngotClusters and IngotMachines", "version", clusterv1.GroupVersion.String())
	return c.begin()
}

// served says that the API server has what is watched.
func (c *clusterAPI) served() bool {
	list, err := c.discovery.ServerResourcesForGroupVersion(clusterv1.GroupVersion.String())
	if err != nil {
		return false // it is not there, or the API server does not answer now
	}
	has := func(kind string) bool {
		return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind })
	}
	return has("Cluster") && has("Machine")
}

func (c *clusterAPI) begin() error {
	m := c.app.manager
	clusters := &ingotcluster.Reconciler{Client: m.GetClient(), Now: c.app.cfg.Now}
	if err := clusters.SetupWithManager(m); err != nil {
		return fmt.Errorf("setting up the IngotCluster reconciler: %w", err)
	}
	machines := &ingotmachine.Reconciler{Client: m.GetClient(), Live: m.GetAPIReader(), Events: c.app.machineEvents(), Now: c.app.cfg.Now}
	if err := machines.SetupWithManager(m); err != nil {
		return fmt.Errorf("setting up the IngotMachine reconciler: %w", err)
	}
	remedies := &ingotremediation.Reconciler{
		Client: m.GetClient(), Live: m.GetAPIReader(), Events: c.app.remedyEvents(), Installation: c.app.trust.installation, Now: c.app.cfg.Now, Random: c.app.cfg.Random,
	}
	if err := remedies.SetupWithManager(m); err != nil {
		return fmt.Errorf("setting up the IngotRemediation reconciler: %w", err)
	}
	return nil
}

// machineRecorder writes events about IngotMachines.
type machineRecorder struct{ recorder }

func (a *app) machineEvents() machineRecorder {
	return machineRecorder{recorder{reader: a.manager.GetClient(), events: a.manager.GetEventRecorder("ingot.dev/metal-controller")}}
}

// Event records one event.
func (r machineRecorder) Event(name types.NamespacedName, warning bool, reason, message string) {
	var m infra.IngotMachine
	if r.reader.Get(context.Background(), name, &m) != nil {
		return // the machine is gone, and its timeline with it
	}
	tell(r.events, &m, warning, reason, "Provide", message)
}

// remedyRecorder writes events about IngotRemediations.
type remedyRecorder struct{ recorder }

func (a *app) remedyEvents() remedyRecorder {
	return remedyRecorder{recorder{reader: a.manager.GetClient(), events: a.manager.GetEventRecorder("ingot.dev/metal-controller")}}
}

// Event records one event.
func (r remedyRecorder) Event(name types.NamespacedName, warning bool, reason, message string) {
	var m infra.IngotRemediation
	if r.reader.Get(context.Background(), name, &m) != nil {
		return // it is over, and its timeline with it
	}
	tell(r.events, &m, warning, reason, "Remedy", message)
}
