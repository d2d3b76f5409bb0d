// Package server reconciles Servers: gather what is known, let lifecycle decide, record the intent, act, record the outcome.
//
// Layer 3. It decides nothing itself and waits on no network but the API server's: the BMC plane takes orders and keeps readings, and wakes
// it when one changes. Invariants:
//   - The record is written, fenced by the resourceVersion of the read, before the action is begun. A stale reader therefore never acts.
//   - A crash between any two steps replays from the top; the only repeated effect is an idempotent *ensure* to a BMC.
//   - A server on which nothing changed costs no write.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/accounts"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/sightings"
)

// Plane is what the reconciler needs of the BMC plane. No call waits on a network.
type Plane interface {
	// Ensure starts or updates the worker of a server's BMC.
	Ensure(server string, target BMC)
	// Submit hands an action over. The latest one replaces any that was not begun.
	Submit(server string, action lifecycle.Action)
	// Latest is the last reading.
	Latest(server string) lifecycle.PowerReading
	// Forget ends the worker, if any.
	Forget(server string)
}

// BMC is where a BMC is and how to be let in.
type BMC struct {
	metal.BMC
	Username string
	Password bmc.Secret
	// Firmware is what the server boots with, where IPMI may need it; empty where nobody knows.
	Firmware metal.BootMode
}

// Events records an event about a Server.
type Events interface {
	Event(server string, warning bool, reason, message string)
}

// Disks finds disks that more than one Server shows; see the package disks.
type Disks interface {
	// Elsewhere maps each of the WWIDs that another Server's inventory shows too to that Server.
	Elsewhere(ctx context.Context, server string, wwids []string) (map[string]string, error)
}

// Eraser keeps signed erase records; see the package erase/ledger.
type Eraser interface {
	// Publish keeps the record of the wipe that the Server's record holds; one that is there already is left as it is. The inventory may be nil.
	Publish(ctx context.Context, server *metal.Server, inventory *metal.ServerInventorySpec) error
	// Published says whether the record of this generation of a wipe is kept.
	Published(ctx context.Context, server, wipeID string, generation int64) (bool, error)
}

// Workloads says what keeps a claimed server from booting its operating system.
type Workloads interface {
	// Ready is empty when Environment and machine config are there; otherwise one of the reasons of Ingot, with a message for people that holds no secret.
	Ready(ctx context.Context, server *metal.Server) (reason, message string, err error)
}

// Idle says what Available servers do.
type Idle interface {
	// Warm says that a class which the server fits lets it wait in the agent. The inventory may be nil.
	Warm(ctx context.Context, server *metal.Server, inventory *metal.ServerInventorySpec) (bool, error)
}

// Accounts keeps Ingot's own accounts at BMCs; see the package accounts.
type Accounts interface {
	Read(ctx context.Context, server string) (accounts.Held, error)
	Keep(ctx context.Context, server, accountID, username string) error
	Take(ctx context.Context, server, accountID string) error
	Forget(ctx context.Context, server, accountID string) error
}

// Reconciler reconciles Servers. All fields but Limit, DryRun and Passports are required; Accounts where a record may name an account. It is used by pointer, and safe for concurrent use; all that it keeps
// in memory may be lost at any moment.
type Reconciler struct {
	// Client reads from the cache and writes.
	Client client.Client
	// Live reads from the API server itself: Secrets, which are never cached, and what a stale cache must not decide.
	Live         client.Reader
	Plane        Plane
	Sightings    *sightings.Store
	Events       Events
	Disks        Disks
	Eraser       Eraser
	Workloads    Workloads
	Idle         Idle
	Accounts     Accounts
	Passports    Passports // nil: nothing is handed over
	Installation string
	Now          func() time.Time
	// Random makes ids: 16 bytes for each reconcile.
	Random io.Reader
	// Limit of destructive actions; the zero value is the default.
	Limit Limit
	// DryRun withholds every grant.
	DryRun bool

	grants grants
}

// Reconcile makes one step with one server.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var server metal.Server
	if err := r.Client.Get(ctx, req.NamespacedName, &server); apierrors.IsNotFound(err) {
		r.Plane.Forget(req.Name)
		r.Plane.Forget(trial(req.Name))
		r.Sightings.Forget(req.Name)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading Server %s: %w", req.Name, err)
	}
	observation, err := r.gather(ctx, &server)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.markOff(observation)
	plan, err := r.intend(ctx, observation, lifecycle.Decide(observation))
	if err != nil {
		return requeueOnConflict(err)
	}
	acted := r.act(ctx, observation, plan.Action)
	if err := r.recordOutcome(ctx, &server, plan); err != nil {
		return requeueOnConflict(errors.Join(err, acted))
	}
	r.tell(server.Name, plan.Events)
	return ctrl.Result{RequeueAfter: plan.After}, acted
}

// act begins the plan's action, if any.
func (r *Reconciler) act(ctx context.Context, o lifecycle.Observation, action lifecycle.Action) error {
	switch {
	case action.Kind == lifecycle.NoAction:
		return nil
	case action.Kind == lifecycle.PublishErase:
		return r.publish(ctx, o)
	case action.Kind == lifecycle.WritePassport:
		return r.Passports.Write(ctx, o.Server, o.Inventory)
	case action.Kind == lifecycle.EmptyPassport:
		return r.Passports.Empty(ctx, o.Server.Name)
	}
	if done, err := r.account(ctx, o, action); done {
		return err
	}
	log.FromContext(ctx).Info("Ordering power", "action", action.Kind, "actionID", action.ID)
	r.Plane.Submit(o.Server.Name, action)
	return nil
}

// publish keeps the erase record. Without it the wipe does not count, so a person is told what is in the way.
func (r *Reconciler) publish(ctx context.Context, o lifecycle.Observation) error {
	err := r.Eraser.Publish(ctx, o.Server, o.Inventory)
	if err != nil {
		r.Events.Event(o.Server.Name, true, reasons.EraseNotKept, "The disks are clean, and their signed erase record cannot be kept: "+err.Error())
	}
	return err
}

// tell emits the plan's events, after what they tell of was written.
func (r *Reconciler) tell(server string, events []lifecycle.Event) {
	for _, e := range events {
		r.Events.Event(server, e.Warning, e.Reason, e.Message)
	}
}

// requeueOnConflict turns a lost race into another try without noise in the log: whoever won wakes us through the cache as well.
func requeueOnConflict(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || errors.Is(err, errStale) {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	return ctrl.Result{}, err
}
