package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

// What the API has acknowledged is there after the next start, also when the process had no time for a last word.
func TestRestartLosesNothing(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			dir := stateDir(t)
			first := start(t, dir)
			admin := clientset(t, first.AdminConfig)
			if _, err := admin.CoreV1().Secrets("default").Create(t.Context(), secret("s", "kept"), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			made := createServer(t, first, "r1-u17")
			stop(t, first, s) // at once after the last acknowledgement

			second := start(t, dir)
			if got := getServer(t, second, "r1-u17"); got.GetUID() != made.GetUID() {
				t.Errorf("server: UID %s, want %s", got.GetUID(), made.GetUID())
			}
			got, err := clientset(t, second.AdminConfig).CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
			if err != nil || string(got.Data["value"]) != "kept" {
				t.Errorf("secret: %q, %v", got.Data["value"], err)
			}
			if string(second.AdminConfig.CertData) != string(first.AdminConfig.CertData) || string(second.AdminConfig.CAData) != string(first.AdminConfig.CAData) {
				t.Error("the administrator's credentials changed")
			}
			stop(t, second, syscall.SIGTERM)
		})
	}
}

func server(name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("metal.ingot.dev/v1alpha1")
	u.SetKind("Server")
	u.SetName(name)
	return u
}

func servers(t *testing.T, p *testapi.Process) client.Client {
	t.Helper()
	c, err := client.New(p.AdminConfig, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func createServer(t *testing.T, p *testapi.Process, name string) *unstructured.Unstructured {
	t.Helper()
	u := server(name)
	u.Object["spec"] = map[string]any{}
	if err := servers(t, p).Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return u
}

func getServer(t *testing.T, p *testapi.Process, name string) *unstructured.Unstructured {
	t.Helper()
	u := server(name)
	if err := servers(t, p).Get(t.Context(), client.ObjectKey{Name: name}, u); err != nil {
		t.Fatal(err)
	}
	return u
}

// A first start that is killed anywhere leaves a folder that the next start brings to its end.
func TestFirstStartKilledAnywhere(t *testing.T) {
	for _, marker := range []string{"lock", "pki/client-ca.pem", "etcd/member", "run/etcd.sock"} {
		t.Run(strings.ReplaceAll(marker, "/", "_"), func(t *testing.T) {
			dir := stateDir(t)
			p, err := testapi.Spawn(exec.Command(binary(t), "up", "--control-plane-only", "--api-port", "0", "--state-dir", dir))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Kill)
			waitFile(t, p, filepath.Join(dir, marker))
			p.Kill()
			next := start(t, dir)
			createServer(t, next, "after-the-crash")
			next.Kill()
		})
	}
}

func waitFile(t *testing.T, p *testapi.Process, path string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-p.Ended():
			t.Fatalf("ended before %s was there\n%s", path, p.Stderr())
		case <-tick.C:
		}
	}
}

// A folder that has lost the key to its data is not made usable by a new key.
func TestLostKeyIsRefused(t *testing.T) {
	dir := stateDir(t)
	stop(t, start(t, dir), syscall.SIGTERM)
	key := filepath.Join(dir, "pki", "encryption.yaml")
	data, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	want(t, refused(t, nil, dir, "--api-port", "0"), key, "backup")
	if err := os.WriteFile(key, data, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, dir) // the control: with the key it starts
}

// The data on the disk does not hold what a Secret holds.
func TestSecretsAreSealed(t *testing.T) {
	const sealed, plain = "canary-in-a-secret-7f3a", "canary-in-a-configmap-7f3a"
	dir := stateDir(t)
	p := start(t, dir)
	admin := clientset(t, p.AdminConfig).CoreV1()
	if _, err := admin.Secrets("default").Create(t.Context(), secret("s", sealed), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ConfigMaps("default").Create(t.Context(), configMap("c", plain), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := admin.Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
	if err != nil || string(got.Data["value"]) != sealed {
		t.Fatalf("through the API: %q, %v", got.Data["value"], err)
	}
	stop(t, p, syscall.SIGTERM)
	if !anyFileHolds(t, dir, plain) || !storeHolds(t, dir, plain) {
		t.Error("control: the ConfigMap's value is not found, so the search proves nothing")
	}
	if anyFileHolds(t, dir, sealed) || storeHolds(t, dir, sealed) {
		t.Error("the Secret's value is on the disk")
	}
}

// anyFileHolds searches every file of the state folder: store, write-ahead log, program logs.
func anyFileHolds(t *testing.T, dir, value string) (found bool) {
	t.Helper()
	return strings.Contains(snapshot(t, dir), value)
}

// storeHolds searches the values of etcd's keys.
func storeHolds(t *testing.T, dir, value string) (found bool) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "etcd", "member", "snap", "db"), 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("key")).ForEach(func(_, v []byte) error {
			found = found || bytes.Contains(v, []byte(value))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
