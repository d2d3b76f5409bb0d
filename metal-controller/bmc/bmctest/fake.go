package bmctest

import (
	"context"
	"sync"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
)

// Behaviour is how the BMC in memory, or one behind an Oracle, misbehaves. The zero value is an honest one.
type Behaviour struct {
	// Dead: calls last until their context ends.
	Dead bool
	// IgnorePower and IgnoreBoot acknowledge orders and do nothing.
	IgnorePower, IgnoreBoot bool
	// IgnoreMedia acknowledges what is inserted and ejected and does nothing; NoMedia: it has no virtual media.
	IgnoreMedia, NoMedia bool
	// NoShutdown: it cannot ask the operating system to go down.
	NoShutdown bool
}

// BMC is a management controller in memory. Open is its driver. It is safe for concurrent use, and it is an Oracle.
type BMC struct {
	mu         sync.Mutex
	target     bmc.Target
	pin        string
	behaviour  Behaviour
	lag        time.Duration
	on         bool
	asked      bool
	pending    *bool
	due        time.Time
	bootSet    bool
	bootOnce   bool
	bootFrom   From
	bootURI    string
	media      string
	orders     int
	attempts   []time.Time
	sessions   map[*driver]bool
	mostAtOnce int
}

// NewBMC makes one that is off and lets in the credentials of target, wherever that points.
func NewBMC(target bmc.Target) *BMC {
	return &BMC{target: target, pin: "00aa", sessions: map[*driver]bool{}}
}

