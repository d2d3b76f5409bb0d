package rack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/qemu"
	"ingot.dev/ingot/sfyra-tests/rack/qmp"
)

// running is the present run, nil when the process has ended. The caller holds power.
func (s *Server) running() *run {
	if s.current == nil {
		return nil
	}
	select {
	case <-s.current.process.Done():
		return nil
	default:
		return s.current
	}
}

// PowerState implements machine.Machine: the process lives and its monitor answers.
func (s *Server) PowerState(ctx context.Context) (bool, error) {
	s.power.Lock()
	defer s.power.Unlock()
	r := s.running()
	if r == nil {
		return false, nil
	}
	if _, err := r.process.Monitor.Status(ctx); err != nil {
		if errors.Is(err, qmp.ErrClosed) && ends(ctx, r) {
			return false, nil // it ended while we asked
		}
		return false, fmt.Errorf("reading the power of %s: %w", s.spec.Name, err)
	}
	return true, nil
}

// endTime is how long QEMU may take to end after its monitor is gone.
const endTime = 5 * time.Second

// ends waits for the end of a process whose monitor is gone: QEMU closes it a moment before.
func ends(ctx context.Context, r *run) bool {
	bound := time.NewTimer(endTime)
	defer bound.Stop()
	select {
	case <-r.process.Done():
		return true
	case <-bound.C:
	case <-ctx.Done():
	}
	return false
}

// PowerOn implements machine.Machine.
func (s *Server) PowerOn(ctx context.Context) error {
	s.power.Lock()
	defer s.power.Unlock()
	if s.running() != nil {
		return fmt.Errorf("powering %s on: %w", s.spec.Name, machine.ErrPoweredOn)
	}
	return s.start(ctx)
}

// start latches the override into a new process. The caller holds power.
func (s *Server) start(ctx context.Context) error {
	if s.closed {
		return fmt.Errorf("powering %s on: the rack is closed", s.spec.Name)
	}
	code, _ := s.config.firmware(s.spec)
	launch := &qemu.Launch{
		Spec: s.spec, Accel: s.config.Accel, CodeFile: code, Taps: s.taps,
		Override: s.override.get(), Inserted: s.inserted,
	}
	if err := readyVars(s.dir, launch); err != nil {
		return fmt.Errorf("powering %s on: %w", s.spec.Name, err)
	}
	process, err := qemu.Start(ctx, launch, s.dir)
	if err != nil {
		return fmt.Errorf("powering %s on: %w", s.spec.Name, err)
	}
	s.override.consume(launch.Override)
	s.attach(process)
	s.config.Log.Info("server is on", "server", s.spec.Name, "pid", process.PID(), "boot", launch.Override.Target)
	return nil
}

// attach starts what lives beside a process and ends with it.
func (s *Server) attach(process *qemu.Process) {
	lifetime, stop := context.WithCancel(context.Background())
	r := &run{process: process, console: newConsole(process.Console), stop: stop}
	s.current = r
	s.work.Go(r.console.pump)
	s.work.Go(func() { s.watch(r) })
	s.work.Go(func() { s.announce(lifetime) })
	s.work.Go(func() {
		<-process.Done()
		stop()
		s.config.Log.Info("server is off", "server", s.spec.Name, "pid", process.PID())
	})
}

// ForceOff implements machine.Machine.
func (s *Server) ForceOff(context.Context) error {
	s.power.Lock()
	defer s.power.Unlock()
	r := s.running()
	if r == nil {
		return fmt.Errorf("forcing %s off: %w", s.spec.Name, machine.ErrPoweredOff)
	}
	r.process.Kill()
	return nil
}

// GracefulShutdown implements machine.Machine.
func (s *Server) GracefulShutdown(ctx context.Context) error {
	return s.command(ctx, "system_powerdown")
}

func (s *Server) command(ctx context.Context, name string) error {
	s.power.Lock()
	defer s.power.Unlock()
	r := s.running()
	if r == nil {
		return fmt.Errorf("sending %s to %s: %w", name, s.spec.Name, machine.ErrPoweredOff)
	}
	if err := r.process.Monitor.Execute(ctx, name, nil, nil); err != nil {
		return fmt.Errorf("sending %s to %s: %w", name, s.spec.Name, err)
	}
	return nil
}

// Reset implements machine.Machine. A pending override needs a new process,
// since firmware switches are fixed when QEMU starts.
func (s *Server) Reset(ctx context.Context) error {
	if !s.override.get().Pending() {
		return s.command(ctx, "system_reset")
	}
	s.power.Lock()
	defer s.power.Unlock()
	r := s.running()
	if r == nil {
		return fmt.Errorf("resetting %s: %w", s.spec.Name, machine.ErrPoweredOff)
	}
	return s.restart(ctx, r)
}

func (s *Server) restart(ctx context.Context, r *run) error {
	r.process.Kill()
	return s.start(ctx)
}

// watch makes a reboot by the guest honour a pending override, as firmware
// does: BMCs apply it at the next boot, whoever caused that.
func (s *Server) watch(r *run) {
	for event := range r.process.Monitor.Events() {
		if event.Name == "RESET" && guestReset(event.Data) && s.override.get().Pending() {
			s.restartAfterGuest(r)
		}
	}
}

func guestReset(data json.RawMessage) bool {
	var reset struct {
		Guest bool `json:"guest"`
	}
	return json.Unmarshal(data, &reset) == nil && reset.Guest
}

func (s *Server) restartAfterGuest(r *run) {
	s.power.Lock()
	defer s.power.Unlock()
	if s.running() != r {
		return // somebody else was faster
	}
	if err := s.restart(context.Background(), r); err != nil {
		s.config.Log.Error("server did not come back after its reboot", "server", s.spec.Name, "error", err)
	}
}

func (s *Server) close() {
	s.power.Lock()
	s.closed = true
	if r := s.running(); r != nil {
		r.process.Kill()
	}
	s.power.Unlock()
	s.work.Wait()
}
