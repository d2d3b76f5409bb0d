package certificates

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// recheck bounds how long a lost Secret stays lost: they are not watched, since there are many that are none of ours.
const recheck = time.Hour

// keeper keeps a Certificate's Secret.
type keeper struct {
	client    client.Client
	authority Authority
	now       func() time.Time
}

func (k *keeper) add(m ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(m).Named("certificates").For(certificate()).Complete(k)
}

// Reconcile issues and renews.
func (k *keeper) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	o := certificate()
	if err := k.client.Get(ctx, req.NamespacedName, o); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if o.GetDeletionTimestamp() != nil {
		return ctrl.Result{}, nil
	}
	w, problem := read(o)
	if problem != "" {
		return ctrl.Result{}, k.say(ctx, o, reasonInvalid, problem, time.Time{}, time.Time{})
	}
	s, err := k.secret(ctx, req.Namespace, w.secret)
	if err != nil {
		return ctrl.Result{}, err
	}
	if s.ResourceVersion != "" && foreign(s, o.GetName()) {
		return ctrl.Result{RequeueAfter: recheck}, k.say(ctx, o, reasonTaken, fmt.Sprintf("the Secret %s is there already, and is not this Certificate's: delete it, or name another one", w.secret), time.Time{}, time.Time{})
	}
	renew, end := renewal(s, w, k.authority.Bundle())
	now := k.now()
	if !now.Before(renew) {
		if err := k.issue(ctx, s, o.GetName(), w); err != nil {
			return ctrl.Result{}, err
		}
		renew, end = renewal(s, w, k.authority.Bundle())
	}
	return ctrl.Result{RequeueAfter: min(recheck, renew.Sub(now))}, k.say(ctx, o, reasonReady, "signed by Ingot's authority of webhooks", renew, end)
}

// secret is the one of that name, an empty one when there is none.
func (k *keeper) secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	s := &corev1.Secret{}
	err := k.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, s)
	if errors.IsNotFound(err) {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: corev1.SecretTypeTLS}, nil
	}
	return s, err
}

func (k *keeper) issue(ctx context.Context, s *corev1.Secret, name string, w wanted) error {
	cert, key, err := k.authority.Serving(w.names, k.now(), w.life)
	if err != nil {
		return fmt.Errorf("signing a certificate: %w", err)
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[owner] = name
	s.Data = map[string][]byte{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key, caKey: k.authority.Bundle()}
	if s.ResourceVersion == "" {
		return k.client.Create(ctx, s)
	}
	return k.client.Update(ctx, s)
}

// say writes the status when it changes.
func (k *keeper) say(ctx context.Context, o *unstructured.Unstructured, reason, message string, renew, end time.Time) error {
	before := o.DeepCopy()
	setStatus(o, reason, message, renew, end, k.now())
	if fmt.Sprint(before.Object["status"]) == fmt.Sprint(o.Object["status"]) {
		return nil
	}
	return client.IgnoreNotFound(k.client.Status().Patch(ctx, o, client.MergeFrom(before)))
}

// setStatus writes the status in cert-manager's form.
func setStatus(o *unstructured.Unstructured, reason, message string, renew, end, now time.Time) {
	ready := string(metav1.ConditionFalse)
	if reason == reasonReady {
		ready = string(metav1.ConditionTrue)
	}
	since := now.UTC().Format(time.RFC3339)
	old, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range old {
		if m, ok := c.(map[string]any); ok && m["type"] == "Ready" && m["status"] == ready {
			if t, ok := m["lastTransitionTime"].(string); ok {
				since = t
			}
		}
	}
	status := map[string]any{"conditions": []any{map[string]any{
		"type": "Ready", "status": ready, "reason": reason, "message": message, "lastTransitionTime": since, "observedGeneration": o.GetGeneration(),
	}}}
	if !end.IsZero() {
		status["notAfter"], status["renewalTime"] = end.UTC().Format(time.RFC3339), renew.UTC().Format(time.RFC3339)
	}
	o.Object["status"] = status
}
