package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// What the user sees, from the start to the end, is ours to the last line; the rest is in the log.
func TestTerminal(t *testing.T) {
	p := start(t, stateDir(t))
	stop(t, p, syscall.SIGINT)
	lines := regexp.MustCompile(strings.Join([]string{
		`^etcd ready \(\d+\.\ds\)`, `API server ready \(\d+\.\ds\)`, `manifests ready \(\d+\.\ds\)`,
		`Ingot is ready \(\d+\.\ds\)\. State is in ` + p.Dir + `\. In another terminal:`,
		`  export KUBECONFIG=` + p.Kubeconfig, `  kubectl get servers`, `Ctrl-C stops it; nothing is lost\.`,
		``, `stopping; a second Ctrl-C stops at once`, `stopping the control plane`, `stopped; all data is in ` + p.Dir, `$`,
	}, "\n"))
	if said := p.Stderr(); !lines.MatchString(said) {
		t.Errorf("terminal:\n%s", said)
	}
	log, err := os.ReadFile(p.Log())
	if err != nil {
		t.Fatal(err)
	}
	want(t, string(log), "etcd", "handler.go")
}

func TestReportsTheVersionOfItsModules(t *testing.T) {
	v, err := clientset(t, testapi.Config(t).AdminConfig).Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if v.GitVersion != version.Kubernetes || !strings.HasPrefix(v.GitVersion, "v"+v.Major+"."+v.Minor+".") {
		t.Errorf("version %+v, want %s", v, version.Kubernetes)
	}
}

// Everything with a key or data in it is for its owner only, whatever the umask.
func TestModes(t *testing.T) {
	dir := testapi.Config(t).Dir
	for file, mode := range map[string]os.FileMode{
		"": 0o700, "pki": 0o700, "etcd": 0o700, "run": 0o700, "logs": 0o700,
		"admin.kubeconfig": 0o600, "controller.kubeconfig": 0o600, "lock": 0o600, "state.json": 0o600, "pki/encryption.yaml": 0o600,
		"pki/server-ca.pem": 0o600, "pki/client-ca.pem": 0o600, "pki/service-accounts.key": 0o600, "logs/control-plane.log": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, want %v", file, info.Mode().Perm(), mode)
		}
	}
}

// A client that watches does not hold the stop up.
func TestStopsWhileWatched(t *testing.T) {
	p := start(t, stateDir(t))
	w, err := clientset(t, p.AdminConfig).CoreV1().Namespaces().Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	<-w.ResultChan() // it is really open
	stop(t, p, syscall.SIGTERM)
}

func TestLongPath(t *testing.T) {
	dir := filepath.Join(stateDir(t), strings.Repeat("a-long-name/", 12))
	p := start(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "run")); err == nil {
		t.Error("sockets are below the long path")
	}
	stop(t, p, syscall.SIGTERM)
}
