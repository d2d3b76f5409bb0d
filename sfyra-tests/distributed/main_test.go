package distributed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"ingot.dev/ingot/sfyra-tests/rack/netns"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// programsVariable tells the second run, which has no network to build with, where the programs are.
const programsVariable = "INGOT_DISTRIBUTED_PROGRAMS"

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "distributed:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	ctrl.SetLogger(logr.Discard()) // else controller-runtime complains about the lack of one
	ctx := context.Background()
	if !netns.Inside() {
		return again(ctx)
	}
	namespace, err := netns.Enter(ctx)
	if err != nil {
		return 0, err
	}
	defer namespace.Close()
	return testapi.Main(m), nil
}

// again makes the programs and runs the tests in a namespace.
func again(ctx context.Context) (code int, err error) {
	ingot, err := testapi.Binary()
	if err != nil {
		return 0, err
	}
	folder := filepath.Dir(ingot)
	if os.Getenv("INGOT_BIN") == "" {
		if folder, err = os.MkdirTemp("", "distributed-"); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		if err := build(folder); err != nil {
			return 0, err
		}
	}
	return netns.Reexec(ctx, os.Args[1:], netns.Options{Env: []string{"INGOT_BIN=" + ingot, programsVariable + "=" + folder}})
}

func build(folder string) error {
	cmd := exec.Command("go", "build", "-o", folder+"/", "ingot.dev/ingot/metal-controller", "ingot.dev/ingot/pxe-server")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return nil
}

// programPath is where a program of ours is.
func programPath(name string) string { return filepath.Join(os.Getenv(programsVariable), name) }
