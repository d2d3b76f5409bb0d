package distributed

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// identities are clients of the controllers' ServiceAccount and of the administrator, who is the control for what that one is refused.
func identities(t *testing.T) (controller, admin client.Client) {
	t.Helper()
	c := newCluster(t)
	cfg, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	ok(t, err)
	return clientFor(t, cfg), c.Client
}

// TestRightsToWork: the ServiceAccount can do what the controllers do, the record's policy included.
func TestRightsToWork(t *testing.T) {
	controller, admin := identities(t)
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "rights"}}
	record := func(c client.Client, id string) error {
		s := &metal.Server{}
		ok(t, admin.Get(t.Context(), client.ObjectKeyFromObject(server), s))
		s.Spec.Record = &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: id, Epoch: 1}}
		return c.Update(t.Context(), s, client.DryRunAll)
	}
	secret := &corev1.Secret{ObjectMeta: inSystem("rights")}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"create a Server", func() error { return controller.Create(t.Context(), server) }},
		{"write its record", func() error { return record(controller, "a") }},
		{"write its status", func() error {
			return controller.Status().Patch(t.Context(), server, client.RawPatch("application/merge-patch+json", []byte(`{"status":{}}`)))
		}},
		{"delete it", func() error { return controller.Delete(t.Context(), server, client.DryRunAll) }},
		{"read the labels of a Namespace", func() error {
			return controller.Get(t.Context(), client.ObjectKey{Name: metav1.NamespaceDefault}, &corev1.Namespace{})
		}},
		{"list claims", func() error { return controller.List(t.Context(), &metal.ServerClaimList{}) }},
		{"create a Secret", func() error { return controller.Create(t.Context(), secret) }},
		{"update it", func() error { return controller.Update(t.Context(), secret) }},
		{"get it", func() error { return controller.Get(t.Context(), client.ObjectKeyFromObject(secret), secret) }},
		{"write an event about a Server", func() error { return controller.Create(t.Context(), event(), client.DryRunAll) }},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.what, err)
		}
	}
	if err := record(admin, "b"); !apierrors.IsForbidden(err) {
		t.Errorf("control: an administrator writing the record got %v; want forbidden", err)
	}
	ok(t, admin.Delete(t.Context(), secret))
}

func event() *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "e"}, EventTime: metav1.NowMicro(), Type: corev1.EventTypeNormal,
		ReportingController: "ingot.dev/metal-controller", ReportingInstance: "i", Action: "Observe", Reason: "Test",
		Regarding: corev1.ObjectReference{Kind: "Server", APIVersion: metal.GroupVersion.String(), Name: "rights"},
	}
}

// TestRightsRefused: each thing that the ServiceAccount may not do is one that the administrator may.
func TestRightsRefused(t *testing.T) {
	controller, admin := identities(t)
	tenant := testapi.Namespace(t)
	ok(t, admin.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: "theirs"}}))
	lease := &coordinationv1.Lease{ObjectMeta: inSystem("foreign")}
	ok(t, client.IgnoreAlreadyExists(admin.Create(t.Context(), lease)))
	secret := &corev1.Secret{ObjectMeta: inSystem("ours")}
	ok(t, client.IgnoreAlreadyExists(admin.Create(t.Context(), secret)))
	for what, do := range map[string]func(client.Client) error{
		"list Secrets of the system namespace": func(c client.Client) error {
			return c.List(t.Context(), &corev1.SecretList{}, client.InNamespace(metal.SystemNamespace))
		},
		"list all Secrets": func(c client.Client) error { return c.List(t.Context(), &corev1.SecretList{}) },
		"read a tenant's Secret": func(c client.Client) error {
			return c.Get(t.Context(), client.ObjectKey{Namespace: tenant, Name: "theirs"}, &corev1.Secret{})
		},
		"delete a Secret": func(c client.Client) error { return c.Delete(t.Context(), secret.DeepCopy(), client.DryRunAll) },
		"read another Lease": func(c client.Client) error {
			return c.Get(t.Context(), client.ObjectKeyFromObject(lease), &coordinationv1.Lease{})
		},
		"list Namespaces": func(c client.Client) error { return c.List(t.Context(), &corev1.NamespaceList{}) },
		"change a Namespace": func(c client.Client) error {
			n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: tenant}}
			return c.Patch(t.Context(), n, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`)), client.DryRunAll)
		},
		"delete all Servers at once": func(c client.Client) error { return c.DeleteAllOf(t.Context(), &metal.Server{}, client.DryRunAll) },
		"give itself more": func(c client.Client) error {
			return c.Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "more"}}, client.DryRunAll)
		},
		"run a Pod": func(c client.Client) error { return c.Create(t.Context(), restricted(t, admin), client.DryRunAll) },
	} {
		if err := do(controller); !apierrors.IsForbidden(err) {
			t.Errorf("to %s: %v; want forbidden", what, err)
		}
		if err := do(admin); err != nil {
			t.Errorf("control: the administrator, to %s: %v", what, err)
		}
	}
}

// restricted is the Pod of the Deployment, as the administrator reads it.
func restricted(t *testing.T, admin client.Client) *corev1.Pod {
	t.Helper()
	var d appsv1.Deployment
	ok(t, admin.Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: "metal-controller"}, &d))
	return &corev1.Pod{ObjectMeta: inSystem("pod"), Spec: d.Spec.Template.Spec}
}

// TestPodIsRestricted: the namespace enforces the restricted Pod security standard, and our Pod meets it.
func TestPodIsRestricted(t *testing.T) {
	_, admin := identities(t)
	pod := restricted(t, admin)
	if err := admin.Create(t.Context(), pod.DeepCopy(), client.DryRunAll); err != nil {
		t.Errorf("our Pod: %v", err)
	}
	pod.Spec.Containers[0].SecurityContext.Capabilities = nil
	if err := admin.Create(t.Context(), pod, client.DryRunAll); !apierrors.IsForbidden(err) {
		t.Errorf("control: a Pod with capabilities got %v; want forbidden", err)
	}
}

func inSystem(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name}
}
