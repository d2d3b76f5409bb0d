package ipmi

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/types"

	"ingot.dev/ingot/metal-controller/bmc"
)

// driver is one BMC. Its calls are made one after another; between them it shows the BMC that the session lives.
type driver struct {
	target bmc.Target
	pace   pace
	wire   *wire
	// level is the privilege that sessions ask for.
	level types.PrivilegeLevel

	// turn is held by who talks to the BMC.
	turn    chan struct{}
	session *session

	ended context.Context
	end   context.CancelFunc
	work  sync.WaitGroup
}

// Open asks the BMC whether it speaks IPMI 2.0, opens a session and returns the driver. After an error nothing stays open at the BMC.
func Open(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
	return open(ctx, target, usual())
}

func open(ctx context.Context, target bmc.Target, pace pace) (bmc.Driver, error) {
	d, err := connect(ctx, target, pace)
	if err != nil {
		return nil, err
	}
	d.ended, d.end = context.WithCancel(context.Background())
	d.work.Go(d.stayAlive)
	return d, nil
}

// connect opens a session that nobody keeps alive.
func connect(ctx context.Context, target bmc.Target, pace pace) (*driver, error) {
	if err := check(target); err != nil {
		return nil, err
	}
	w, err := dial(ctx, target)
	if err != nil {
		return nil, explain(Probing, err)
	}
	d := &driver{target: target, pace: pace, wire: w, level: privilege, turn: make(chan struct{}, 1)}
	if err := d.open(ctx); err != nil {
		_ = w.conn.Close()
		return nil, err
	}
	return d, nil
}

// check refuses what RAKP has no room for, and a password that would be none.
func check(target bmc.Target) error {
	const doing = "opening"
	switch n := len(target.Password.Reveal()); {
	case n == 0:
		return bmc.Fail(bmc.ErrUnsupported, doing, "IPMI without a password is no protection; give the account one")
	case n > maxPassword:
		return bmc.Fail(bmc.ErrUnsupported, doing, "IPMI has room for %d bytes of password, and this one is longer; set a shorter one", maxPassword)
	case len(target.Username) > maxUser:
		return bmc.Fail(bmc.ErrUnsupported, doing, "IPMI has room for %d bytes of user name, and this one is longer; use another account", maxUser)
	}
	return nil
}

func (d *driver) open(ctx context.Context) error {
	if err := d.probe(ctx); err != nil {
		return explain(Probing, err)
	}
	return explain("logging in", d.login(ctx))
}

// Close ends the session and drops the socket. It may be called twice.
func (d *driver) Close(ctx context.Context) error {
	d.end()
	d.work.Wait()
	// Also when the caller's context is done: what stays open is missing elsewhere. It is bounded by the pace, and the turn is free.
	ctx = context.WithoutCancel(ctx)
	_ = d.enter(ctx)
	defer d.leave()
	err := d.closeSession(ctx, d.pace.farewell)
	_ = d.wire.conn.Close()
	return explain("logging out", err)
}

func (d *driver) enter(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *driver) leave() { <-d.turn }

// do runs one operation. A session that the BMC has forgotten answers no more (6.12.14), so after silence a new one is opened, once: BMCs
// drop sessions when they restart. Operations are level-based, so running one again is safe.
func (d *driver) do(ctx context.Context, doing string, operation func(context.Context) error) error {
	if err := d.enter(ctx); err != nil {
		return explain(doing, err)
	}
	defer d.leave()
	if d.session != nil {
		err := operation(ctx)
		if !errors.Is(err, errSilent) {
			return explain(doing, err)
		}
		_ = d.closeSession(context.WithoutCancel(ctx), d.pace.farewell[:1]) // where the BMC has it after all, it ends before the next begins
	}
	if err := d.login(ctx); err != nil {
		return explain(doing, err)
	}
	return explain(doing, operation(ctx))
}

// stayAlive asks for the device ID now and then (20.1, which every BMC has), so that the session does not end between two polls. Whether it
// is answered shows at the next operation.
func (d *driver) stayAlive() {
	ticker := time.NewTicker(d.pace.alive)
	defer ticker.Stop()
	for {
		select {
		case <-d.ended.Done():
			return
		case <-ticker.C:
			d.sign()
		}
	}
}

func (d *driver) sign() {
	if d.enter(d.ended) != nil {
		return
	}
	defer d.leave()
	if s := d.session; s != nil {
		s.number = (s.number + 1) & maxSequence
		command := &app.GetDeviceIDRequest{}
		message := request(command, s.number)
		next := func() ([]byte, error) { return s.packet(message) }
		_, _ = d.exchange(d.ended, d.pace.farewell[:1], command, s.number, next, s.take)
	}
}
