// Package setup wires the controller together: the manager with its reconcilers, and the servers that run on every replica.
//
// Layer 4. The program metal-controller and the embedded `ingot up` both call Run; only who serves the Kubernetes API differs.
package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	infra "ingot.dev/ingot/crds/infrastructure/v1alpha1"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/accounts"
	"ingot.dev/ingot/metal-controller/allocate/expr"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bootfiles"
	"ingot.dev/ingot/metal-controller/candidates"
	"ingot.dev/ingot/metal-controller/disks"
	"ingot.dev/ingot/metal-controller/erase/ledger"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/machinelog"
	"ingot.dev/ingot/metal-controller/networks"
	"ingot.dev/ingot/metal-controller/notify"
	"ingot.dev/ingot/metal-controller/passports"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/metal-controller/resolve"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/metal-controller/signals/whose"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// leaseName is the Lease that replicas elect their leader with.
const leaseName = "metal-controller"

// Config says how to run.
type Config struct {
	// REST reaches the API server, as the identity that the record policy lets write: group ingot:controllers, or our service account.
	REST *rest.Config
	// LeaderElection lets several replicas share the work. The embedded control plane runs one and goes without.
	LeaderElection bool
	// AgentListen is the address of the agent port, for instance ":7443". AgentURL is how machines reach it, for instance
	// "https://192.0.2.1:7443"; AgentSANs are further names in its certificate.
	AgentListen string
	AgentURL    string
	AgentSANs   []string
	// AgentArgs are extra arguments on the agent's kernel line.
	AgentArgs []string
	// BootListen is the address of the port for pxe-servers; empty serves only the one in this process.
	BootListen string
	// BootSANs are further names in that port's certificate.
	BootSANs []string
	// ConfigListen is the address of the port that gives out machine configs over TLS; empty gives out none, and no operating system is booted. ConfigURL is
	// how machines reach it; when empty, by the host of AgentURL. PlainConfigListen and PlainConfigURL are the same over plain HTTP, for classes that allow it.
	ConfigListen, ConfigURL           string
	PlainConfigListen, PlainConfigURL string
	// EventsListen and KernelLogListen are the addresses of the ports where Talos machines tell how they fare; an empty one opens none. Machines reach them by
	// the host of AgentURL.
	EventsListen, KernelLogListen string
	// UnknownPolicy says what to do with machines that no Server describes; empty is register-once.
	UnknownPolicy boot.UnknownPolicy
	// MaxUnaccepted bounds Servers that nobody accepted; 0 is a thousand.
	MaxUnaccepted int
	// DestructiveLimit is how many wipes may be granted in an hour, such as "5" or "10%" of the accepted servers; empty is the larger of the two.
	DestructiveLimit string
	// DryRun shows what would be wiped, and wipes nothing.
	DryRun bool
	// MetricsAddr is where metrics and health are served; empty is nowhere.
	MetricsAddr string
	Log         logr.Logger
	// KeepFile puts a boot file where the boot services of this process find it, while it is read to learn its digest; nil only reads it.
	KeepFile resolve.Keep
	// Now and Random are the clock and the randomness; nil are the system's.
	Now    func() time.Time
	Random io.Reader
	// OpenBMC connects to BMCs; nil is drivers.Open.
	OpenBMC func(context.Context, bmc.Target) (bmc.Driver, error)
	// Ready is called once, when both ports answer and the cache is filled. It must not block.
	Ready func(Services)

	limit server.Limit // what DestructiveLimit says
}

// Services is what a program that runs the controller in its own process gets.
type Services struct {
	// Boot is the client side of the pxe-server protocol, in process.
	Boot protocol.BootClient
	// These are where the ports really listen; one that is not opened is empty.
	AgentAddr, BootAddr, ConfigAddr, PlainConfigAddr, EventsAddr, KernelLogAddr string
}

// Run runs the controller until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	ctrl.SetLogger(cfg.Log) // controller-runtime has one logger for the whole process
	scheme, err := Scheme()
	if err != nil {
		return err
	}
	if err := checkAPI(cfg.REST); err != nil {
		return err
	}
	trust, err := loadTrust(ctx, cfg, scheme)
	if err != nil {
		return err
	}
	m, err := newManager(cfg, scheme)
	if err != nil {
		return err
	}
	a := &app{cfg: cfg, manager: m, trust: trust, sightings: sightings.New(cfg.Now), files: bootfiles.NewStore(cfg.Now), changes: &notify.Hub{}, book: machinelog.New(cfg.Now)}
	if err := a.assemble(ctx); err != nil {
		return err
	}
	if err := m.Start(ctx); err != nil {
		return fmt.Errorf("running the controllers: %w", err)
	}
	return nil
}

