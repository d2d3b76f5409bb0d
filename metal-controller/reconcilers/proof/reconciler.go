// Package proof asks the Talos of claimed servers what proves that it is installed and runs, and records that as if the system had told it by itself. Where a
// claim asks for it, it orders the installed Talos to begin the etcd of a new cluster, once.
//
// A server without a BMC that is given back is restarted by its own Talos.
//
// Layer 3. Talos knows no callbacks, so the leader asks: the machine that fetched the config, with credentials of the claim's cluster. What an answer proves
// is said by package talos, what follows from it by lifecycle. Invariants:
//   - Nothing is recorded but what lifecycle.TakeSignal makes of it, on a Server read from the API server itself, before anything else follows.
//   - An answer counts for the boot and binding that it was asked for, and for no other that came in the meantime.
//   - What is remembered between two questions matters to nothing but their pace. Credentials are kept nowhere.
//   - An order is recorded before it is given, and never given to an installation that another one was given it before.
//   - It writes no status and decides nothing about the machine; silence is judged where that of every system is.
package proof

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/identity"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/metal-controller/talos"
)

// workers is how many machines are asked at once. One that is off takes three seconds, so a thousand of them do not make the others look silent.
const workers = 64

// Credentials finds what the Talos of a Server's claim is asked with. An error that says what a person has to do tells its reason (Unready).
type Credentials interface {
	Proof(ctx context.Context, s *metal.Server) (talos.Credentials, error)
	// Orders finds what it is given orders with.
	Orders(ctx context.Context, s *metal.Server) (talos.Credentials, error)
}

// Unready is an error with one of the reasons of Ingot and a message for people.
type Unready interface {
	error
	Why() (reason, message string)
}

// Asker asks one machine, and gives it orders: talos.Client.
type Asker interface {
	Ask(ctx context.Context, address netip.Addr, own talos.Credentials) (talos.Answer, error)
	Bootstrap(ctx context.Context, address netip.Addr, own talos.Credentials, want talos.Machine) error
	Restart(ctx context.Context, address netip.Addr, own talos.Credentials, want talos.Machine) error
	Members(ctx context.Context, address netip.Addr, own talos.Credentials, want talos.Machine) ([]talos.Member, error)
	Remove(ctx context.Context, address netip.Addr, own talos.Credentials, want talos.Machine, member uint64) error
}

// Events records an event about a Server.
type Events interface {
	Event(server string, warning bool, reason, message string)
}

// Reconciler asks. All exported fields are required.
type Reconciler struct {
	// Client reads from the cache and writes; Live reads from the API server itself.
	Client       client.Client
	Live         client.Reader
	Installation string
	Credentials  Credentials
	Asker        Asker
	Sightings    *sightings.Store
	Events       Events
	Now          func() time.Time
	Log          logr.Logger

	mu      sync.Mutex
	servers map[string]remembered // of those that are asked: they are Servers, which are bounded
}

// remembered is the memory of one Server, with what people were told last.
type remembered struct {
	memory
	said string
}

// SetupWithManager registers the reconciler, on the leader.
func (r *Reconciler) SetupWithManager(m ctrl.Manager) error {
	skip := true // several managers may run in one process, in the embedded control plane and in tests
	return ctrl.NewControllerManagedBy(m).
		Named("proof").
		For(&metal.Server{}).
		WithOptions(controller.Options{SkipNameValidation: &skip, MaxConcurrentReconciles: workers}).
		Complete(r)
}

// Reconcile asks the Talos of one Server, when it is due, or, once its claim is deleted, lets its cluster take it out of etcd.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	server, err := r.mine(ctx, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	if server == nil {
		r.forget(req.Name)
		return ctrl.Result{}, nil
	}
	claim, err := r.leaving(ctx, server)
	if err != nil {
		return ctrl.Result{}, err
	}
	if claim != nil {
		return r.paced(server, subject{binding: server.Spec.Record.Claim.BindingID, leaves: true}, func() (reason, message string, err error) {
			message, err = r.farewell(ctx, server, claim)
			return reasons.EtcdMemberKept, message, err
		})
	}
	s, ok, err := r.subject(ctx, server)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !ok {
		r.forget(req.Name)
		return ctrl.Result{}, nil
	}
	if s.restarts {
		return r.paced(server, s, func() (string, string, error) { return r.sendOff(ctx, server, s) })
	}
	return r.paced(server, s, func() (string, string, error) { return r.question(ctx, server, s) })
}

// paced talks about a subject when that is due, and says when to come again. An error is trouble with the API server: the queue comes again.
func (r *Reconciler) paced(server *metal.Server, s subject, talk func() (reason, message string, err error)) (ctrl.Result, error) {
	now := r.Now()
	if due := r.recall(server.Name, s).due(now); due.After(now) {
		return ctrl.Result{RequeueAfter: due.Sub(now)}, nil
	}
	reason, message, err := talk()
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: r.remember(server.Name, s, reason, message)}, nil
}

// mine is a Server of this installation that has a claim; nil for all others.
func (r *Reconciler) mine(ctx context.Context, name types.NamespacedName) (*metal.Server, error) {
	var server metal.Server
	if err := r.Client.Get(ctx, name, &server); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading Server %s: %w", name.Name, err)
	}
	record := server.Spec.Record
	if record == nil || record.Claim == nil || record.Foreign(r.Installation) {
		return nil, nil
	}
	return &server, nil
}

