package bmctest

import (
	"context"
	"errors"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
)

// Oracle sees the host and the BMC by other means than the driver under test.
type Oracle interface {
	On() bool
	SetOn(bool)
	// Follow lets the operating system do what it was asked: go down if a shutdown came through.
	Follow()
	BootNetwork() (set, once bool)
	// Orders counts the requests so far that asked the host to change.
	Orders() int
	// Sessions counts what is open at the BMC.
	Sessions() int
	DropSessions()
	Behave(Behaviour)
}

// Boot is a boot override.
type Boot struct {
	From From
	// URI is the first file, for FromURI.
	URI  string
	Once bool
}

// From is what a boot override names.
type From string

// The overrides that Ingot orders. "" is none, or another one.
const (
	FromNetwork From = "Network"
	FromURI     From = "URI"
	FromMedia   From = "Media"
)

// RunDriver is the contract of bmc.Driver. open gives a driver to a fresh host that is off.
func RunDriver(t *testing.T, open func(t *testing.T) (bmc.Driver, Oracle)) {
	RunPower(t, open)
	run(t, open, []clause{
		{"ensures network boot and reads it back", ensuresBoot},
		{"tells an ignored boot order", ignoredBoot},
		{"keeps one session and ends it", oneSession},
	})
}

// clause is one part of the contract.
type clause struct {
	name string
	run  func(t *testing.T, d bmc.Driver, o Oracle)
}

// RunPower is the part of the contract that asks for no boot order to be kept, for BMCs that cannot keep one.
func RunPower(t *testing.T, open func(t *testing.T) (bmc.Driver, Oracle)) {
	run(t, open, []clause{
		{"reads what the host is", readsPower},
		{"ensures on and off, once", ensuresPower},
		{"refuses states that are none", refusesUnknown},
		{"leaves judging an ignored order to reading", ignoredPower},
		{"asks the system to go down, and leaves it at that", asksSystem},
		{"asks nobody where the BMC does not offer it", asksNobody},
		{"ends with its context and works again", endsWithContext},
		{"logs in again when the session is gone", logsInAgain},
	})
}

func run(t *testing.T, open func(t *testing.T) (bmc.Driver, Oracle), clauses []clause) {
	for _, c := range clauses {
		t.Run(c.name, func(t *testing.T) {
			d, o := open(t)
			t.Cleanup(func() { _ = d.Close(context.Background()) })
			c.run(t, d, o)
		})
	}
}

func wantPower(t *testing.T, d bmc.Driver, want bmc.PowerState) {
	t.Helper()
	if got, err := d.Power(t.Context()); err != nil || got != want {
		t.Fatalf("Power: %s, %v; want %s", got, err, want)
	}
}

