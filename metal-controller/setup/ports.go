package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/agentserver"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/bootserver"
	"ingot.dev/ingot/metal-controller/candidates"
	"ingot.dev/ingot/pxe-server/limits"
	"ingot.dev/ingot/pxe-server/protocol"
)

// drain is how long calls may take to end when the program ends. Streams never end by themselves.
const drain = 3 * time.Second

// Limits of connections on one port. A machine has one; a rack behind address translation shares a source.
const (
	connectionsPerSource = 256
	connectionsInAll     = 8192
)

// ports runs the servers on every replica.
type ports struct {
	app     *app
	boot    *bootserver.Server
	listen  []listening
	configs []configPort
	kernel  *kernelPort
	// opened are the addresses of the ports.
	agentAddr, bootAddr, configAddr, plainAddr, eventsAddr, kernelAddr string
}

// listening is a server with its socket.
type listening struct {
	server *grpc.Server
	socket net.Listener
}

// openPorts listens at once, so that an address that is taken is an error at start and not in a log.
func (a *app) openPorts(ctx context.Context, ev *recorder) (*ports, error) {
	agents := a.agentServer(ev)
	p := &ports{app: a, boot: a.bootServer(agents.Desk())}
	if err := register(slices.Concat(agents.Collectors(), p.boot.Collectors())...); err != nil {
		return nil, err
	}
	addr, err := p.open(ctx, a.cfg.AgentListen, "--agent-listen", agents.GRPC())
	if err != nil {
		return nil, err
	}
	p.agentAddr = addr
	if err := errors.Join(p.openConfigs(ctx, ev), p.openSignals(ctx, ev)); err != nil {
		p.close()
		return nil, err
	}
	if a.cfg.BootListen == "" {
		return p, nil
	}
	if p.bootAddr, err = p.open(ctx, a.cfg.BootListen, "--boot-listen", p.boot.GRPC()); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *ports) open(ctx context.Context, addr, flag string, server *grpc.Server) (string, error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listening for %s: %w", flag, err)
	}
	p.listen = append(p.listen, listening{server, limits.Listen(socket, limits.NewGate[netip.Prefix](connectionsInAll, connectionsPerSource))})
	return socket.Addr().String(), nil
}

func (p *ports) close() {
	for _, l := range p.listen {
		_ = l.socket.Close()
	}
	for _, c := range p.configs {
		_ = c.socket.Close()
	}
	if p.kernel != nil {
		_ = p.kernel.socket.Close()
	}
}

func (a *app) agentServer(ev *recorder) *agentserver.Server {
	return agentserver.New(agentserver.Config{
		Client: a.manager.GetClient(), Live: a.manager.GetAPIReader(), Authority: a.trust.agent, Names: a.cfg.AgentSANs,
		Installation: a.trust.installation, Policy: a.cfg.UnknownPolicy, MaxUnaccepted: a.cfg.MaxUnaccepted,
		Sightings: a.sightings, Changes: a.changes, Events: ev, Disks: a.disks(), Accounts: a.accounts(), DryRun: a.cfg.DryRun, Now: a.cfg.Now, Random: a.cfg.Random, Log: a.cfg.Log.WithName("agentserver"),
		Candidates: candidates.Finder{Reader: a.manager.GetClient(), Indexed: true},
	})
}

func (a *app) bootServer(d *desk.Desk) *bootserver.Server {
	return bootserver.New(bootserver.Config{
		Reader: a.manager.GetClient(), Authority: a.trust.pxe, Names: append(a.cfg.BootSANs, a.cfg.AgentSANs...), Installation: a.trust.installation,
		Policy: string(a.cfg.UnknownPolicy), Agent: &protocol.AgentBoot{Url: a.cfg.AgentURL, Pin: a.trust.agent.Pin(), Args: a.cfg.AgentArgs}, Links: a.links(),
		Sightings: a.sightings, Files: a.files, Networks: a.networks, Void: d.Void, Changes: a.changes, Now: a.cfg.Now, Random: a.cfg.Random, Log: a.cfg.Log.WithName("bootserver"),
	})
}

