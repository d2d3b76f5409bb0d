// Package desk says what an agent may do to the Server that its certificate names, and does it: claim a boot, ask for its task, report its
// inventory, report how a task fares. It knows no wire, so that a simulator calls the very code that the agent port calls.
//
// Layer 3. It decides nothing itself: lifecycle judges every caller, every claim and every task. Invariants:
//   - What permits anything is read from the API server itself, never from the cache.
//   - The record is written before the caller is answered, fenced by the resourceVersion of the Server that was judged. Whoever loses that race
//     reads and judges again.
//   - A refusal changes nothing.
package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/accounts"
	"ingot.dev/ingot/metal-controller/disks"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/records"
	"ingot.dev/ingot/metal-controller/sightings"
)

// Refusals. Every other error is trouble with the API server: the caller tries again.
var (
	// ErrGone: the Server does not exist.
	ErrGone = records.ErrGone
	// ErrForeign: another installation manages the Server.
	ErrForeign = records.ErrForeign
	// ErrNotExpected: the Server is accepted, and this is not the boot that it expects.
	ErrNotExpected = errors.New("the Server is accepted, and this boot is not proven to be its own")
	// ErrVoided: a second machine claimed the boot, which is now void for both.
	ErrVoided = errors.New("another machine claimed this boot already; it is void for both")
	// ErrNotBelieved: the caller's certificate does not count, or no longer, for its Server.
	ErrNotBelieved = errors.New("this certificate no longer counts for the Server")
	// ErrUnknownTask: the report is about a task that the record does not hold, or holds for another boot or generation.
	ErrUnknownTask = errors.New("no such task was given to this boot")
)

// Events records an event about a Server.
type Events interface {
	Event(server string, warning bool, reason, message string)
}

// Accounts reads Ingot's own accounts at BMCs.
type Accounts interface {
	Read(ctx context.Context, server string) (accounts.Held, error)
}

// Desk serves agents. All fields but Disks, Accounts and DryRun are required.
type Desk struct {
	// Client reads from the cache and writes; Live reads from the API server itself.
	Client       client.Client
	Live         client.Reader
	Sightings    *sightings.Store
	Events       Events
	Installation string
	Now          func() time.Time
	// Disks finds disks that other Servers show too; without a Reader it lists what Client knows.
	Disks disks.Finder
	// Accounts holds what an agent is told of an account at its BMC. It may be nil: then no account is handed out.
	Accounts Accounts
	// DryRun withholds every grant.
	DryRun bool
}

// records are the Servers as the API server itself has them.
func (d *Desk) records() records.Store {
	return records.Store{Client: d.Client, Live: d.Live, Installation: d.Installation}
}

// Admit says whether a caller's certificate still counts for its Server: nil, ErrGone or ErrNotBelieved. A cached Server that lets the caller in
// suffices, since nothing that permits anything rests on it. One that expects the caller's boot, or an agent that waits, may be older than the claim, and is
// read again; nobody else can make us ask the API server.
func (d *Desk) Admit(ctx context.Context, c lifecycle.Caller, server string) error {
	var s metal.Server
	err := d.Client.Get(ctx, types.NamespacedName{Name: server}, &s)
	switch {
	case err == nil && letsIn(&s, c):
		return nil
	case err == nil && !awaits(s.Spec.Record, c.BootID) && !handmade(&s):
		return ErrNotBelieved
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("reading Server %s: %w", server, err)
	}
	_, err = d.admitted(ctx, c, server)
	return err
}

// letsIn says that the caller is believed, or is the agent that waits, or did so until its server got a BMC.
func letsIn(s *metal.Server, c lifecycle.Caller) bool {
	return lifecycle.Believed(s, c) || lifecycle.Waits(s, c) || lifecycle.Retires(s, c)
}

// handmade says that agents of any boot may wait on the Server.
func handmade(s *metal.Server) bool { return s.Spec.BMC == nil && s.Spec.Accepted }

// awaits says that the boot of that id was neither claimed nor voided yet.
func awaits(r *metal.ServerRecord, bootID string) bool {
	return r != nil && r.Boot != nil && r.Boot.ID == bootID && r.Boot.Phase != metal.BootClaimed && r.Boot.Phase != metal.BootVoid
}

// admitted is the Server, read from the API server itself, for a caller that it lets in.
func (d *Desk) admitted(ctx context.Context, c lifecycle.Caller, server string) (*metal.Server, error) {
	s, err := d.records().Read(ctx, server)
	if err == nil && !letsIn(s, c) {
		return nil, ErrNotBelieved
	}
	return s, err
}