func wantOK(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantClass checks the class, and that the error is the port's own.
func wantClass(t *testing.T, err, class error) {
	t.Helper()
	var failure *bmc.Error
	if !errors.Is(err, class) || !errors.As(err, &failure) {
		t.Fatalf("error %v (%T); want class %v", err, err, class)
	}
	if failure.Doing == "" {
		t.Errorf("error %q does not say what was done", err)
	}
}

func readsPower(t *testing.T, d bmc.Driver, o Oracle) {
	wantPower(t, d, bmc.Off)
	o.SetOn(true)
	wantPower(t, d, bmc.On)
	o.SetOn(false)
	wantPower(t, d, bmc.Off)
	if o.Orders() != 0 {
		t.Errorf("reading ordered something")
	}
}

func ensuresPower(t *testing.T, d bmc.Driver, o Oracle) {
	for i, want := range []bmc.PowerState{bmc.Off, bmc.On, bmc.On, bmc.Off, bmc.Off} {
		wantOK(t, d.SetPower(t.Context(), want))
		wantPower(t, d, want)
		if o.On() != (want == bmc.On) {
			t.Fatalf("step %d: ensured %s, the host is on=%v", i, want, o.On())
		}
	}
	if o.Orders() != 2 {
		t.Errorf("%d orders for two changes", o.Orders())
	}
}

func refusesUnknown(t *testing.T, d bmc.Driver, o Oracle) {
	wantClass(t, d.SetPower(t.Context(), bmc.Unknown), bmc.ErrUnsupported)
	wantClass(t, d.SetPower(t.Context(), "Sideways"), bmc.ErrUnsupported)
	if o.Orders() != 0 {
		t.Errorf("a refused state ordered something")
	}
	wantOK(t, d.SetPower(t.Context(), bmc.On))
}

func ignoredPower(t *testing.T, d bmc.Driver, o Oracle) {
	o.Behave(Behaviour{IgnorePower: true})
	wantOK(t, d.SetPower(t.Context(), bmc.On))
	wantPower(t, d, bmc.Off)
	o.Behave(Behaviour{})
	wantOK(t, d.SetPower(t.Context(), bmc.On))
	wantPower(t, d, bmc.On)
}

func asksSystem(t *testing.T, d bmc.Driver, o Oracle) {
	wantOK(t, d.Shutdown(t.Context()))
	if o.Orders() != 0 {
		t.Errorf("a host that is off was ordered something")
	}
	wantOK(t, d.SetPower(t.Context(), bmc.On))
	o.Follow()
	wantPower(t, d, bmc.On) // control: nobody asked yet
	wantOK(t, d.Shutdown(t.Context()))
	wantPower(t, d, bmc.On)
	if o.Orders() != 2 {
		t.Errorf("%d orders for on and shutdown", o.Orders())
	}
	o.Follow()
	wantPower(t, d, bmc.Off)
	o.SetOn(true)
	o.Behave(Behaviour{IgnorePower: true})
	wantOK(t, d.Shutdown(t.Context()))
	o.Follow()
	wantPower(t, d, bmc.On)
}

func asksNobody(t *testing.T, d bmc.Driver, o Oracle) {
	o.SetOn(true)
	o.Behave(Behaviour{NoShutdown: true})
	wantClass(t, d.Shutdown(t.Context()), bmc.ErrUnsupported)
	if o.Orders() != 0 {
		t.Errorf("the host was ordered something")
	}
	o.Follow()
	wantPower(t, d, bmc.On)
	o.Behave(Behaviour{})
	wantOK(t, d.Shutdown(t.Context()))
	o.Follow()
	wantPower(t, d, bmc.Off)
}

func ensuresBoot(t *testing.T, d bmc.Driver, o Oracle) {
	for i, once := range []bool{true, true, false, false, true} {
		wantOK(t, d.SetBootNetwork(t.Context(), once))
		if set, got := o.BootNetwork(); !set || got != once {
			t.Fatalf("step %d: wanted once=%v, the host has set=%v once=%v", i, once, set, got)
		}
	}
	if o.Orders() != 3 {
		t.Errorf("%d orders for three changes", o.Orders())
	}
}

func ignoredBoot(t *testing.T, d bmc.Driver, o Oracle) {
	o.Behave(Behaviour{IgnoreBoot: true})
	wantClass(t, d.SetBootNetwork(t.Context(), true), bmc.ErrLied)
	o.Behave(Behaviour{})
	wantOK(t, d.SetBootNetwork(t.Context(), true))
}

func endsWithContext(t *testing.T, d bmc.Driver, o Oracle) {
	o.Behave(Behaviour{Dead: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := d.Power(ctx)
	wantClass(t, err, bmc.ErrUnreachable)
	wantClass(t, d.SetPower(ctx, bmc.On), bmc.ErrUnreachable)
	wantClass(t, d.Shutdown(ctx), bmc.ErrUnreachable)
	wantClass(t, d.SetBootNetwork(ctx, true), bmc.ErrUnreachable)
	if o.On() || o.Orders() != 0 {
		t.Errorf("an order came through although its context had ended")
	}
	o.Behave(Behaviour{})
	wantPower(t, d, bmc.Off)
}

func logsInAgain(t *testing.T, d bmc.Driver, o Oracle) {
	wantPower(t, d, bmc.Off)
	for range 3 {
		o.DropSessions()
		wantOK(t, d.SetPower(t.Context(), bmc.On))
		o.DropSessions()
		wantPower(t, d, bmc.On)
	}
	if o.Sessions() != 1 {
		t.Errorf("%d sessions are open, want 1", o.Sessions())
	}
}

func oneSession(t *testing.T, d bmc.Driver, o Oracle) {
	for range 10 {
		wantPower(t, d, bmc.Off)
		wantOK(t, d.SetBootNetwork(t.Context(), true))
	}
	if o.Sessions() != 1 {
		t.Errorf("%d sessions are open, want 1", o.Sessions())
	}
	wantOK(t, d.Close(t.Context()))
	if o.Sessions() != 0 {
		t.Errorf("%d sessions are left after Close", o.Sessions())
	}
}
