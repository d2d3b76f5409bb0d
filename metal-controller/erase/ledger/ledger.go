// Package ledger keeps signed erase records in ConfigMaps of the system namespace, and the key that signs them in a Secret there.
//
// Layer 3: it writes Kubernetes objects. Invariants:
//   - A record is created once and never changed: the ConfigMap is immutable, and one that exists already counts only if this installation's key
//     signed it for that server, wipe and generation. A forged one proves nothing, and is an error that names what to delete.
//   - The last records of each server are kept, whether or not the Server still exists: an auditor asks later.
package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/erase"
)

// kept is how many records of one server are kept.
const kept = 20

// Ledger publishes records. All fields are required; it is safe for concurrent use.
type Ledger struct {
	// Client writes.
	Client client.Client
	// Live reads from the API server itself: ConfigMaps are not cached.
	Live client.Reader
	// Signer has the installation's key.
	Signer *erase.Signer
	// Installation is its random id.
	Installation string
}

// errForged says that a ConfigMap stands where a record of ours belongs.
var errForged = errors.New("it is no erase record of this installation")

// Published says whether the record of this generation of a wipe is there, signed by us. That of another generation tells of another boot.
func (l *Ledger) Published(ctx context.Context, server, wipeID string, generation int64) (bool, error) {
	var m corev1.ConfigMap
	err := l.Live.Get(ctx, client.ObjectKey{Namespace: metal.SystemNamespace, Name: erase.Name(server, erase.Turn(wipeID, generation))}, &m)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading an erase record: %w", err)
	}
	return l.ours(&m, server, wipeID, generation), nil
}

// ours tells the record of this very wipe, signed by us, from anything else under its name.
func (l *Ledger) ours(m *corev1.ConfigMap, server, wipeID string, generation int64) bool {
	r, err := erase.Verify([]byte(m.Data[erase.EnvelopeField]), l.Signer.PublicKey())
	return err == nil && r.Installation == l.Installation && r.Server == server && r.Wipe.ID == wipeID && r.Wipe.Generation == generation
}

// Publish signs the record of the wipe that the Server's record holds, and keeps it. One that is there already is left as it is. The inventory may
// be nil.
func (l *Ledger) Publish(ctx context.Context, server *metal.Server, inventory *metal.ServerInventorySpec) error {
	record, err := erase.Of(l.Installation, server, inventory)
	if err != nil {
		return err
	}
	envelope, err := l.Signer.Sign(record)
	if err != nil {
		return err
	}
	err = l.Client.Create(ctx, object(record, envelope))
	if apierrors.IsAlreadyExists(err) {
		return l.standing(ctx, record)
	}
	if err != nil {
		return fmt.Errorf("keeping the erase record of %s: %w", server.Name, err)
	}
	return l.prune(ctx, server.Name, name(record))
}

// standing says what is wrong with the ConfigMap that has the record's name already; nil when it is the record.
func (l *Ledger) standing(ctx context.Context, r erase.Record) error {
	ok, err := l.Published(ctx, r.Server, r.Wipe.ID, r.Wipe.Generation)
	if err == nil && !ok {
		err = fmt.Errorf("keeping the erase record of %s: the ConfigMap %s in %s is in its place: %w; delete it", r.Server, name(r), metal.SystemNamespace, errForged)
	}
	return err
}

func turn(r erase.Record) string { return erase.Turn(r.Wipe.ID, r.Wipe.Generation) }

func name(r erase.Record) string { return erase.Name(r.Server, turn(r)) }

func object(r erase.Record, envelope []byte) *corev1.ConfigMap {
	immutable := true
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metal.SystemNamespace, Name: name(r),
			Labels: map[string]string{erase.LabelServer: r.Server, erase.LabelWipe: turn(r)},
		},
		Immutable: &immutable,
		Data:      map[string]string{erase.EnvelopeField: string(envelope)},
	}
}

// prune deletes the oldest records of a server, never the one just written. What is no record of ours is left alone.
func (l *Ledger) prune(ctx context.Context, server, newest string) error {
	var list corev1.ConfigMapList
	if err := l.Live.List(ctx, &list, client.InNamespace(metal.SystemNamespace), client.MatchingLabels{erase.LabelServer: server}); err != nil {
		return fmt.Errorf("listing the erase records of %s: %w", server, err)
	}
	ours := slices.DeleteFunc(list.Items, func(m corev1.ConfigMap) bool {
		return m.Name == newest || m.Name != erase.Name(server, m.Labels[erase.LabelWipe])
	})
	slices.SortFunc(ours, func(a, b corev1.ConfigMap) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for i := kept - 1; i < len(ours); i++ {
		if err := client.IgnoreNotFound(l.Client.Delete(ctx, &ours[i])); err != nil {
			return fmt.Errorf("deleting an old erase record of %s: %w", server, err)
		}
	}
	return nil
}