// Open connects to it, as bmc.Options.Open.
func (b *BMC) Open(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
	if err := b.alive(ctx, "opening"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if target.Pin != "" && target.Pin != b.pin {
		return nil, b.fail(bmc.ErrCertificateChanged, "opening")
	}
	d := &driver{bmc: b, target: target}
	if err := d.login("opening"); err != nil {
		return nil, err
	}
	return d, nil
}

// login opens a session. The lock is held.
func (d *driver) login(doing string) error {
	b := d.bmc
	b.attempts = append(b.attempts, time.Now())
	if d.target.Username != b.target.Username || d.target.Password != b.target.Password {
		return b.fail(bmc.ErrUnauthorized, doing)
	}
	b.sessions[d] = true
	b.mostAtOnce = max(b.mostAtOnce, len(b.sessions))
	return nil
}

// alive blocks a call while the BMC is dead.
func (b *BMC) alive(ctx context.Context, doing string) error {
	b.mu.Lock()
	dead := b.behaviour.Dead
	b.mu.Unlock()
	if dead {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return bmc.Fail(bmc.ErrUnreachable, doing, "%v", ctx.Err())
	}
	return nil
}

func (b *BMC) fail(class error, doing string) error {
	failure := bmc.Fail(class, doing, "in memory")
	failure.PinSeen = b.pin
	return failure
}

// settle lets an order that lagged take effect. The lock is held.
func (b *BMC) settle() {
	if b.pending != nil && !time.Now().Before(b.due) {
		b.on, b.asked, b.pending = *b.pending, false, nil
	}
}

type driver struct {
	bmc    *BMC
	target bmc.Target
}

// enter takes the lock if the call may go on. A session that the BMC forgot is opened again, as real drivers do.
func (d *driver) enter(ctx context.Context, doing string) error {
	if err := d.bmc.alive(ctx, doing); err != nil {
		return err
	}
	d.bmc.mu.Lock()
	d.bmc.settle()
	if d.bmc.sessions[d] {
		return nil
	}
	err := d.login(doing)
	if err != nil {
		d.bmc.mu.Unlock()
	}
	return err
}

func (d *driver) Power(ctx context.Context) (bmc.PowerState, error) {
	if err := d.enter(ctx, "reading power state"); err != nil {
		return bmc.Unknown, err
	}
	defer d.bmc.mu.Unlock()
	if d.bmc.on {
		return bmc.On, nil
	}
	return bmc.Off, nil
}

func (d *driver) SetPower(ctx context.Context, want bmc.PowerState) error {
	if want != bmc.On && want != bmc.Off {
		return bmc.Fail(bmc.ErrUnsupported, "setting power", "the host can be set to On and Off only")
	}
	if err := d.enter(ctx, "setting power"); err != nil {
		return err
	}
	defer d.bmc.mu.Unlock()
	on := want == bmc.On
	if d.bmc.on == on {
		return nil
	}
	d.bmc.orders++
	if d.bmc.behaviour.IgnorePower {
		return nil
	}
	d.bmc.pending, d.bmc.due = &on, time.Now().Add(d.bmc.lag)
	d.bmc.settle()
	return nil
}

func (d *driver) Shutdown(ctx context.Context) error {
	const doing = "asking the operating system to shut down"
	if err := d.enter(ctx, doing); err != nil {
		return err
	}
	defer d.bmc.mu.Unlock()
	if !d.bmc.on {
		return nil
	}
	if d.bmc.behaviour.NoShutdown {
		return d.bmc.fail(bmc.ErrUnsupported, doing)
	}
	d.bmc.orders++
	d.bmc.asked = !d.bmc.behaviour.IgnorePower
	return nil
}

func (d *driver) SetBootNetwork(ctx context.Context, once bool) error {
	const doing = "setting next boot to network"
	if err := d.enter(ctx, doing); err != nil {
		return err
	}
	defer d.bmc.mu.Unlock()
	from, uri := FromNetwork, ""
	switch {
	case d.target.MediaURI != "":
		from = FromMedia
		if err := d.insert(doing, once); err != nil {
			return err
		}
	case d.target.BootURI != "":
		from, uri = FromURI, d.target.BootURI
	}
	b := d.bmc
	if b.bootSet && b.bootOnce == once && b.bootFrom == from && b.bootURI == uri {
		return nil
	}
	b.orders++
	if b.behaviour.IgnoreBoot {
		return b.fail(bmc.ErrLied, doing)
	}
	b.bootSet, b.bootOnce, b.bootFrom, b.bootURI = true, once, from, uri
	return nil
}

// insert puts the target's image into the drive. The lock is held.
func (d *driver) insert(doing string, once bool) error {
	b := d.bmc
	switch {
	case !once, b.behaviour.NoMedia, b.media != "" && b.media != d.target.MediaURI:
		return b.fail(bmc.ErrUnsupported, doing)
	case b.media != "":
		return nil
	}
	b.orders++
	if b.behaviour.IgnoreMedia {
		return b.fail(bmc.ErrLied, doing)
	}
	b.media = d.target.MediaURI
	return nil
}

// MediaInserted implements bmc.MediaDriver.
func (d *driver) MediaInserted(ctx context.Context) (bool, error) {
	const doing = "reading virtual media"
	if err := d.enter(ctx, doing); err != nil {
		return false, err
	}
	defer d.bmc.mu.Unlock()
	if d.bmc.behaviour.NoMedia {
		return false, d.bmc.fail(bmc.ErrUnsupported, doing)
	}
	return d.bmc.media != "" && d.bmc.media == d.target.MediaURI, nil
}

// EjectMedia implements bmc.MediaDriver.
func (d *driver) EjectMedia(ctx context.Context) error {
	const doing = "ejecting virtual media"
	if err := d.enter(ctx, doing); err != nil {
		return err
	}
	defer d.bmc.mu.Unlock()
	b := d.bmc
	switch {
	case b.behaviour.NoMedia:
		return b.fail(bmc.ErrUnsupported, doing)
	case b.media == "" || b.media != d.target.MediaURI:
		return nil
	}
	b.orders++
	if b.behaviour.IgnoreMedia {
		return b.fail(bmc.ErrLied, doing)
	}
	b.media = ""
	return nil
}

func (d *driver) Close(context.Context) error {
	d.bmc.mu.Lock()
	defer d.bmc.mu.Unlock()
	delete(d.bmc.sessions, d)
	return nil
}

// PinSeen is the certificate of the BMC.
func (d *driver) PinSeen() string {
	d.bmc.mu.Lock()
	defer d.bmc.mu.Unlock()
	return d.bmc.pin
}
