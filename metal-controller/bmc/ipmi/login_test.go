package ipmi_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
	"ingot.dev/ingot/sfyra-tests/clock"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// eventually waits for what follows a packet that nobody answers.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not come to pass: %s", what)
		}
	}
}

// TestCredentials: what is wrong with them is told apart, and a refused login leaves nothing half open at the BMC.
func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		user, password string
		class          error
		words          string
	}{
		"right":                {user, password, nil, ""},
		"wrong password":       {user, "wrong", bmc.ErrUnauthorized, "check the user name and the password"},
		"wrong user":           {"root", password, bmc.ErrUnauthorized, "check the user name and the password"},
		"no password":          {user, "", bmc.ErrUnsupported, "without a password"},
		"long password":        {user, strings.Repeat("p", 21), bmc.ErrUnsupported, "20 bytes of password"},
		"long user":            {strings.Repeat("u", 17), password, bmc.ErrUnsupported, "16 bytes of user name"},
		"password with a zero": {user, password + "x", bmc.ErrUnauthorized, "check"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			l.target.Username, l.target.Password = c.user, bmc.NewSecret(c.password)
			if c.class == nil {
				wantPower(t, l.open(t), bmc.Off)
				return
			}
			l.openFails(t, c.class, c.words)
			eventually(t, "the BMC has no session", func() bool { return l.bmc.Sessions() == 0 })
			if tally := l.bmc.Tally(); tally.Opened != 0 || tally.Presented > 1 {
				t.Errorf("%+v; want no session and one try at most: BMCs lock accounts", tally)
			}
		})
	}
}

// TestRights: an operator is enough, and an account that may only look is told so.
func TestRights(t *testing.T) {
	operator := newLab(t, func(c *rmcp.Config) { c.Privilege = rmcp.Operator })
	d := operator.open(t)
	if err := errors.Join(d.SetPower(t.Context(), bmc.On), d.SetBootNetwork(t.Context(), true)); err != nil {
		t.Error(err)
	}
	for _, late := range []bool{false, true} {
		guest := newLab(t, func(c *rmcp.Config) { c.Privilege, c.LateRefusal = rmcp.User, late })
		guest.openFails(t, bmc.ErrUnauthorized, "make it an operator")
		if n := guest.bmc.Sessions(); n != 0 || (guest.bmc.Tally().Opened == 1) != late {
			t.Errorf("late=%v: %d sessions are left, %+v", late, n, guest.bmc.Tally())
		}
	}
}

// TestRotatedPassword: the session outlives a change; the next login does not.
func TestRotatedPassword(t *testing.T) {
	l := newLab(t, nil)
	d := l.open(t)
	l.bmc.SetPassword("another")
	wantPower(t, d, bmc.Off)
	l.bmc.DropSessions()
	if _, err := d.Power(t.Context()); !errors.Is(err, bmc.ErrUnauthorized) {
		t.Errorf("error %v", err)
	}
	l.bmc.SetPassword(password)
	wantPower(t, d, bmc.Off)
}

// TestFullTable: a BMC without a free session is told from one that is gone; once one is free, it is taken.
func TestFullTable(t *testing.T) {
	l := newLab(t, nil)
	for range fakebmc.DefaultSessionLimit {
		l.open(t)
	}
	l.openFails(t, bmc.ErrUnreachable, "all its sessions are taken")
	if l.bmc.Tally().Refused == 0 {
		t.Error("control: the BMC refused nobody")
	}
	l.bmc.DropSessions()
	wantPower(t, l.open(t), bmc.Off)
}

// TestNobodyThere: no answer at all, and a host that refuses.
func TestNobodyThere(t *testing.T) {
	l := newLab(t, nil)
	l.faults.Set(fakebmc.Fault{Dead: true})
	l.openFails(t, bmc.ErrUnreachable, "no answer in time")
	_ = l.bmc.Close()
	l.openFails(t, bmc.ErrUnreachable, "refused")
}

// TestMisbehaviour: each answer that makes no sense has its class, and the BMC is usable afterwards.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	d := l.open(t)
	for name, c := range map[string]struct {
		fault fakebmc.Fault
		class error
	}{
		"nonsense": {fakebmc.Fault{Garbage: true}, bmc.ErrUnsupported},
		"broken":   {fakebmc.Fault{Status: 500}, bmc.ErrUnreachable},
		"dead":     {fakebmc.Fault{Dead: true}, bmc.ErrUnreachable},
	} {
		l.faults.Set(c.fault)
		_, power := d.Power(t.Context())
		for doing, err := range map[string]error{
			"power": power, "set": d.SetPower(t.Context(), bmc.On), "shut": d.Shutdown(t.Context()), "boot": d.SetBootNetwork(t.Context(), true),
		} {
			if !errors.Is(err, c.class) {
				t.Errorf("%s, %s: %v; want %v", name, doing, err, c.class)
			}
		}
		l.faults.Set(fakebmc.Fault{})
		wantPower(t, d, bmc.Off)
	}
	l.faults.Set(fakebmc.Fault{Garbage: true})
	l.openFails(t, bmc.ErrUnreachable, "no answer in time")
	l.faults.Set(fakebmc.Fault{Inverted: true})
	wantPower(t, d, bmc.On) // it has no other witness; the plane notices by what orders do
	l.faults.Set(fakebmc.Fault{Latency: 200 * time.Millisecond})
	wantPower(t, d, bmc.Off) // slower than one wait
	if orders := l.machine.Orders(); len(orders) != 0 {
		t.Errorf("the host was ordered %v", orders)
	}
}

