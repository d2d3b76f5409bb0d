package setup

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
)

// plane shows the BMC plane to the reconciler in its words. Only the leader starts workers, since only its reconciler calls Ensure.
type plane struct{ *bmc.Plane }

func newPlane(cfg Config, w *wakes) *plane {
	return &plane{bmc.NewPlane(bmc.Options{Open: cfg.OpenBMC, Wake: func(name string) { w.add(serverOf(name)) }, Now: cfg.Now, Log: cfg.Log.WithName("bmc")})}
}

// serverOf is the Server whose BMC is watched under a name: that of a trial has more behind a slash.
func serverOf(name string) string {
	server, _, _ := strings.Cut(name, "/")
	return server
}

// Start ends all sessions when the manager ends.
func (p *plane) Start(ctx context.Context) error {
	<-ctx.Done()
	p.Close()
	return nil
}

// Ensure starts or updates the worker of a server's BMC.
func (p *plane) Ensure(name string, b server.BMC) {
	p.Plane.Ensure(name, target(b))
}

func target(b server.BMC) bmc.Target {
	return bmc.Target{
		Protocol: bmc.Protocol(b.Protocol), Host: b.Endpoint, Port: int(b.Port),
		Username: b.Username, Password: b.Password, Pin: b.TLSFingerprint, BootURI: b.HTTPBootURI, MediaURI: b.VirtualMediaURI, Firmware: bmc.Firmware(b.Firmware),
	}
}

// verbs are the plane's words for actions.
var verbs = map[lifecycle.ActionKind]bmc.Verb{
	lifecycle.EnsurePowerOn: bmc.PowerOn, lifecycle.EnsurePowerOnFromNetwork: bmc.PowerOnFromNetwork, lifecycle.EnsurePowerOff: bmc.PowerOff,
	lifecycle.EnsureShutdown: bmc.ShutDown,
}

// Submit hands an action over. The zero action withdraws what was not begun. lifecycle asks for a reading only while it waits for off.
func (p *plane) Submit(name string, a lifecycle.Action) {
	switch a.Kind {
	case lifecycle.WithdrawPower:
		p.Plane.Submit(name, bmc.Action{})
	case lifecycle.ReadPower:
		p.AwaitOff(name)
	case lifecycle.EjectMedia:
		p.EjectMedia(name)
	default:
		p.Plane.Submit(name, bmc.Action{ID: a.ID, Verb: verbs[a.Kind]})
	}
}

// Latest is the last reading in the words of lifecycle.
func (p *plane) Latest(name string) lifecycle.PowerReading { return inWords(p.Plane.Latest(name)) }

func inWords(r bmc.Reading) lifecycle.PowerReading {
	out := lifecycle.PowerReading{State: metal.PowerState(r.Power), At: r.At, Pending: r.Pending, CommandAt: r.ActionAt, PinSeen: r.PinSeen, Media: r.Media}
	if r.NetworkErr != nil {
		out.Network = steady(r.NetworkErr.Error())
	}
	if r.ActionErr == nil {
		out.Done = r.ActionID
	}
	err := r.Err
	if err == nil && r.ActionErr != nil && r.At.Before(r.ActionAt) {
		err = r.ActionErr // the action failed and nothing was read since
	}
	if err == nil {
		err = r.Belied()
	}
	out.Reason, out.Message = classify(err)
	if err == nil && r.At.IsZero() {
		out.Reason = reasons.BMCNotAsked
	}
	return out
}

// classify names the class of an error by its reason.
func classify(err error) (reason, message string) {
	if err == nil {
		return reasons.BMCAnswers, ""
	}
	return map[error]string{
		bmc.ErrUnreachable: reasons.BMCUnreachable, bmc.ErrUnauthorized: reasons.BMCUnauthorized, bmc.ErrUnsupported: reasons.BMCUnsupported,
		bmc.ErrLied: reasons.BMCLied, bmc.ErrCertificateChanged: reasons.BMCCertificateChanged,
	}[bmc.ClassOf(err)], steady(err.Error())
}

// ourSide matches our own address in an error of a connection: its port changes with every try, and would cost a status write each time.
var ourSide = regexp.MustCompile(`\S+:\d+->`)

func steady(message string) string { return ourSide.ReplaceAllString(message, "") }

// wakes carries names from the plane, which must not block, to the reconciler, which may be busy.
type wakes struct {
	mu     sync.Mutex
	names  map[string]struct{}
	signal chan struct{}
	out    chan string
}

func newWakes() *wakes {
	return &wakes{names: map[string]struct{}{}, signal: make(chan struct{}, 1), out: make(chan string)}
}

func (w *wakes) add(name string) {
	w.mu.Lock()
	w.names[name] = struct{}{}
	w.mu.Unlock()
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

func (w *wakes) drain() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make([]string, 0, len(w.names))
	for n := range w.names {
		names = append(names, n)
	}
	clear(w.names)
	slices.Sort(names)
	return names
}

// Start passes names on until ctx ends.
func (w *wakes) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.signal:
		}
		for _, n := range w.drain() {
			select {
			case w.out <- n:
			case <-ctx.Done():
				return nil
			}
		}
	}
}
