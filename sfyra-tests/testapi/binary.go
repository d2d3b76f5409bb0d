package testapi

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Binary is the path of the program: $INGOT_BIN, or the one it builds from this repository's sources.
func Binary() (string, error) {
	if bin := os.Getenv("INGOT_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	root, err := Repository()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(root, "build", "bin", "ingot")
	unlock, err := Lock(bin)
	if err != nil {
		return "", err
	}
	defer unlock()
	return bin, build(filepath.Join(root, filepath.FromSlash(module)), bin)
}

// module is the folder of the program's module in the repository.
const module = "metal-controller/ingot"

// Repository finds the root above the working folder, which is the tested package's.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(module), "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not below Ingot's repository: set INGOT_BIN to the ingot program")
		}
		dir = parent
	}
}

// Lock lets one test binary at a time build a program.
func Lock(bin string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(bin+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

func build(dir, bin string) error {
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building ingot: %w\n%s", err, out)
	}
	return nil
}
