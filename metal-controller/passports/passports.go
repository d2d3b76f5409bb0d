// Package passports keeps what goes with a server to another API server: one Secret for each claimed server, in the system namespace, which every move of clusterctl
// takes along and deletes where it came from.
//
// It is an adapter (layer 2) over Kubernetes' client. It decides nothing: lifecycle says when a passport is filled in and when it counts. Invariants:
//   - It is empty until its server is let go, and again once somebody manages the server: BMC passwords travel with their own server only.
//   - A Secret that is not labelled as Ingot's is not touched.
package passports

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// Label marks Ingot's Secrets; its value is the name of the Server.
const Label = "metal.ingot.dev/passport"

// Keys of the Secret.
const (
	content    = "passport"
	secretName = "credentials-name"
	secretOwn  = "credentials-label" // the value of the label that marks Ingot's own accounts, where the credentials are one
	credential = "credentials."
)

// ErrStrange: there is a Secret of that name, and it is not Ingot's.
var ErrStrange = errors.New("the Secret is not Ingot's")

// Keeper reads and writes the Secrets. All fields are required.
type Keeper struct {
	// Client writes; Live reads from the API server itself, since Secrets are never cached.
	Client client.Client
	Live   client.Reader
	// Own is the label of the Secrets with Ingot's own accounts at BMCs.
	Own string
}

// Read says what there is.
func (k *Keeper) Read(ctx context.Context, server string) (lifecycle.PassportView, error) {
	s, err := k.get(ctx, server)
	if err != nil || s == nil {
		return lifecycle.PassportView{}, err
	}
	return lifecycle.PassportView{Found: true, CreatedAt: s.CreationTimestamp.Time, Content: lifecycle.DecodePassport(s.Data[content])}, nil
}

// Hold makes an empty passport, unless there is one.
func (k *Keeper) Hold(ctx context.Context, server string) error {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: metal.SystemNamespace, Name: lifecycle.PassportSecret(server), Labels: map[string]string{Label: server, metal.MoveLabel: ""},
	}}
	if err := k.Client.Create(ctx, s); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the passport %s: %w", s.Name, err)
	}
	return nil
}

// Write fills a passport in, with the credentials of the server's BMC.
func (k *Keeper) Write(ctx context.Context, server *metal.Server, inventory *metal.ServerInventorySpec) error {
	text, err := lifecycle.PassportOf(server, inventory).Encode()
	if err != nil {
		return err
	}
	data := map[string][]byte{content: text}
	if server.Spec.BMC != nil {
		var s corev1.Secret
		err := k.Live.Get(ctx, key(server.Spec.BMC.CredentialsSecret), &s)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading BMC credentials %s: %w", server.Spec.BMC.CredentialsSecret, err)
		}
		if err == nil {
			data[secretName] = []byte(s.Name)
			if own, ok := s.Labels[k.Own]; ok {
				data[secretOwn] = []byte(own)
			}
			for name, value := range s.Data {
				data[credential+name] = value
			}
		}
	}
	return k.put(ctx, server.Name, data)
}

// Empty takes out what is in a passport.
func (k *Keeper) Empty(ctx context.Context, server string) error { return k.put(ctx, server, nil) }

// Unpack puts the credentials that came with a server where its BMC looks for them. An account of Ingot's own is renewed: it may have been rotated since it was
// here last. A Secret of somebody else stays.
func (k *Keeper) Unpack(ctx context.Context, server string) error {
	passport, err := k.get(ctx, server)
	if err != nil || passport == nil || len(passport.Data[secretName]) == 0 {
		return err
	}
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: string(passport.Data[secretName])}, Data: map[string][]byte{}}
	for name, value := range passport.Data {
		if name, ok := strings.CutPrefix(name, credential); ok {
			s.Data[name] = value
		}
	}
	own, isOwn := passport.Data[secretOwn]
	if isOwn {
		s.Labels = map[string]string{k.Own: string(own)}
	}
	err = k.Client.Create(ctx, s)
	if apierrors.IsAlreadyExists(err) && isOwn {
		return k.renew(ctx, s, string(own))
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("putting the credentials %s in place: %w", s.Name, err)
	}
	return nil
}

func (k *Keeper) renew(ctx context.Context, s *corev1.Secret, own string) error {
	var there corev1.Secret
	if err := k.Live.Get(ctx, key(s.Name), &there); err != nil {
		return fmt.Errorf("reading the Secret %s: %w", s.Name, err)
	}
	if there.Labels[k.Own] != own || maps.EqualFunc(there.Data, s.Data, bytes.Equal) {
		return nil
	}
	there.Data = s.Data
	if err := k.Client.Update(ctx, &there); err != nil {
		return fmt.Errorf("putting the credentials %s in place: %w", s.Name, err)
	}
	return nil
}

// put writes the data of a passport that is there, if it has other data.
func (k *Keeper) put(ctx context.Context, server string, data map[string][]byte) error {
	s, err := k.get(ctx, server)
	if err != nil || s == nil || maps.EqualFunc(s.Data, data, bytes.Equal) {
		return err
	}
	s.Data = data
	if err := k.Client.Update(ctx, s); err != nil {
		return fmt.Errorf("writing the passport %s: %w", s.Name, err)
	}
	return nil
}

// get is nil where there is none.
func (k *Keeper) get(ctx context.Context, server string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := k.Live.Get(ctx, key(lifecycle.PassportSecret(server)), &s)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the passport of Server %s: %w", server, err)
	case s.Labels[Label] != server:
		return nil, fmt.Errorf("%w: %s", ErrStrange, s.Name)
	}
	return &s, nil
}

func key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: metal.SystemNamespace, Name: name}
}
