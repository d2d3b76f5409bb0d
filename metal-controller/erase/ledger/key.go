package ledger

import (
	"context"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/erase"
)

// Key reads the installation's key for erase records and makes it where there is none; replicas that start at once agree, since the first to create
// wins. A Secret that is damaged is an error and is never replaced: records that were signed before would look forged. The public key is published
// beside it.
func Key(ctx context.Context, c client.Client, random io.Reader) (*erase.Signer, error) {
	fresh, err := erase.NewKey(random)
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{ObjectMeta: named(), Data: map[string][]byte{erase.PrivateKeyField: fresh}}
	if err := readOrCreate(ctx, c, secret); err != nil {
		return nil, err
	}
	signer, err := erase.NewSigner(secret.Data[erase.PrivateKeyField])
	if err != nil {
		return nil, fmt.Errorf("the Secret %s in %s is damaged, restore it from a backup: %w", erase.KeyName, metal.SystemNamespace, err)
	}
	return signer, publish(ctx, c, signer)
}

// publish makes the ConfigMap with the public key. Another key in it would make true records look forged.
func publish(ctx context.Context, c client.Client, s *erase.Signer) error {
	m := &corev1.ConfigMap{ObjectMeta: named(), Data: map[string]string{
		erase.PublicKeyField: string(s.PublicKey()), erase.FingerprintField: s.Fingerprint(),
	}}
	if err := readOrCreate(ctx, c, m); err != nil {
		return err
	}
	if m.Data[erase.PublicKeyField] != string(s.PublicKey()) {
		return fmt.Errorf("the ConfigMap %s in %s holds another public key than its Secret's: delete it, and it is made again", erase.KeyName, metal.SystemNamespace)
	}
	return nil
}

func named() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: erase.KeyName}
}

// readOrCreate fills object from the API server, or creates it as it is.
func readOrCreate(ctx context.Context, c client.Client, object client.Object) error {
	fresh := object.DeepCopyObject().(client.Object)
	err := c.Get(ctx, client.ObjectKeyFromObject(object), object)
	if apierrors.IsNotFound(err) {
		if err = c.Create(ctx, fresh); err == nil || apierrors.IsAlreadyExists(err) {
			err = c.Get(ctx, client.ObjectKeyFromObject(object), object)
		}
	}
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("reading or making %T %s: %w; the rights come with kubectl apply --server-side -f metal-controller/config", object, object.GetName(), err)
	}
	if err != nil {
		return fmt.Errorf("reading or making %T %s: %w", object, object.GetName(), err)
	}
	return nil
}
