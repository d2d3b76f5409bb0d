// Package accounts keeps Ingot's own accounts at BMCs: one Secret for each server, in the system namespace.
//
// It is an adapter (layer 2) over Kubernetes' client. It decides nothing: lifecycle says what is kept, taken and forgotten. Invariants:
//   - Each change is one write of the Secret, fenced by its resourceVersion, and by the id of the account: doing it twice is doing it once.
//   - A password that the BMC may know leaves the Secret only by Forget, or when another account of the same server is kept in its place before it was ever used.
//   - A Secret that is not labelled as Ingot's is not touched.
package accounts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bmc"
)

// Label marks Ingot's Secrets; its value is the name of the Server.
const Label = "metal.ingot.dev/bmc-account"

// Prefixes of the keys of the account that comes and of the one that was. The one in use has the keys that every BMC Secret has.
const (
	next = "next-"
	old  = "old-"
	id   = "id"
)

// ErrStrange: there is a Secret of that name, and it is not Ingot's.
var ErrStrange = errors.New("the Secret is not Ingot's")

// Account is a name and a password, with the id under which lifecycle knows it.
type Account struct {
	ID, Username string
	Password     bmc.Secret
}

// Held is what the Secret of a server holds; empty accounts are not there.
type Held struct {
	Current, Next, Old Account
	// Strange says that the Secret is not Ingot's; nothing of it is shown then.
	Strange bool
}

// Keeper reads and writes the Secrets. All fields are required.
type Keeper struct {
	// Client writes; Live reads from the API server itself, since Secrets are never cached.
	Client client.Client
	Live   client.Reader
	// Name is the name of a server's Secret.
	Name func(server string) string
	// Random makes passwords.
	Random io.Reader
}

// Read says what is held.
func (k *Keeper) Read(ctx context.Context, server string) (Held, error) {
	s, err := k.get(ctx, server)
	switch {
	case errors.Is(err, ErrStrange):
		return Held{Strange: true}, nil
	case err != nil || s == nil:
		return Held{}, err
	}
	return Held{Current: account(s.Data, ""), Next: account(s.Data, next), Old: account(s.Data, old)}, nil
}

func account(data map[string][]byte, prefix string) Account {
	return Account{
		ID: string(data[prefix+id]), Username: string(data[prefix+corev1.BasicAuthUsernameKey]), Password: bmc.NewSecret(string(data[prefix+corev1.BasicAuthPasswordKey])),
	}
}

// Keep makes a password for the account, unless one is held for this id.
func (k *Keeper) Keep(ctx context.Context, server, accountID, username string) error {
	password, err := newPassword(k.Random)
	if err != nil {
		return err
	}
	return k.change(ctx, server, func(data map[string][]byte) {
		if string(data[next+id]) == accountID {
			return
		}
		data[next+id], data[next+corev1.BasicAuthUsernameKey], data[next+corev1.BasicAuthPasswordKey] = []byte(accountID), []byte(username), password
	})
}

// Take makes the next account the one in use, if it is this one. The one before is held on.
func (k *Keeper) Take(ctx context.Context, server, accountID string) error {
	return k.change(ctx, server, func(data map[string][]byte) {
		if string(data[next+id]) != accountID {
			return
		}
		for _, key := range []string{id, corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey} {
			if before, there := data[key]; there {
				data[old+key] = before
			}
			data[key] = data[next+key]
			delete(data, next+key)
		}
	})
}

// Forget takes the account before this one away.
func (k *Keeper) Forget(ctx context.Context, server, accountID string) error {
	return k.change(ctx, server, func(data map[string][]byte) {
		if string(data[id]) != accountID {
			return
		}
		for _, key := range []string{id, corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey} {
			delete(data, old+key)
		}
	})
}

// change writes what edit makes of the Secret, if that is something else.
func (k *Keeper) change(ctx context.Context, server string, edit func(map[string][]byte)) error {
	s, err := k.get(ctx, server)
	if err != nil {
		return err
	}
	fresh := s == nil
	if fresh {
		s = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: k.Name(server), Labels: map[string]string{Label: server}}}
	}
	data := maps.Clone(s.Data)
	if data == nil {
		data = map[string][]byte{}
	}
	edit(data)
	if maps.EqualFunc(data, s.Data, bytes.Equal) {
		return nil
	}
	s.Data = data
	if fresh {
		err = k.Client.Create(ctx, s)
	} else {
		err = k.Client.Update(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("writing the Secret %s: %w", s.Name, err)
	}
	return nil
}

// get is nil where there is none.
func (k *Keeper) get(ctx context.Context, server string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := k.Live.Get(ctx, types.NamespacedName{Namespace: metal.SystemNamespace, Name: k.Name(server)}, &s)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the Secret %s: %w", k.Name(server), err)
	case s.Labels[Label] != server:
		return nil, fmt.Errorf("%w: %s", ErrStrange, k.Name(server))
	}
	return &s, nil
}
