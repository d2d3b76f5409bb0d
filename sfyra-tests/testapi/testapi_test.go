package testapi_test

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

func clientset(t *testing.T, c *rest.Config) *kubernetes.Clientset {
	t.Helper()
	cs, err := kubernetes.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func TestServesIngotsKinds(t *testing.T) {
	list, err := clientset(t, testapi.Config(t).AdminConfig).Discovery().ServerResourcesForGroupVersion("metal.ingot.dev/v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, r := range list.APIResources {
		kinds[r.Kind] = true
	}
	for _, want := range []string{"Server", "ServerInventory", "ServerClass", "ServerClaim", "Environment"} {
		if !kinds[want] {
			t.Errorf("kind %s is not served; served: %v", want, kinds)
		}
	}
}

// The two identities differ in what they may do: the administrator is the control for what the controllers are refused.
func TestIdentities(t *testing.T) {
	api, ns := testapi.Config(t), testapi.Namespace(t)
	admin, controller := clientset(t, api.AdminConfig), clientset(t, api.ControllerConfig)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}
	if _, err := admin.CoreV1().Secrets(ns).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatalf("administrator creating a Secret: %v", err)
	}
	if err := controller.CoreV1().Secrets(ns).Delete(t.Context(), "s", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("controller deleting a tenant's Secret: %v, want forbidden", err)
	}
	if err := admin.CoreV1().Secrets(ns).Delete(t.Context(), "s", metav1.DeleteOptions{}); err != nil {
		t.Errorf("administrator deleting it: %v", err)
	}
}

func TestNamespacesAreApart(t *testing.T) {
	if a, b := testapi.Namespace(t), testapi.Namespace(t); a == b {
		t.Errorf("two calls gave the same namespace %s", a)
	}
}
