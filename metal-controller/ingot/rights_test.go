package main

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// Secrets of tenants are fetched by name and never listed or changed; nor are those of the installation listed.
func TestControllersAndSecrets(t *testing.T) {
	api, tenant := testapi.Config(t), testapi.Namespace(t)
	admin, controller := clientset(t, api.AdminConfig).CoreV1(), clientset(t, api.ControllerConfig).CoreV1()
	if _, err := admin.Secrets(tenant).Create(t.Context(), secret("s", "x"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	get, list := metav1.GetOptions{}, metav1.ListOptions{}
	forbidden := map[string]func(namespace string) error{
		"get": func(n string) error { _, err := controller.Secrets(n).Get(t.Context(), "s", get); return err },
		"create": func(n string) error {
			_, err := controller.Secrets(n).Create(t.Context(), secret("t", "x"), metav1.CreateOptions{})
			return err
		},
		"update": func(n string) error {
			_, err := controller.Secrets(n).Update(t.Context(), secret("s", "y"), metav1.UpdateOptions{})
			return err
		},
		"list":   func(n string) error { _, err := controller.Secrets(n).List(t.Context(), list); return err },
		"watch":  func(n string) error { _, err := controller.Secrets(n).Watch(t.Context(), list); return err },
		"delete": func(n string) error { return controller.Secrets(n).Delete(t.Context(), "s", metav1.DeleteOptions{}) },
	}
	for verb, do := range forbidden {
		if verb == "get" { // machine configs lie beside their claims, and are fetched by name; docs/decisions.md says why everywhere
			if err := do(tenant); err != nil {
				t.Errorf("get outside %s: %v", v1alpha1.SystemNamespace, err)
			}
			continue
		}
		if err := do(tenant); !apierrors.IsForbidden(err) {
			t.Errorf("%s outside %s: %v, want forbidden", verb, v1alpha1.SystemNamespace, err)
		}
	}
	const inside = v1alpha1.SystemNamespace
	if _, err := controller.Secrets(inside).Create(t.Context(), secret("s", "x"), metav1.CreateOptions{}); err != nil {
		t.Errorf("create inside: %v", err)
	}
	if err := forbidden["get"](inside); err != nil {
		t.Errorf("get inside: %v", err)
	}
	if err := forbidden["update"](inside); err != nil {
		t.Errorf("update inside: %v", err)
	}
	for _, verb := range []string{"list", "watch", "delete"} {
		if err := forbidden[verb](inside); !apierrors.IsForbidden(err) {
			t.Errorf("%s inside: %v, want forbidden", verb, err)
		}
	}
}

// Erase records of the installation can be kept and dropped, and never changed; ConfigMaps of tenants are out of reach.
func TestControllersAndConfigMaps(t *testing.T) {
	api, tenant := testapi.Config(t), testapi.Namespace(t)
	c := clientset(t, api.ControllerConfig).CoreV1()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "rights"}}
	verbs := []string{"create", "get", "list", "update", "patch", "delete"}
	do := func(verb, namespace string) error {
		var err error
		switch verb {
		case "create":
			_, err = c.ConfigMaps(namespace).Create(t.Context(), m, metav1.CreateOptions{})
		case "get":
			_, err = c.ConfigMaps(namespace).Get(t.Context(), m.Name, metav1.GetOptions{})
		case "list":
			_, err = c.ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
		case "update":
			_, err = c.ConfigMaps(namespace).Update(t.Context(), m, metav1.UpdateOptions{})
		case "patch":
			_, err = c.ConfigMaps(namespace).Patch(t.Context(), m.Name, types.MergePatchType, []byte(`{"data":{"a":"b"}}`), metav1.PatchOptions{})
		case "delete":
			err = c.ConfigMaps(namespace).Delete(t.Context(), m.Name, metav1.DeleteOptions{})
		}
		return err
	}
	for _, verb := range verbs {
		if err := do(verb, tenant); !apierrors.IsForbidden(err) {
			t.Errorf("%s outside %s: %v, want forbidden", verb, v1alpha1.SystemNamespace, err)
		}
		changes := verb == "update" || verb == "patch"
		if err := do(verb, v1alpha1.SystemNamespace); changes != apierrors.IsForbidden(err) || !changes && err != nil {
			t.Errorf("%s inside: %v; want forbidden: %v", verb, err, changes)
		}
	}
}

// The controllers can do their work, and cannot make themselves more than they are.
func TestControllersAtWork(t *testing.T) {
	api, ns := testapi.Config(t), testapi.Namespace(t)
	c, err := client.New(api.ControllerConfig, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := server("work-" + ns)
	s.Object["spec"] = map[string]any{}
	if err := c.Create(t.Context(), s); err != nil {
		t.Fatalf("creating a Server: %v", err)
	}
	if err := c.Status().Patch(t.Context(), s, client.RawPatch("application/merge-patch+json", []byte(`{"status":{}}`))); err != nil {
		t.Errorf("patching its status: %v", err)
	}
	if err := c.Delete(t.Context(), s); err != nil {
		t.Errorf("deleting it: %v", err)
	}
	cs := clientset(t, api.ControllerConfig)
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, InvolvedObject: corev1.ObjectReference{Namespace: ns}}
	if _, err := cs.CoreV1().Events(ns).Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
		t.Errorf("creating an event: %v", err)
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "l"}}
	if _, err := cs.CoordinationV1().Leases(v1alpha1.SystemNamespace).Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Errorf("creating a lease: %v", err)
	}
	if _, err := cs.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err != nil {
		t.Errorf("reading the labels of a namespace: %v", err)
	}
	if _, err := cs.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("listing namespaces: %v, want forbidden", err)
	}
	if _, err := cs.RbacV1().ClusterRoles().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("listing cluster roles: %v, want forbidden", err)
	}
	crd := &unstructuredCRD
	if err := c.Delete(t.Context(), crd.DeepCopy()); !apierrors.IsForbidden(err) {
		t.Errorf("deleting a CRD: %v, want forbidden", err)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Name: crd.GetName()}, crd.DeepCopy()); !apierrors.IsForbidden(err) {
		t.Errorf("reading a CRD: %v, want forbidden", err)
	}
}

var unstructuredCRD = metav1.PartialObjectMetadata{
	TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
	ObjectMeta: metav1.ObjectMeta{Name: "servers.metal.ingot.dev"},
}

// A client without a certificate, or with one of another authority, is nobody.
func TestStrangers(t *testing.T) {
	api := testapi.Config(t)
	anonymous := *api.AdminConfig
	anonymous.CertData, anonymous.KeyData = nil, nil
	for _, path := range []string{"/version", "/readyz", "/api/v1/namespaces"} {
		get := func(c *rest.Config) error {
			return clientset(t, c).Discovery().RESTClient().Get().AbsPath(path).Do(t.Context()).Error()
		}
		if err := get(&anonymous); !apierrors.IsUnauthorized(err) {
			t.Errorf("anonymous reads %s: %v, want unauthorized", path, err)
		}
		if err := get(api.AdminConfig); err != nil {
			t.Errorf("control: the administrator reads %s: %v", path, err)
		}
	}
	if _, err := clientset(t, api.AdminConfig).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("control, administrator: %v", err)
	}
}
