// Package testapi gives tests a real Kubernetes API with Ingot's kinds: it runs `ingot up --control-plane-only` as a child process in a temporary
// folder. Layer 5, proof: it knows the program by its public flags and files only.
//
// One API server serves all tests of a test binary; each test takes a namespace of its own:
//
//	func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		c, err := client.New(testapi.Config(t).AdminConfig, client.Options{})
//		namespace := testapi.Namespace(t)
//
// The program is the one that INGOT_BIN names; without it, it is built once into build/bin of the repository.
package testapi

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// API is a running API server.
type API struct {
	// AdminConfig may do everything; ControllerConfig is the identity of Ingot's controllers, with their rights only.
	AdminConfig, ControllerConfig *rest.Config
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string
	// Dir is the state folder.
	Dir string
}

// shared is the API server of this test binary. Only Main writes it, before the tests start.
var shared *API

// Main starts the API server, runs the tests and stops it. It returns the exit code.
func Main(m *testing.M) int {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testapi:", err)
		return 1
	}
	return code
}

func run(m *testing.M) (code int, err error) {
	bin, err := Binary()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "testapi-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if rmErr := os.RemoveAll(dir); err == nil {
			err = rmErr
		}
	}()
	p, err := Start(bin, filepath.Join(dir, "state"))
	if err != nil {
		return 0, err
	}
	defer p.Kill() // the data goes too, so there is nothing to save
	shared = p.API
	return m.Run(), nil
}

// Config returns the API server that Main has started.
func Config(t testing.TB) *API {
	t.Helper()
	if shared == nil {
		t.Fatal("testapi: no API server: let TestMain call testapi.Main")
	}
	return shared
}

// Namespace makes a namespace for this test and deletes it at the end.
func Namespace(t testing.TB) string {
	t.Helper()
	c, err := kubernetes.NewForConfig(Config(t).AdminConfig)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ns, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting namespace: %v", err)
		}
	})
	return ns.Name
}

// load reads what the program has left in its state folder.
func load(dir string) (*API, error) {
	a := &API{Dir: dir, Kubeconfig: filepath.Join(dir, "admin.kubeconfig")}
	var err error
	if a.AdminConfig, err = clientcmd.BuildConfigFromFlags("", a.Kubeconfig); err != nil {
		return nil, err
	}
	if a.ControllerConfig, err = clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "controller.kubeconfig")); err != nil {
		return nil, err
	}
	for _, c := range []*rest.Config{a.AdminConfig, a.ControllerConfig} {
		c.QPS = -1 // tests are not to wait for client-side limits
	}
	return a, nil
}
