package certificates

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// InjectFrom is the annotation by which an object asks for the authority of a Certificate, as NAMESPACE/NAME.
const InjectFrom = "cert-manager.io/inject-ca-from"

// injector keeps the authority in objects of one kind.
type injector struct {
	client client.Client
	reader client.Reader // uncached: of CRDs only the metadata is cached
	bundle []byte
	make   func() client.Object
	list   func() client.ObjectList
}

func addInjectors(m ctrl.Manager, a Authority) error {
	for name, i := range map[string]*injector{
		"crds": {
			make: func() client.Object { return &apiextensionsv1.CustomResourceDefinition{} },
			list: func() client.ObjectList { return metadataList("CustomResourceDefinitionList") },
		},
		"validating-webhooks": {
			make: func() client.Object { return &admissionv1.ValidatingWebhookConfiguration{} }, list: func() client.ObjectList { return &admissionv1.ValidatingWebhookConfigurationList{} },
		},
		"mutating-webhooks": {
			make: func() client.Object { return &admissionv1.MutatingWebhookConfiguration{} }, list: func() client.ObjectList { return &admissionv1.MutatingWebhookConfigurationList{} },
		},
	} {
		i.client, i.reader, i.bundle = m.GetClient(), m.GetAPIReader(), a.Bundle()
		b := ctrl.NewControllerManagedBy(m).Named("webhook-authority-" + name)
		opts := []builder.ForOption{builder.WithPredicates(predicate.NewPredicateFuncs(asks))}
		if name == "crds" {
			opts = append(opts, builder.OnlyMetadata) // schemas are large, and none of our business
		}
		if err := b.For(i.make(), opts...).Watches(certificate(), handler.EnqueueRequestsFromMapFunc(i.askers)).Complete(i); err != nil {
			return err
		}
	}
	return nil
}

func metadataList(kind string) *metav1.PartialObjectMetadataList {
	l := &metav1.PartialObjectMetadataList{}
	l.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind(kind))
	return l
}

func asks(o client.Object) bool { return o.GetAnnotations()[InjectFrom] != "" }

// askers are the objects that ask for a Certificate's authority.
func (i *injector) askers(ctx context.Context, cert client.Object) []reconcile.Request {
	l := i.list()
	if err := i.client.List(ctx, l); err != nil {
		return nil // the cache is not there: the object's own event comes
	}
	var out []reconcile.Request
	for o := range each(l) {
		if o.GetAnnotations()[InjectFrom] == cert.GetNamespace()+"/"+cert.GetName() {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o)})
		}
	}
	return out
}

// Reconcile injects.
func (i *injector) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	o := i.make()
	if err := i.reader.Get(ctx, req.NamespacedName, o); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	namespace, name, ok := strings.Cut(o.GetAnnotations()[InjectFrom], "/")
	if !ok || o.GetDeletionTimestamp() != nil {
		return ctrl.Result{}, nil
	}
	if err := i.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, certificate()); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err) // it wakes us when it comes
	}
	if !Inject(o, i.bundle) {
		return ctrl.Result{}, nil
	}
	if err := i.client.Update(ctx, o); err != nil {
		return ctrl.Result{}, fmt.Errorf("putting the authority of webhooks into %s: %w", req.Name, err)
	}
	return ctrl.Result{}, nil
}

// Inject puts an authority into a CRD or a configuration of webhooks, and says whether that changed it.
func Inject(o client.Object, bundle []byte) (changed bool) {
	set := func(c *[]byte, service bool) {
		if service && !bytes.Equal(*c, bundle) {
			*c, changed = bundle, true
		}
	}
	switch o := o.(type) {
	case *apiextensionsv1.CustomResourceDefinition:
		if c := o.Spec.Conversion; c != nil && c.Webhook != nil && c.Webhook.ClientConfig != nil {
			set(&c.Webhook.ClientConfig.CABundle, c.Webhook.ClientConfig.Service != nil)
		}
	case *admissionv1.ValidatingWebhookConfiguration:
		for i := range o.Webhooks {
			set(&o.Webhooks[i].ClientConfig.CABundle, o.Webhooks[i].ClientConfig.Service != nil)
		}
	case *admissionv1.MutatingWebhookConfiguration:
		for i := range o.Webhooks {
			set(&o.Webhooks[i].ClientConfig.CABundle, o.Webhooks[i].ClientConfig.Service != nil)
		}
	}
	return changed
}
