package talos_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/enums"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/metal-controller/talos"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

// waiting is a control plane that booted from its disk and waits for its etcd.
func waiting() talostest.State {
	s := up()
	s.Stage = enums.RuntimeMachineStage_MACHINE_STAGE_BOOTING
	return s
}

// TestBootstrap: the order goes to the machine that is meant, booted from its disk, and to no other; what it answers becomes one of our errors.
func TestBootstrap(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	admin := credentials(t, c, "os:admin")
	for name, x := range map[string]struct {
		change  func(*talostest.State)
		own     talos.Credentials
		want    error
		ordered bool
	}{
		"waits":                   {nil, admin, nil, true},
		"has an etcd":             {answers(codes.AlreadyExists), admin, nil, true},
		"is not so far":           {answers(codes.FailedPrecondition), admin, talos.ErrNotYet, true},
		"is a worker":             {answers(codes.Unimplemented), admin, talos.ErrNever, true},
		"breaks":                  {answers(codes.Internal), admin, talos.ErrBroken, true},
		"a reader orders":         {nil, credentials(t, c, "os:reader"), talos.ErrRefused, false},
		"runs already":            {func(s *talostest.State) { s.Stage = enums.RuntimeMachineStage_MACHINE_STAGE_RUNNING }, admin, nil, false},
		"another machine":         {func(s *talostest.State) { s.UUID = strings.Replace(uuid, "6", "7", 1) }, admin, talos.ErrOther, false},
		"installs":                {func(s *talostest.State) { s.Stage = enums.RuntimeMachineStage_MACHINE_STAGE_INSTALLING }, admin, talos.ErrNotMeant, false},
		"goes down":               {func(s *talostest.State) { s.Stage = enums.RuntimeMachineStage_MACHINE_STAGE_SHUTTING_DOWN }, admin, talos.ErrNotMeant, false},
		"came from the network":   {func(s *talostest.State) { s.Cmdline = "ingot.boot=boot1" }, admin, talos.ErrNotMeant, false},
		"is installed nowhere":    {func(s *talostest.State) { s.OnDisk = false }, admin, talos.ErrNotMeant, false},
		"does not tell its stage": {func(s *talostest.State) { s.Before = fails(codes.Internal) }, admin, talos.ErrBroken, false},
	} {
		state := waiting()
		if x.change != nil {
			x.change(&state)
		}
		m := c.Listen(t, local, state)
		err := client(m.Port).Bootstrap(t.Context(), netip.MustParseAddr("127.0.0.1"), x.own, want)
		if !errors.Is(err, x.want) || (err == nil) != (x.want == nil) || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, not %v", name, err, x.want)
		}
		if asked, _ := m.Asked(); slices.Contains(asked, "Bootstrap") != x.ordered {
			t.Errorf("%s: asked %v", name, asked)
		}
	}
	other := talostest.NewCluster(t, epoch).Listen(t, local, waiting())
	if err := client(other.Port).Bootstrap(t.Context(), netip.MustParseAddr("127.0.0.1"), admin, want); !errors.Is(err, talos.ErrUntrusted) {
		t.Errorf("another cluster: %v", err)
	}
}

// TestRestart: it goes to the machine that is meant, whatever it does just now, and to no other.
func TestRestart(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	admin := credentials(t, c, "os:admin")
	for name, x := range map[string]struct {
		change  func(*talostest.State)
		own     talos.Credentials
		want    error
		ordered bool
	}{
		"control: it runs": {nil, admin, nil, true},
		"it waits":         {func(s *talostest.State) { *s = waiting() }, admin, nil, true},
		"it cannot now":    {func(s *talostest.State) { s.Before = at("Reboot", codes.FailedPrecondition) }, admin, talos.ErrNotYet, true},
		"a reader orders":  {nil, credentials(t, c, "os:reader"), talos.ErrRefused, false},
		"another machine":  {func(s *talostest.State) { s.UUID = strings.Replace(uuid, "6", "7", 1) }, admin, talos.ErrOther, false},
	} {
		state := up()
		if x.change != nil {
			x.change(&state)
		}
		m := c.Listen(t, local, state)
		err := client(m.Port).Restart(t.Context(), netip.MustParseAddr("127.0.0.1"), x.own, want)
		if !errors.Is(err, x.want) || (err == nil) != (x.want == nil) {
			t.Errorf("%s: %v, not %v", name, err, x.want)
		}
		if asked, _ := m.Asked(); slices.Contains(asked, "Reboot") != x.ordered {
			t.Errorf("%s: asked %v", name, asked)
		}
	}
}

// answers makes a machine answer the order, and nothing else, with an error.
func answers(code codes.Code) func(*talostest.State) {
	return func(s *talostest.State) { s.Before = at("Bootstrap", code) }
}

// at makes one question fail.
func at(question string, code codes.Code) func(context.Context, string) error {
	return func(_ context.Context, asked string) error {
		if asked == question {
			return status.Error(code, "canary")
		}
		return nil
	}
}
