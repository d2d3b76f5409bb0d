package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/erase"
	"ingot.dev/ingot/metal-controller/erase/ledger"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/sfyra-tests/sim/store"
)

// epoch is when virtual time begins.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// here and elsewhere are the installations.
const (
	here      = "here"
	elsewhere = "elsewhere"
)

// World is one run: the product's code and the models around it.
type World struct {
	schedule
	seed  uint64
	cfg   Config
	kinds Set
	calm  bool // faults are over

	hardware, accidents, crashes, people, ids stream

	store     *store.Store
	signer    *erase.Signer
	processes []*process
	machines  []*machine
	bmcs      map[string]*bmcModel
	nowhere   *bmcModel // an address where nobody answers
	byMAC     map[string]*machine
	net       *network
	operator  *operator
	key       capability.Key
	boots     map[string]osBoot // of operating systems, by id
	watchers  map[string][]*agent
	claimant  *agent

	disks, contents, agents, steps, writes, depth int

	check     *oracle
	violation *ViolationError
	counts    Counts
	trace     []string
}

func newWorld(seed uint64, cfg Config) *World {
	w := &World{seed: seed, cfg: cfg, kinds: (swarm(seed) | cfg.Enable) &^ cfg.Disable, bmcs: map[string]*bmcModel{}, byMAC: map[string]*machine{}, watchers: map[string][]*agent{}, boots: map[string]osBoot{}}
	w.hardware, w.accidents, w.crashes = newStream(seed, "hardware"), newStream(seed, "accidents"), newStream(seed, "crashes")
	w.people, w.ids = newStream(seed, "people"), newStream(seed, "ids")
	w.store = store.New(w.time)
	w.nowhere = &bmcModel{m: &machine{w: w, name: "nowhere"}, mode: dead}
	w.check = newOracle(w)
	w.store.OnWrite = w.wrote
	w.store.Fault = w.fault
	w.net = &network{w: w, first: map[string]string{}}
	w.operator = &operator{w: w, manifests: map[string]*metal.Server{}, wishes: map[string]*metal.ServerClaim{}, clusters: map[string]clusterState{}, configs: map[string]int{}}
	return w
}

// time is the true time.
func (w *World) time() time.Time { return epoch.Add(w.now) }

// enabled says that a kind may happen now.
func (w *World) enabled(k Kind) bool { return !w.calm && w.kinds.Has(k) }

// log adds a line to the trace, if one is kept.
func (w *World) log(who, format string, args ...any) {
	if w.cfg.Trace {
		w.trace = append(w.trace, fmt.Sprintf("%12s %-8s %s", w.now.Round(time.Millisecond), who, fmt.Sprintf(format, args...)))
	}
}

// wrote sees every write.
func (w *World) wrote(x *store.Write) {
	w.writes++
	w.trace = w.traced(x)
	w.check.wrote(x)
	for _, p := range w.processes {
		if p.name == x.Who {
			p.maybeDie("after writing " + x.Kind + " " + x.Key.Name)
		}
	}
}

// eraser is the real ledger of erase records.
func (w *World) eraser(p *process) server.Eraser {
	return &ledger.Ledger{Client: p.live, Live: p.live, Signer: w.signer, Installation: p.installation}
}

// limit is how many wipes an hour may see.
func (w *World) limit() int {
	n := 0
	for _, s := range store.All[metal.Server](w.store) {
		if recordOf(s).Acceptance != nil {
			n++
		}
	}
	return server.Limit{}.Of(n)
}

func (w *World) watch(a *agent) { w.watchers[a.server] = append(w.watchers[a.server], a) }

func (w *World) unwatch(a *agent) {
	w.watchers[a.server] = slices.DeleteFunc(w.watchers[a.server], func(b *agent) bool { return a == b })
}

// machineOf is the machine that a Server describes.
func (w *World) machineOf(s *metal.Server) *machine {
	if s == nil || s.Spec.Identity == nil || len(s.Spec.Identity.MACs) == 0 {
		return nil
	}
	return w.byMAC[s.Spec.Identity.MACs[0]]
}

// build racks the machines and starts the controllers.
func (w *World) build(servers int) error {
	ingot := w.store.Client(store.Identity{Name: "setup", Ingot: true})
	var err error
	if w.key, err = capability.NewKey(make([]byte, capability.KeySize)); err != nil {
		return fmt.Errorf("making the key of capabilities: %w", err)
	}
	if w.signer, err = ledger.Key(background(), ingot, w.ids); err != nil {
		return fmt.Errorf("making the key of erase records: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc"},
		Data:       map[string][]byte{corev1.BasicAuthUsernameKey: []byte("root"), corev1.BasicAuthPasswordKey: []byte("secret")},
	}
	if err := ingot.Create(background(), secret); err != nil {
		return fmt.Errorf("making the Secret of the BMCs: %w", err)
	}
	if err := w.offer(ingot); err != nil {
		return err
	}
	for n := range servers {
		w.rack(n + 1)
	}
	w.shareDisks()
	w.run(here, "ctl-a", true)
	w.run(here, "ctl-b", false)
	if w.kinds.Has(Installations) {
		w.run(elsewhere, "ctl-x", true)
	}
	return nil
}

// run starts one replica.
func (w *World) run(installation, name string, leads bool) {
	p := &process{w: w, name: name, installation: installation, leads: leads, ids: newStream(w.ids.Uint64(), name)}
	w.processes = append(w.processes, p)
	p.start()
}

// rack puts one machine up.
func (w *World) rack(n int) {
	m := &machine{w: w, n: n, name: "m" + strconv.Itoa(n), feed: true, network: w.hardware.chance(0.7)}
	m.mac = fmt.Sprintf("52:54:00:%02x:%02x:%02x", n>>16&255, n>>8&255, n&255)
	m.serial, m.source = "SN-"+strconv.Itoa(n), netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}).String()
	m.bmc, m.bmcAddress = &bmcModel{m: m, users: person()}, netip.AddrFrom4([4]byte{10, 9, byte(n >> 8), byte(n)}).String()
	w.bmcs["bmc-"+m.name], w.bmcs[m.bmcAddress], w.byMAC[m.mac] = m.bmc, m.bmc, m
	w.machines = append(w.machines, m)
	for range 1 + w.hardware.upTo(3) {
		d := w.newDisk(m, []string{"nvme", "sata", "sas"}[w.hardware.upTo(3)])
		if w.hardware.chance(0.6) {
			w.write(d, w.hardware.chance(0.5), "was there")
		}
	}
	w.damage(m)
	if w.hardware.chance(0.5) {
		w.in(w.hardware.between(0, time.Minute), func() { m.switchOn("a person presses the button") })
	}
}
