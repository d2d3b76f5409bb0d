package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/accounts"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/disks"
	"ingot.dev/ingot/metal-controller/identity"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/metal-controller/records"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/metal-controller/signals"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// process is one replica of the controllers, with everything that it keeps in memory. A crash loses all of that.
type process struct {
	w            *World
	name         string
	installation string
	leads        bool
	alive        bool
	life         int
	skew         time.Duration // of its clock
	lagging      bool

	cached, live *store.Client
	view         *store.View
	seen         *sightings.Store
	hears        *signals.Receiver
	reconciler   *server.Reconciler
	follower     *server.Follower
	claims       *claim.Reconciler
	records      records.Store
	desk         *desk.Desk
	plane        *plane
	memo         tableMemo
	due          map[string]time.Duration
	news         map[string]lifecycle.PowerReading
	ids          stream
}

// errCrashed is the answer of a replica that died while it answered.
var errCrashed = errors.New("the replica died")

// crashed is the panic of a replica that dies.
type crashed struct{ p *process }

// start begins a new life with empty memory.
func (p *process) start() {
	p.alive, p.life = true, p.life+1
	who := store.Identity{Name: p.name, Ingot: true}
	p.live = p.w.store.Client(who)
	p.view = p.w.store.Cached(store.Fresh)
	p.cached = p.view.Client(who)
	p.seen = sightings.New(p.steady)
	p.hears = p.receiver()
	p.plane = &plane{p: p, workers: map[string]*worker{}}
	p.due, p.news = map[string]time.Duration{}, map[string]lifecycle.PowerReading{}
	finder := disks.Finder{Reader: p.cached, Indexed: disks.Index(background(), p.view) == nil}
	p.desk = &desk.Desk{Client: p.cached, Live: p.live, Sightings: p.seen, Events: p, Installation: p.installation, Now: p.clock, Disks: finder}
	p.reconciler = &server.Reconciler{
		Client: p.cached, Live: p.live, Plane: p.plane, Sightings: p.seen, Events: p, Disks: finder, Eraser: p.w.eraser(p),
		Installation: p.installation, Now: p.clock, Random: p.ids, Workloads: workloads{p.w}, Idle: idle{p.w},
	}
	keeper := &accounts.Keeper{Client: p.live, Live: p.live, Name: lifecycle.AccountSecret, Random: p.ids}
	p.reconciler.Accounts, p.desk.Accounts = keeper, keeper
	p.reconciler.Live = clusterReader{p.live, p.w}
	p.follower = &server.Follower{Reconciler: p.reconciler}
	p.records = records.Store{Client: p.cached, Live: p.live, Installation: p.installation}
	p.claims = &claim.Reconciler{
		Client: p.cached, Live: p.live, Indexed: claim.Index(background(), p.view) == nil, Events: claimEvents{p}, CEL: noCEL{},
		Installation: p.installation, Now: p.clock, Random: p.ids,
	}
	if p.w.cfg.Sabotage != nil {
		p.w.cfg.Sabotage.apply(p)
	}
	p.lag()
	p.view.OnChange = p.changed
	p.w.log(p.name, "starts")
	p.wakeAll()
}

// wakeAll looks at every Server, as a controller does that starts.
func (p *process) wakeAll() {
	for _, s := range store.All[metal.Server](p.w.store) {
		p.wake(s.Name, p.w.hardware.between(100*time.Millisecond, time.Second))
	}
	p.wakeClaims()
}

// changed is what the watches of a replica do.
func (p *process) changed(c store.Change) {
	switch c.Kind {
	case "Server":
		p.claimsOf(c)
	case "ServerClaim":
		p.claimChanged(c)
		return
	case "ServerInventory":
	default:
		return
	}
	switch {
	case p.installation == here && p.own(c):
		p.wake(c.Key.Name, 2*time.Second) // the echo of its own status, which a busy queue makes one with whatever comes next
	case p.installation == here && p.w.contended():
		p.wake(c.Key.Name, 500*time.Millisecond) // two leaders whose clocks differ answer each other as fast as they can, which shows nothing after the first time
	default:
		p.wake(c.Key.Name, 10*time.Millisecond)
	}
	for _, a := range p.w.watchers[c.Key.Name] {
		if a.replica == p {
			a.hurry()
		}
	}
}

// contended says that two replicas lead.
func (w *World) contended() bool { return w.processes[0].leads && w.processes[1].leads }

// own says that a change is this replica's latest write of a status.
func (p *process) own(c store.Change) bool {
	journal := p.w.store.Journal()
	last := journal[len(journal)-1]
	return last.Who == p.name && last.Status && last.Key == c.Key
}

// lag makes the cache trail the store, or not.
func (p *process) lag() {
	p.lagging = p.w.enabled(StaleCache) && p.w.accidents.chance(0.7)
	p.view.Lag = store.Fresh
	if p.lagging {
		p.view.Lag = store.Told
		if p.w.accidents.chance(0.5) {
			p.w.count(staleReads)
			p.view.Rewind("Server", p.w.accidents.upTo(20))
			p.view.Rewind("ServerClaim", p.w.accidents.upTo(5))
		}
		p.catchUp()
	}
}

// catchUp lets a lagging cache learn some of what it missed, now and then.
func (p *process) catchUp() {
	p.in(p.w.accidents.between(50*time.Millisecond, 4*time.Second), func() {
		for _, kind := range []string{"ServerInventory", "Server", "ServerClaim"} {
			behind := p.view.Behind(kind)
			if behind > 0 {
				p.w.count(staleReads)
				p.view.Advance(kind, 1+p.w.accidents.upTo(behind+behind/2))
			}
		}
		if p.lagging {
			p.catchUp()
		}
	})
}

