package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Accel is how QEMU runs guest code.
type Accel string

// The accelerators: the host's hardware, and emulation.
const (
	KVM Accel = "kvm"
	TCG Accel = "tcg"
)

// Program is QEMU for x86-64, and ProgramArm64 that for arm64.
const (
	Program      = "qemu-system-x86_64"
	ProgramArm64 = "qemu-system-aarch64"
)

// program runs servers of the architecture.
func (a Arch) program() string {
	if a == ARM64 {
		return ProgramArm64
	}
	return Program
}

// cpu: under TCG the default CPU has no entropy source, and a Go program in
// the guest would wait for ever in getrandom. A modern one has all that
// emulation knows, but for the fifth level of page tables: each miss of the
// emulated TLB would read one more.
func (a Accel) cpu(modern bool) string {
	switch {
	case a == KVM:
		return "host"
	case modern:
		return "max,la57=off"
	}
	return "qemu64,+rdrand"
}

// Slowness is the factor by which guests take longer than on hardware. Waits
// in tests and time-outs of a lab scale with it.
func (a Accel) Slowness() int {
	if a == KVM {
		return 1
	}
	return 8
}

// probeTime bounds one probe. The probe's guest ends within milliseconds.
const probeTime = 15 * time.Second

// probeExit is what QEMU exits with when the probe's guest has run:
// isa-debug-exit turns the byte 0x10 into 0x10<<1|1.
const probeExit = 0x10<<1 | 1

// Probe finds the best accelerator by running guests on it, with the CPU that
// servers get: a small one, and for KVM the UEFI firmware in the file code,
// which has to get as far as its first word on the serial line. That /dev/kvm
// can be opened says little: on some nested hosts "-cpu host" fails, or the
// guest dies when it enters protected mode. Others (pvm) run that, and fail at
// the first floating-point instruction before paging, or hang in iPXE.
func Probe(ctx context.Context, code string) (Accel, error) {
	kvm := run(ctx, KVM)
	if kvm == nil {
		kvm = speaks(ctx, KVM, code)
	}
	if kvm == nil {
		return KVM, nil
	}
	if err := run(ctx, TCG); err != nil {
		return "", fmt.Errorf("probing qemu: %w", errors.Join(err, fmt.Errorf("with kvm: %w", kvm)))
	}
	return TCG, nil
}

// run starts a guest that only ends itself.
func run(ctx context.Context, accel Accel) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	dir, err := os.MkdirTemp("", "ingot-probe-")
	if err != nil {
		return fmt.Errorf("making a folder for the probe: %w", err)
	}
	defer os.RemoveAll(dir)
	rom := filepath.Join(dir, "probe.rom")
	if err := os.WriteFile(rom, probeROM(), 0o600); err != nil {
		return fmt.Errorf("writing the probe: %w", err)
	}
	cmd := exec.CommandContext(ctx, Program, "-nodefaults", "-no-user-config", "-display", "none",
		"-machine", "q35,accel="+string(accel), "-cpu", accel.cpu(false), "-m", "16M", "-bios", rom, "-no-reboot",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04")
	var output bytes.Buffer
	cmd.Stderr = &output
	return judge(accel, cmd.Run(), output.Bytes())
}

// speaks starts a guest with nothing but firmware, until that says something.
func speaks(ctx context.Context, accel Accel, code string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, Program, "-nodefaults", "-no-user-config", "-display", "none",
		"-machine", "q35,accel="+string(accel), "-cpu", accel.cpu(false), "-m", "256M", "-no-reboot",
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+escape(code), "-serial", "stdio")
	trouble := &groans{complaints: complaints{log: io.Discard}, stop: cancel}
	cmd.Stderr = trouble
	said, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting firmware with %s: %w", accel, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting firmware with %s: %w", accel, err)
	}
	_, err = said.Read(make([]byte, 1))
	cancel() // it would run for ever
	_ = cmd.Wait()
	if err != nil {
		return fmt.Errorf("firmware with %s says nothing within %v: %w: %s", accel, probeTime, err, trouble.text())
	}
	return nil
}

// groans are what QEMU says. After a KVM internal error it would wait for a debugger, so that ends it.
type groans struct {
	complaints
	stop func()
}

// Write implements io.Writer.
func (g *groans) Write(p []byte) (int, error) {
	n, err := g.complaints.Write(p)
	if bytes.Contains(g.first.Bytes(), []byte("internal error")) {
		g.stop()
	}
	return n, err
}

func judge(accel Accel, err error, output []byte) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s is not installed; install it, on Debian with: apt-get install qemu-system-x86 ovmf", Program)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == probeExit {
		return nil
	}
	const longest = 500
	return fmt.Errorf("running a guest with %s: ended with %w: %s", accel, err, bytes.TrimSpace(output[:min(len(output), longest)]))
}
