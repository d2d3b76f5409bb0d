package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // controller-runtime's clients complain otherwise
	os.Exit(testapi.Main(m))
}

// built builds the program once.
var built = sync.OnceValues(testapi.Binary)

// binary is the program under test.
func binary(t testing.TB) string {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// stateDir is a folder that does not exist yet. Unlike t.TempDir its path is short and does not keep other users out.
func stateDir(t testing.TB) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "ingot-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "state")
}

// start runs the program on dir until the test ends or stops it.
func start(t testing.TB, dir string, flags ...string) *testapi.Process {
	t.Helper()
	p, err := testapi.Start(binary(t), dir, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// stopLimit is well below the minute for which the API server would wait for its clients if it were not told otherwise.
const stopLimit = 40 * time.Second

// stop ends it with a signal and checks the exit code of a clean end.
func stop(t testing.TB, p *testapi.Process, s syscall.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Ended():
	case <-time.After(stopLimit):
		t.Fatalf("still running %v after %v\n%s", stopLimit, s, p.Stderr())
	}
	if err := p.Wait(); err != nil && s != syscall.SIGKILL {
		t.Fatalf("ended after %v: %v\n%s", s, err, p.Stderr())
	}
}

// refused runs the program, which has to fail, and returns what it says.
func refused(t testing.TB, change func(*exec.Cmd), dir string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), append([]string{"up", "--control-plane-only", "--state-dir", dir}, flags...)...)
	if change != nil {
		change(cmd)
	}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("it ran:\n%s", out)
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 && code != 2 { // 2: the command line itself is wrong
		t.Errorf("exit code %d, want 1 or 2", code)
	}
	said := strings.TrimSpace(string(out))
	if !strings.HasPrefix(said, "error: ") || strings.Contains(said, "\n") {
		t.Errorf("want one line that starts with error:, got\n%s", said)
	}
	return said
}

// want checks that a message has all parts.
func want(t testing.TB, message string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(message, p) {
			t.Errorf("%q lacks %q", message, p)
		}
	}
}

// snapshot is every file below dir with mode, time and content.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v %v %d\n", path, info.Mode(), info.ModTime(), info.Size())
		if !info.Mode().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		b.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func clientset(t testing.TB, c *rest.Config) *kubernetes.Clientset {
	t.Helper()
	cs, err := kubernetes.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func secret(name, value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"value": value}}
}

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"value": value}}
}
