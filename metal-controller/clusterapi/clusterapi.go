// Package clusterapi is what Ingot knows of Cluster API's objects: how they are found from ours, when they are paused, and how conditions are set by the
// contract v1beta2.
//
// Adapter (layer 2) of sigs.k8s.io/cluster-api/api: it reads, and decides nothing.
package clusterapi

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/allocate"
)

// maxMessage of a condition in bytes, far below what the API takes.
const maxMessage = 1024

// Held says why nothing is to be done about an object, empty when nothing holds it: its Cluster is paused, it is paused itself, or clusterctl moves it away.
func Held(cluster *clusterv1.Cluster, o client.Object) string {
	switch {
	case cluster != nil && cluster.Spec.Paused != nil && *cluster.Spec.Paused:
		return "The Cluster " + cluster.Name + " is paused."
	case has(o, clusterv1.PausedAnnotation):
		return "It has the annotation " + clusterv1.PausedAnnotation + "."
	case has(o, metal.MoveAnnotation) && o.GetDeletionTimestamp() != nil: // one that a dead clusterctl left, or that came along with a copy, means nothing
		return "clusterctl moves it to another API server."
	}
	return ""
}

func has(o client.Object, annotation string) bool {
	_, ok := o.GetAnnotations()[annotation]
	return ok
}

// OwnerNamed is the name of the owner of one of Cluster API's kinds that an object has; empty when it has none.
func OwnerNamed(o client.Object, kind string) string {
	for _, ref := range o.GetOwnerReferences() {
		gv, err := schema.ParseGroupVersion(ref.APIVersion)
		if err == nil && gv.Group == clusterv1.GroupVersion.Group && ref.Kind == kind {
			return ref.Name
		}
	}
	return ""
}

// Find reads an object and says whether there is one; an empty name is none.
func Find(ctx context.Context, r client.Reader, namespace, name string, o client.Object) (bool, error) {
	if name == "" {
		return false, nil
	}
	err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, o)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading %T %s/%s: %w", o, namespace, name, err)
	}
	return true, nil
}

// Condition is what a condition shall say; the zero one says nothing.
type Condition struct {
	Status          metav1.ConditionStatus
	Reason, Message string
}

// Yes is a condition that is true.
func Yes(reason, message string) Condition { return Condition{metav1.ConditionTrue, reason, message} }

// No is one that is false.
func No(reason, message string) Condition { return Condition{metav1.ConditionFalse, reason, message} }

// PausedCondition is the contract's condition Paused, with why.
func PausedCondition(why string) Condition {
	if why == "" {
		return No(clusterv1.NotPausedReason, "Nothing holds it.")
	}
	return Yes(clusterv1.PausedReason, why+" Nothing is done until that is over.")
}

// Set sets one condition and says whether its reason changed; its transition time changes only with its status.
func Set(all *[]metav1.Condition, typ string, c Condition, generation int64, now time.Time) (changed bool) {
	c.Message = allocate.Clip(c.Message, maxMessage)
	old := meta.FindStatusCondition(*all, typ)
	changed = old == nil || old.Reason != c.Reason
	meta.SetStatusCondition(all, metav1.Condition{
		Type: typ, Status: c.Status, Reason: c.Reason, Message: c.Message, ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now),
	})
	return changed
}
