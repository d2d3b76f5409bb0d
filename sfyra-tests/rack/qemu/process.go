// Package qemu describes the hardware of one server and runs it as one QEMU
// process.
//
// Layer 2, adapter. Check and Args are pure; Start runs a process; Probe runs
// short ones.
//
// Invariants: a Process is one start of a server, from power-on to the end of
// QEMU; QEMU never outlives the program that started it; Start returns only
// once QEMU's monitor answers.
package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"ingot.dev/ingot/sfyra-tests/rack/qmp"
)

// Process is a running server.
type Process struct {
	// Monitor is the control connection; it ends with the process.
	Monitor *qmp.Client
	// Console is the serial line. Somebody has to read it, else the guest
	// stalls when it prints; and close it after its end.
	Console net.Conn

	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid after done
}

// Start runs QEMU in folder dir and waits until its monitor answers. QEMU's
// own complaints are appended to ErrorsFile there and are part of the error.
func Start(ctx context.Context, launch *Launch, dir string) (*Process, error) {
	links, err := newLinks()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", launch.Spec.Name, err)
	}
	defer links.closeFar()
	p := &Process{Console: links.console, done: make(chan struct{})}
	complaints, err := p.launch(launch, dir, links)
	if err != nil {
		links.closeNear()
		return nil, fmt.Errorf("starting %s: %w", launch.Spec.Name, err)
	}
	// QEMU's ends must close here, else its death would not end the greeting.
	links.closeFar()
	if p.Monitor, err = qmp.New(ctx, links.monitor); err != nil {
		p.Kill()
		return nil, fmt.Errorf("starting %s: %w: qemu says: %s", launch.Spec.Name, err, complaints.text())
	}
	return p, nil
}

func (p *Process) launch(launch *Launch, dir string, links *links) (*complaints, error) {
	log, err := os.OpenFile(filepath.Join(dir, ErrorsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	heard := &complaints{log: log}
	p.cmd = exec.Command(launch.Spec.Arch.program(), launch.Args()...)
	p.cmd.Dir, p.cmd.Stderr = dir, heard
	p.cmd.ExtraFiles = links.far
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error, 1)
	go p.own(started, log)
	return heard, <-started
}

// own holds the thread that starts QEMU for as long as QEMU lives, since the
// death signal follows the thread (prctl(2), PR_SET_PDEATHSIG).
func (p *Process) own(started chan<- error, log io.Closer) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer log.Close()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

// PID is the process id of QEMU.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when QEMU has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how QEMU ended: nil for a guest that switched itself off.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Kill ends QEMU as a pulled plug would, and waits for the end. It may be
// called at any time and more than once.
func (p *Process) Kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return // the process is not ours any more; waiting would never end
	}
	<-p.done
	if p.Monitor != nil {
		p.Monitor.Close()
	}
}

// complaints keeps the first of what QEMU says, and logs all of it.
type complaints struct {
	log   io.Writer
	first bytes.Buffer
}

const longestComplaint = 2048

// Write implements io.Writer.
func (c *complaints) Write(p []byte) (int, error) {
	if room := longestComplaint - c.first.Len(); room > 0 {
		c.first.Write(p[:min(room, len(p))])
	}
	return c.log.Write(p)
}

func (c *complaints) text() string {
	if text := bytes.TrimSpace(c.first.Bytes()); len(text) > 0 {
		return string(text)
	}
	return "nothing"
}
