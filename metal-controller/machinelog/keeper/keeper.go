// Package keeper writes what machines said of themselves into ConfigMaps of the system namespace, where `ingot logs` finds it.
//
// Layer 3: it writes Kubernetes objects. It runs on every replica, since machines speak to any. Invariants:
//   - It creates and deletes, and never changes anything: each write is a ConfigMap of its own, immutable, and the one before it is deleted afterwards. So
//     the controllers need no right to change ConfigMaps, among which erase records are, and two replicas never overwrite each other's lines.
//   - At most one write in half a second, however many servers speak, but for the last ones when the program ends.
package keeper

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machinelog"
)

const (
	// pause is the least time between two writes.
	pause = 500 * time.Millisecond
	// others is how many ConfigMaps of a server that this process did not write are left: those of another replica, and of the one before.
	others = 2
	// parting is how long the last lines may take to be written when the program ends.
	parting = 3 * time.Second
	// callTimeout bounds one write.
	callTimeout = 10 * time.Second
	// maxOwn bounds the memory of what was written; beyond it, ConfigMaps are looked for as after a start.
	maxOwn = 20000
)

// Keeper writes down what is in a Book. All fields are required. One goroutine uses it.
type Keeper struct {
	// Client reads Servers from the cache, and writes.
	Client client.Client
	// Live lists ConfigMaps, which are not cached.
	Live client.Reader
	Book *machinelog.Book
	Now  func() time.Time
	Log  logr.Logger

	own map[string]string // the ConfigMap that this process wrote last, by server
}

// NeedLeaderElection is false.
func (k *Keeper) NeedLeaderElection() bool { return false }

// Start writes until ctx ends, and then what is left.
func (k *Keeper) Start(ctx context.Context) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
			defer cancel()
			for last.Err() == nil && k.Step(last, true) {
			}
			return nil
		case <-tick.C:
			k.Step(ctx, false)
		}
	}
}

// Step writes the lines of one server, if any are due, and says whether there was one. Hurry does not wait for a pause.
func (k *Keeper) Step(ctx context.Context, hurry bool) bool {
	server, lines, ok := k.Book.Next(hurry)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := k.write(ctx, server, lines); err != nil {
		k.Log.Error(err, "Keeping the lines of a machine", "server", server)
		if !hurry {
			k.Book.Again(server)
		}
	}
	return true
}

func (k *Keeper) write(ctx context.Context, name string, lines []machinelog.Line) error {
	var server metal.Server
	if err := k.Client.Get(ctx, types.NamespacedName{Name: name}, &server); apierrors.IsNotFound(err) {
		k.Book.Forget(name)
		delete(k.own, name)
		return nil // its ConfigMaps went with it
	} else if err != nil {
		return fmt.Errorf("reading Server %s: %w", name, err)
	}
	packed, err := machinelog.Encode(lines)
	if err != nil {
		return err
	}
	m := object(&server, packed, k.Now())
	if err := k.Client.Create(ctx, m); err != nil {
		return fmt.Errorf("creating the ConfigMap %s: %w", m.Name, err)
	}
	return k.replace(ctx, name, m.Name)
}

// object goes when its Server does.
func object(s *metal.Server, packed []byte, now time.Time) *corev1.ConfigMap {
	immutable := true
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metal.SystemNamespace, Name: machinelog.Name(s.Name, now), Labels: map[string]string{machinelog.Label: s.Name},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: metal.GroupVersion.String(), Kind: "Server", Name: s.Name, UID: s.UID}},
		},
		Immutable:  &immutable,
		BinaryData: map[string][]byte{machinelog.Key: packed},
	}
}

// replace drops what the ConfigMap of this name is in place of: the one that this process wrote before; where it wrote none, all but the newest.
func (k *Keeper) replace(ctx context.Context, server, fresh string) error {
	before := k.own[server]
	if k.own == nil || len(k.own) >= maxOwn {
		k.own = map[string]string{}
	}
	k.own[server] = fresh
	if before != "" {
		return k.drop(ctx, before)
	}
	var list corev1.ConfigMapList
	if err := k.Live.List(ctx, &list, client.InNamespace(metal.SystemNamespace), client.MatchingLabels{machinelog.Label: server}); err != nil {
		return fmt.Errorf("listing the ConfigMaps of %s: %w", server, err)
	}
	var old []string
	for _, m := range list.Items {
		if m.Name != fresh && strings.HasPrefix(m.Name, machinelog.Prefix(server)) {
			old = append(old, m.Name)
		}
	}
	slices.Sort(old) // as their times
	for _, name := range old[:max(0, len(old)-others)] {
		if err := k.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) drop(ctx context.Context, name string) error {
	err := k.Client.Delete(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name}})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting the ConfigMap %s: %w", name, err)
	}
	return nil
}