// NeedLeaderElection is false: agents and pxe-servers may ask any replica.
func (p *ports) NeedLeaderElection() bool { return false }

// Start serves until ctx ends. The manager has filled its cache before.
func (p *ports) Start(ctx context.Context) error {
	local, stop, err := p.boot.Local()
	if err != nil {
		return fmt.Errorf("opening the boot protocol in process: %w", err)
	}
	defer stop()
	ended := make(chan error, len(p.listen)+len(p.configs)+1)
	for _, l := range p.listen {
		go func() { ended <- l.server.Serve(l.socket) }()
	}
	for _, c := range p.configs {
		go func() { ended <- c.serve() }()
	}
	if k := p.kernel; k != nil {
		go func() { ended <- k.server.Serve(k.socket) }()
	}
	if p.app.cfg.Ready != nil {
		p.app.cfg.Ready(Services{
			Boot: local, AgentAddr: p.agentAddr, BootAddr: p.bootAddr, ConfigAddr: p.configAddr, PlainConfigAddr: p.plainAddr, EventsAddr: p.eventsAddr, KernelLogAddr: p.kernelAddr,
		})
	}
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	for _, c := range p.configs {
		c.end()
	}
	for _, l := range p.listen {
		end(l.server)
	}
	if p.kernel != nil {
		p.kernel.server.Close()
	}
	return err
}

// end lets calls finish for a moment, then cuts what is left.
func end(s *grpc.Server) {
	t := time.AfterFunc(drain, s.Stop)
	defer t.Stop()
	s.GracefulStop()
}

// watchChanges tells streams about changed Servers, inventories and Environments. It runs on every replica: streams do too.
func (a *app) watchChanges(ctx context.Context) error {
	for _, object := range []client.Object{&metal.Server{}, &metal.ServerInventory{}, &metal.Environment{}} {
		informer, err := a.manager.GetCache().GetInformer(ctx, object)
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: a.changed, UpdateFunc: func(_, o any) { a.changed(o) }, DeleteFunc: a.changed,
		}); err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
	}
	return nil
}

// changed signals the object's name.
func (a *app) changed(object any) {
	if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	if o, ok := object.(client.Object); ok {
		a.changes.Changed(o.GetName())
	}
}

// probes are what monitors ask beside the metrics: one port less to open and to know.
var probes = map[string]func(*app) healthz.Checker{
	"/healthz": func(*app) healthz.Checker { return healthz.Ping },
	"/readyz": func(a *app) healthz.Checker {
		return func(r *http.Request) error {
			if !a.manager.GetCache().WaitForCacheSync(r.Context()) {
				return fmt.Errorf("the cache is not filled yet")
			}
			return nil
		}
	},
}

// MonitorRoutes are what the port for metrics answers, sorted.
func MonitorRoutes() []string {
	all := append(slices.Collect(maps.Keys(probes)), "/metrics")
	slices.Sort(all)
	return all
}

// addProbes serves them.
func (a *app) addProbes() error {
	for path, check := range probes {
		if err := a.manager.AddMetricsServerExtraHandler(path, healthz.CheckHandler{Checker: check(a)}); err != nil {
			return fmt.Errorf("adding the probe %s: %w", path, err)
		}
	}
	return nil
}

// recorder writes events about Servers. `kubectl describe` finds them by the object, so it is read from the cache.
type recorder struct {
	reader client.Reader
	events events.EventRecorder
}

// Event records one event.
func (r *recorder) Event(name string, warning bool, reason, message string) {
	var server metal.Server
	if r.reader.Get(context.Background(), types.NamespacedName{Name: name}, &server) != nil {
		return // the Server is gone, and its timeline with it
	}
	tell(r.events, &server, warning, reason, "Observe", message)
}