// subject is whom to ask; not ok when nobody is to be asked.
func (r *Reconciler) subject(ctx context.Context, server *metal.Server) (s subject, ok bool, err error) {
	if s, ok = subjectOf(server.Spec.Record, r.Now()); !ok {
		if s, ok = givenBack(server); !ok {
			return subject{}, false, nil
		}
	}
	name := server.Spec.Record.Claim.Environment
	var env metal.Environment
	if err := r.Client.Get(ctx, types.NamespacedName{Name: name}, &env); apierrors.IsNotFound(err) {
		return subject{}, false, nil
	} else if err != nil {
		return subject{}, false, fmt.Errorf("reading Environment %s: %w", name, err)
	}
	return s, env.BootsTalos(), nil
}

// question asks and records what is proven. It returns what a person has to do, or why nothing more is proven; an error is trouble with the API server.
func (r *Reconciler) question(ctx context.Context, server *metal.Server, s subject) (reason, message string, err error) {
	own, err := r.Credentials.Proof(ctx, server)
	if err != nil {
		return unready(err)
	}
	want, err := r.machine(ctx, server)
	if err != nil {
		return "", "", err
	}
	answer, err := r.Asker.Ask(ctx, s.address, own)
	if err != nil {
		return reasons.ProofRefused, err.Error(), nil //nolint:nilerr // a machine that does not answer is no trouble of ours
	}
	v := talos.Judge(answer, want)
	if err := r.take(ctx, server, s, v); err != nil {
		return "", "", err
	}
	if v.Alive && !v.Running {
		if reason, message, err = r.etcd(ctx, server, s, want); err != nil || message != "" {
			return reason, message, err
		}
	}
	return reasons.ProofRefused, v.Why, nil
}

// unready is what a person has to do about credentials that are missing; any other error stays one.
func unready(err error) (reason, message string, trouble error) {
	if u := Unready(nil); errors.As(err, &u) {
		reason, message = u.Why()
		return reason, message, nil
	}
	return "", "", err
}

// machine is what the Server is known by.
func (r *Reconciler) machine(ctx context.Context, server *metal.Server) (talos.Machine, error) {
	var inventory metal.ServerInventory
	if err := r.Client.Get(ctx, types.NamespacedName{Name: server.Name}, &inventory); client.IgnoreNotFound(err) != nil {
		return talos.Machine{}, fmt.Errorf("reading ServerInventory %s: %w", server.Name, err)
	}
	id := identity.Of(server, &inventory.Spec)
	return talos.Machine{UUID: id.UUID, Serial: id.Serial}, nil
}

// take records what is proven, and then says that the system was heard.
func (r *Reconciler) take(ctx context.Context, server *metal.Server, s subject, v talos.Verdict) error {
	var took []string
	if v.Installed && !s.running {
		took = append(took, lifecycle.PhaseInstalled)
	}
	if v.Running && !s.running {
		took = append(took, lifecycle.PhaseRunning)
	}
	for _, phase := range took {
		if refused, err := r.signal(ctx, server.Name, s, phase); err != nil || refused {
			return err
		}
	}
	if v.Running || v.Alive && s.running {
		r.Sightings.Told(server.Name)
	}
	return nil
}

// errOver: the record asks for something else by now.
var errOver = errors.New("the boot or the binding is over")

// signal records one phase. It is refused when the record is not that of the subject any more.
func (r *Reconciler) signal(ctx context.Context, server string, s subject, phase string) (refused bool, err error) {
	g := lifecycle.Signal{Phase: phase}
	stage := metal.StageInstalled
	if g.BootID = s.boot; phase == lifecycle.PhaseRunning {
		g.BootID, g.EverySeconds, stage = "", int32(calm/time.Second), metal.StageRunning
	}
	var verdict lifecycle.Verdict
	err = r.store().Update(ctx, server, func(live *metal.Server) (record *metal.ServerRecord, err error) {
		now, ok := subjectOf(live.Spec.Record, r.Now())
		if !ok || now.binding != s.binding || now.boot != s.boot || now.address != s.address {
			return nil, errOver
		}
		record, verdict = lifecycle.TakeSignal(live, s.binding, g, r.Now())
		if verdict == lifecycle.VerdictRefused {
			return nil, errOver
		}
		return record, nil
	})
	switch {
	case over(err):
		return true, nil
	case err == nil && verdict == lifecycle.VerdictFirst:
		r.Log.Info("audit", "reason", "Proof", "phase", phase, "server", server, "binding", s.binding, "boot", s.boot, "source", s.address.String())
		r.Sightings.Adopt(server, s.boot, stage)
	}
	return false, err
}

// recall is what is known of a subject.
func (r *Reconciler) recall(server string, s subject) memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers[server].of(s)
}

// remember notes how a question ended, tells people what is new of it, and says when to ask again.
func (r *Reconciler) remember(server string, s subject, reason, message string) time.Duration {
	r.mu.Lock()
	if r.servers == nil {
		r.servers = map[string]remembered{}
	}
	was, now := r.servers[server], r.Now()
	m := remembered{was.of(s).after(now, message != ""), was.said}
	atOnce := reason == reasons.ProofMissing || reason == reasons.EtcdLost || reason == reasons.EtcdMemberKept
	news := message != "" && message != was.said && (atOnce || now.Sub(m.failing) >= quiet)
	if news || message == "" {
		m.said = message
	}
	r.servers[server] = m
	r.mu.Unlock()
	if news {
		r.Events.Event(server, true, reason, message)
	}
	return m.due(now).Sub(now)
}

// forget drops what is known of a Server that is not asked.
func (r *Reconciler) forget(server string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.servers, server)
}
