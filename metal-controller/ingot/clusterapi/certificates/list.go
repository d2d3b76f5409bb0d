package certificates

import (
	"iter"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// each goes through a list.
func each(l client.ObjectList) iter.Seq[client.Object] {
	return func(yield func(client.Object) bool) {
		switch l := l.(type) {
		case *metav1.PartialObjectMetadataList:
			all(l.Items, yield)
		case *admissionv1.ValidatingWebhookConfigurationList:
			all(l.Items, yield)
		case *admissionv1.MutatingWebhookConfigurationList:
			all(l.Items, yield)
		}
	}
}

// all yields pointers to items.
func all[T any, P interface {
	*T
	client.Object
}](items []T, yield func(client.Object) bool,
) {
	for i := range items {
		if !yield(P(&items[i])) {
			return
		}
	}
}
