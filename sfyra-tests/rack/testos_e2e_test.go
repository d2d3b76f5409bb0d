//go:build e2e

package rack

import (
	"context"
	"testing"

	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/rack/testos"
)

func withSystem(spec Spec) Spec {
	spec.Disks[0].Fill = testos.Write
	return spec
}

func TestInstalledSystemBootsAndSwitchesOff(t *testing.T) {
	r := startRack(t, withSystem(server("os", 2)))
	s, _ := r.Server("os")
	if err := s.SetBootOverride(t.Context(), machine.BootOverride{Target: machine.TargetHdd}); err != nil {
		t.Fatal(err)
	}
	if err := s.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	console := openConsole(t, s)
	awaitOutput(t, console, testos.Banner)
	wantPower(t, s, true)
	if err := s.GracefulShutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitOutput(t, console, testos.Farewell)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	awaitOff(t, ctx, s)
}

func awaitOff(t *testing.T, ctx context.Context, s *Server) {
	t.Helper()
	select {
	case <-s.current.process.Done():
	case <-ctx.Done():
		t.Fatal("the server did not switch off")
	}
	wantPower(t, s, false)
}
