package lab

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// declare writes each server down with its BMC and MACs, as an operator would, so that it can be switched on before it was ever seen.
func declare(ctx context.Context, c client.Client, bmcs []*bmc) error {
	for _, b := range bmcs {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-" + b.name},
			StringData: map[string]string{"username": bmcUser, "password": b.password},
		}
		if err := createOrReplace(ctx, c, secret); err != nil {
			return fmt.Errorf("writing the BMC credentials of %s: %w", b.name, err)
		}
		if err := declareServer(ctx, c, b, secret.Name); err != nil {
			return fmt.Errorf("declaring server %s: %w", b.name, err)
		}
	}
	return nil
}

func declareServer(ctx context.Context, c client.Client, b *bmc, secret string) error {
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: b.name}}
	err := c.Get(ctx, client.ObjectKeyFromObject(s), s)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	found := err == nil
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations["metal.ingot.dev/console"] = "unix:" + b.console
	annotate(s, b.kinds)
	s.Spec.BMC = &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: b.host, Port: b.port, CredentialsSecret: secret, TLSFingerprint: b.fingerprint}
	s.Spec.Identity = &metal.Identity{MACs: b.macs}
	s.Spec.Location = &metal.Location{Site: "lab", Rack: "rack1"}
	if found {
		return c.Update(ctx, s)
	}
	return c.Create(ctx, s)
}

func createOrReplace(ctx context.Context, c client.Client, secret *corev1.Secret) error {
	err := c.Create(ctx, secret)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	secret.ResourceVersion = ""
	return c.Update(ctx, secret)
}

// powerOn asks for power as `ingot power on` does.
func powerOn(ctx context.Context, c client.Client, b *bmc, id string, now time.Time) error {
	s := &metal.Server{}
	if err := c.Get(ctx, client.ObjectKey{Name: b.name}, s); err != nil {
		return fmt.Errorf("switching %s on: %w", b.name, err)
	}
	patch := client.MergeFrom(s.DeepCopy())
	s.Spec.PowerRequest = &metal.PowerRequest{ID: id, Action: metal.PowerActionOn, RequestedAt: metav1.NewTime(now)}
	if err := c.Patch(ctx, s, patch); err != nil {
		return fmt.Errorf("switching %s on: %w", b.name, err)
	}
	return nil
}