// Scheme knows the kinds that the controller reads and writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), metal.AddToScheme(scheme), infra.AddToScheme(scheme), clusterv1.AddToScheme(scheme))
}

func newManager(cfg Config, scheme *runtime.Scheme) (ctrl.Manager, error) {
	stop := 20 * time.Second
	m, err := ctrl.NewManager(cfg.REST, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        cfg.Log,
		Metrics:                       metricsserver.Options{BindAddress: orNone(cfg.MetricsAddr)},
		HealthProbeBindAddress:        orNone(""), // addProbes puts them beside the metrics
		LeaderElection:                cfg.LeaderElection,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       metal.SystemNamespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &stop,
		Cache:                         frugal(),
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: uncached()}},
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	return m, nil
}

// app is what is being wired together.
type app struct {
	cfg       Config
	manager   ctrl.Manager
	trust     trust
	sightings *sightings.Store
	files     *bootfiles.Store
	networks  *networks.Store
	changes   *notify.Hub
	book      *machinelog.Book
}

func (a *app) assemble(ctx context.Context) error {
	events := &recorder{reader: a.manager.GetClient(), events: a.manager.GetEventRecorder("ingot.dev/metal-controller")}
	a.networks = networks.NewStore(a.cfg.Now, events.network(a.cfg.Log.WithName("networks")))
	if err := register(a.networks, fleet{a.manager.GetClient(), &sync.Mutex{}}); err != nil {
		return err
	}
	wakes := newWakes()
	plane := newPlane(a.cfg, wakes)
	cel, err := expr.New()
	if err != nil {
		return err
	}
	reconciler := &server.Reconciler{
		Client: a.manager.GetClient(), Live: a.manager.GetAPIReader(), Plane: plane, Sightings: a.sightings,
		Events: events, Installation: a.trust.installation, Now: a.cfg.Now, Random: a.cfg.Random,
		Disks: a.disks(), Eraser: a.eraser(), Limit: a.cfg.limit, DryRun: a.cfg.DryRun,
		Workloads: a.maker(), Accounts: a.accounts(), Passports: a.passports(), Idle: idle{reader: a.manager.GetClient(), eval: cel.Eval},
	}
	if err := errors.Join(disks.Index(ctx, a.manager.GetFieldIndexer()), candidates.Index(ctx, a.manager.GetFieldIndexer())); err != nil {
		return err
	}
	if err := reconciler.SetupWithManager(a.manager, wakes.out); err != nil {
		return fmt.Errorf("setting up the Server reconciler: %w", err)
	}
	if err := a.addClaims(ctx, cel); err != nil {
		return err
	}
	if err := a.addClusterAPI(); err != nil {
		return err
	}
	if err := a.addProof(events); err != nil {
		return err
	}
	if err := errors.Join(a.addEnvironments(), a.addTraces(ctx)); err != nil {
		return err
	}
	if err := a.watchChanges(ctx); err != nil {
		return err
	}
	if err := whose.Index(ctx, a.manager.GetFieldIndexer()); err != nil {
		return err
	}
	ports, err := a.openPorts(ctx, events)
	if err != nil {
		return err
	}
	follower := &server.Follower{Reconciler: reconciler, Elected: a.manager.Elected()}
	return errors.Join(a.manager.Add(follower), a.manager.Add(ports), a.manager.Add(plane), a.manager.Add(wakes), a.manager.Add(a.keeper()), a.addProbes())
}

// disks finds shared disks in the cache, by the index that assemble makes.
func (a *app) disks() disks.Finder { return disks.Finder{Reader: a.manager.GetClient(), Indexed: true} }

// accounts keeps Ingot's own accounts at BMCs.
func (a *app) accounts() *accounts.Keeper {
	return &accounts.Keeper{Client: a.manager.GetClient(), Live: a.manager.GetAPIReader(), Name: lifecycle.AccountSecret, Random: a.cfg.Random}
}

// passports keeps what goes with a server to another API server.
func (a *app) passports() *passports.Keeper {
	return &passports.Keeper{Client: a.manager.GetClient(), Live: a.manager.GetAPIReader(), Own: accounts.Label}
}

// eraser keeps erase records under this installation's key.
func (a *app) eraser() *ledger.Ledger {
	return &ledger.Ledger{Client: a.manager.GetClient(), Live: a.manager.GetAPIReader(), Signer: a.trust.erase, Installation: a.trust.installation}
}
