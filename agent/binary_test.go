package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"ingot.dev/ingot/agent/protocol"
)

// Budgets of the agent: it is fetched by every machine at each netboot, and runs beside its own image in memory.
const (
	mostBytes  = 25 << 20
	mostMemory = 64 << 10 // KiB of resident memory
)

// TestBinary builds the agent as its image gets it and runs it by hand.
func TestBinary(t *testing.T) {
	agent := filepath.Join(t.TempDir(), "agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", agent, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	t.Run("small and static", func(t *testing.T) { smallAndStatic(t, agent) })
	t.Run("prints the inventory", func(t *testing.T) { printsInventory(t, agent) })
	t.Run("does nothing else by hand", func(t *testing.T) {
		var exit *exec.ExitError
		if err := exec.CommandContext(t.Context(), agent).Run(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("got %v", err)
		}
	})
}

func smallAndStatic(t *testing.T, agent string) {
	info, err := os.Stat(agent)
	if err != nil || info.Size() > mostBytes {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	f, err := elf.Open(agent)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic linker, which the image has not")
		}
	}
}

func printsInventory(t *testing.T, agent string) {
	cmd := exec.CommandContext(t.Context(), agent, "--inventory")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	var inv protocol.Inventory
	if err := protojson.Unmarshal(out.Bytes(), &inv); err != nil || inv.GetKernel() == "" {
		t.Errorf("got %v, %v", &inv, err)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); !ok || usage.Maxrss > mostMemory {
		t.Errorf("it took %d KiB of memory", usage.Maxrss)
	}
}