// TestStaysAlive: between polls the driver shows that the session lives, so that it outlasts the BMC's 60 s. Control: without, it ends.
func TestStaysAlive(t *testing.T) {
	clock := clock.At(time.Unix(1e9, 0))
	l := newLab(t, func(c *rmcp.Config) { c.Now = clock.Now })
	d, err := ipmi.OpenAlive(t.Context(), l.target, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		clock.Pass(50 * time.Second)
		seen := len(l.bmc.Commands())
		eventually(t, "a sign of life", func() bool { return len(l.bmc.Commands()) > seen+1 })
	}
	if tally := l.bmc.Tally(); l.bmc.Sessions() != 1 || tally.Opened != 1 {
		t.Errorf("%d sessions, %+v", l.bmc.Sessions(), tally)
	}
	if err := d.Close(t.Context()); err != nil || l.bmc.Sessions() != 0 {
		t.Errorf("closing: %v, %d are left", err, l.bmc.Sessions())
	}
	if err := d.Close(t.Context()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if err := l.open(t).Close(ended); err != nil || l.bmc.Sessions() != 0 {
			t.Fatalf("closing when nobody waits any more: %v, %d are left", err, l.bmc.Sessions())
		}
	}
	silent := l.open(t)
	clock.Pass(61 * time.Second)
	if l.bmc.Sessions() != 0 {
		t.Error("control: a silent session does not end")
	}
	wantPower(t, silent, bmc.Off)
}

// TestFlagsOutlastASlowStart: 61 s after the order the machine still boots from the network, since the driver set parameter 3. Where a BMC does not
// have that, the flags are gone, and to ensure them again sets them again.
func TestFlagsOutlastASlowStart(t *testing.T) {
	for name, expire := range map[string]bool{"kept": false, "expired": true} {
		clock := clock.At(time.Unix(1e9, 0))
		l := newLab(t, func(c *rmcp.Config) { c.Now = clock.Now })
		l.faults.Set(fakebmc.Fault{FlagsExpire: expire})
		d := l.open(t)
		order := func() {
			t.Helper()
			if err := d.SetBootNetwork(t.Context(), true); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		pending := func() bool {
			t.Helper()
			wantPower(t, d, bmc.Off) // a question, so that the BMC looks at its clock
			override, _ := l.machine.BootOverride(t.Context())
			return override.Pending()
		}
		order()
		for range 7 {
			clock.Pass(10 * time.Second) // the session stays by the questions
			pending()
		}
		if pending() == expire {
			t.Errorf("%s: after 70 s pending is %v", name, !expire)
		}
		order()
		if !pending() {
			t.Errorf("%s: ensured again, and no override", name)
		}
	}
}

// TestFirmwareOfFlags: firmware heeds flags of its own kind alone; what nobody knows is taken for UEFI. Control: the other kind is not heeded.
func TestFirmwareOfFlags(t *testing.T) {
	for name, c := range map[string]struct {
		uefi     bool
		firmware bmc.Firmware
		heeded   bool
	}{
		"UEFI":             {true, bmc.FirmwareUEFI, true},
		"UEFI, not known":  {true, "", true},
		"BIOS":             {false, bmc.FirmwareBIOS, true},
		"BIOS, taken UEFI": {false, bmc.FirmwareUEFI, false},
		"UEFI, taken BIOS": {true, bmc.FirmwareBIOS, false},
	} {
		m := memory.New(machine.Identity{UEFI: c.uefi})
		l := newLab(t, func(config *rmcp.Config) { config.Machine = m })
		l.target.Firmware = c.firmware
		d := l.open(t)
		for _, once := range []bool{true, false} {
			if err := d.SetBootNetwork(t.Context(), once); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if override, _ := m.BootOverride(t.Context()); (override.Target == machine.TargetPxe) != c.heeded || c.heeded && override.Once != once {
				t.Errorf("%s: the firmware reads %+v", name, override)
			}
		}
	}
}

// hasty is a host that is off before it can be asked, if it goes; one that does not is refused all the same.
type hasty struct {
	*memory.Machine
	goes bool
}

func (h hasty) GracefulShutdown(ctx context.Context) error {
	if h.goes {
		return errors.Join(h.ForceOff(ctx), machine.ErrPoweredOff)
	}
	return machine.ErrPoweredOff
}

// TestSenselessOrder: an order that the BMC finds senseless in the present state (D5h) is none that failed, if the host went where it was to go.
func TestSenselessOrder(t *testing.T) {
	for _, goes := range []bool{true, false} {
		host := hasty{memory.New(machine.Identity{}), goes}
		d := newLab(t, func(c *rmcp.Config) { c.Machine = host }).open(t)
		if err := d.SetPower(t.Context(), bmc.On); err != nil {
			t.Fatal(err)
		}
		err := d.Shutdown(t.Context())
		if goes && err != nil || !goes && !errors.Is(err, bmc.ErrUnsupported) {
			t.Errorf("goes=%v: %v", goes, err)
		}
	}
}