// die ends this life.
func (p *process) die(why string) {
	if !p.alive {
		return
	}
	p.alive = false
	p.w.log(p.name, "dies: %s", why)
	p.w.store.Drop(p.view)
	p.w.in(p.w.accidents.between(time.Second, 30*time.Second), p.start)
}

// clock is the replica's clock.
func (p *process) clock() time.Time { return p.w.time().Add(p.skew) }

// steady is the clock that nobody sets: what a process measures time by (CLOCK_MONOTONIC).
func (p *process) steady() time.Time { return p.w.time() }

// in plans f for as long as this life goes on.
func (p *process) in(after time.Duration, f func()) {
	life := p.life
	p.w.in(after, func() {
		if p.alive && p.life == life {
			_ = p.call(func() error { f(); return nil }) // a crash is noted there
		}
	})
}

// call runs code of the product in this replica; it may die in it.
func (p *process) call(f func() error) (err error) {
	if !p.alive {
		return errCrashed
	}
	defer func() {
		if r := recover(); r != nil {
			c, ok := r.(crashed)
			if !ok {
				panic(r)
			}
			c.p.die("at a recorded effect")
			err = errCrashed
		}
	}()
	err = f()
	p.drain()
	return err
}

// effect does something outside of the API. The replica may die before or after it.
func (p *process) effect(what string, f func()) {
	p.maybeDie("before " + what)
	f()
	p.maybeDie("after " + what)
}

func (p *process) maybeDie(where string) {
	if p.w.enabled(Crash) && p.w.crashes.chance(0.03) {
		p.w.count(replicasCrashed)
		p.w.log(p.name, "crash %s", where)
		panic(crashed{p})
	}
}

func background() context.Context {
	return logr.NewContext(context.Background(), logr.Discard())
}

// wake plans a reconcile, unless an earlier one is planned.
func (p *process) wake(name string, after time.Duration) {
	if !p.leads || !p.alive || p.installation != here && strings.Contains(name, "/") { // claims belong to nobody: one installation alone looks after them
		return
	}
	at := p.w.now + max(after, 0)
	if old, ok := p.due[name]; ok && old <= at {
		return
	}
	p.due[name] = at
	p.in(after, func() {
		if p.due[name] == at && p.leads {
			delete(p.due, name)
			p.reconcile(name)
		}
	})
}

// reconcile makes one step of the real reconciler.
func (p *process) reconcile(name string) {
	p.w.steps++
	var request ctrl.Request
	request.Name = name
	reconcile := p.reconciler.Reconcile
	if namespace, of, ok := strings.Cut(name, "/"); ok { // of a claim
		request.Namespace, request.Name = namespace, of
		reconcile = p.claims.Reconcile
	}
	result, err := reconcile(background(), request)
	switch {
	case err != nil:
		p.wake(name, p.w.hardware.between(time.Second, 10*time.Second))
	case result.RequeueAfter > 0:
		p.wake(name, result.RequeueAfter)
	}
}

// drain passes on what was seen, as the reconciler's source does where this replica leads, and writes it down as a follower does where not.
func (p *process) drain() {
	for _, name := range p.seen.Drain() {
		if p.leads {
			p.wake(name, 500*time.Millisecond)
		} else {
			p.in(10*time.Millisecond, func() { p.follower.Write(background(), name) }) // it may die in that
		}
	}
}

// wakeIfNews wakes the reconciler when a BMC's reading changed in a way that matters.
func (p *process) wakeIfNews(k *worker) {
	before, now := p.news[k.server], k.reading
	p.news[k.server] = now
	old, reading := before.At.IsZero(), now.At.IsZero()
	if before.State != now.State || before.Reason != now.Reason || before.Pending != now.Pending || before.Done != now.Done ||
		before.CommandAt != now.CommandAt || old != reading {
		name, _, _ := strings.Cut(k.server, trialOf("")) // of the login with an account to come, too
		p.wake(name, 10*time.Millisecond)
	}
}

// Event takes an event; people read them, and no rule rests on them.
func (p *process) Event(server string, warning bool, reason, message string) {
	p.w.log(server, "event %s: %s", reason, message)
}

// tableMemo is a table with what it was made of.
type tableMemo struct {
	view                 *store.View
	servers, inventories int // changes that the view had seen
	table                []boot.Server
}

// table is what this replica knows of all servers. It is only read, and made anew when its cache has learned something.
func (p *process) table() []boot.Server {
	now := tableMemo{view: p.view, servers: p.view.Seen("Server"), inventories: p.view.Seen("ServerInventory")}
	if m := &p.memo; m.view != now.view || m.servers != now.servers || m.inventories != now.inventories {
		now.table = p.tableOf(p.cached)
		p.memo = now
	}
	return p.memo.table
}

func (p *process) tableOf(c client.Reader) []boot.Server {
	var servers metal.ServerList
	var inventories metal.ServerInventoryList
	if c.List(background(), &servers, client.UnsafeDisableDeepCopy) != nil || c.List(background(), &inventories, client.UnsafeDisableDeepCopy) != nil {
		return nil
	}
	return identity.Table(servers.Items, inventories.Items, p.installation)
}

// anyProcess is a replica that answers; nil when none does.
func (w *World) anyProcess() *process {
	up := slices.DeleteFunc(slices.Clone(w.processes), func(p *process) bool { return !p.alive || p.installation != w.processes[0].installation })
	if len(up) == 0 {
		return nil
	}
	return up[w.hardware.upTo(len(up))]
}
