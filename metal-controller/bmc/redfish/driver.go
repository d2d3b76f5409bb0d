package redfish

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	provider "github.com/bmc-toolbox/bmclib/v2/providers/redfish"
	"github.com/go-logr/logr"
	"github.com/stmcginnis/gofish"

	"ingot.dev/ingot/metal-controller/bmc"
)

// driver is one BMC. Its calls are made one after another.
type driver struct {
	target bmc.Target
	wire   *wire
	http   *http.Client

	// sessions is where to log in; "" means Basic authentication.
	sessions string
	// session is the address of the open session, tokened that there is one.
	session string
	tokened bool

	// power is bmclib's connection; direct is gofish's, for what bmclib does not pass on.
	power  *provider.Conn
	direct *gofish.APIClient
	// cds are the addresses of the virtual drives that take a CD, once they are known.
	cds []string
}

// Open asks the BMC what it speaks, logs in and returns the driver. After an error nothing stays open at the BMC.
func Open(ctx context.Context, target bmc.Target) (bmc.Driver, error) {
	d := newDriver(target)
	if err := d.open(ctx); err != nil {
		_ = d.Close(ctx) // the first failure is the one to tell
		return nil, err
	}
	return d, nil
}

func newDriver(target bmc.Target) *driver {
	port := target.Port
	if port == 0 {
		port = bmc.DefaultRedfishPort
	}
	w := newWire(net.JoinHostPort(target.Host, strconv.Itoa(port)), &pin{want: target.Pin})
	d := &driver{target: target, wire: w, http: w.client()}
	// Host and port arrive joined, since bmclib does not bracket IPv6 addresses. No credentials: the wire has them.
	d.power = provider.New("https://"+w.host, "", "", logr.Discard(),
		provider.WithHttpClient(d.http), provider.WithPort(""), provider.WithUseBasicAuth(true))
	return d
}

func (d *driver) open(ctx context.Context) error {
	if err := d.probe(ctx); err != nil {
		return err
	}
	if err := d.login(ctx); err != nil {
		return err
	}
	return d.do(ctx, "opening", func(ctx context.Context) error {
		// Without its deadline: bmclib would keep it as the limit of every later request.
		return d.power.Open(context.WithoutCancel(ctx))
	})
}

// PinSeen is the certificate that the BMC showed.
func (d *driver) PinSeen() string { return d.wire.pin.Seen() }

// Close logs out and drops the connection.
func (d *driver) Close(ctx context.Context) error {
	defer d.wire.base.CloseIdleConnections()
	return d.logout(ctx)
}

// do runs one operation of a library. A session that the BMC has forgotten is opened again, once: BMCs drop
// sessions when they restart and after some idle minutes. Operations are level-based, so running one again is safe.
func (d *driver) do(ctx context.Context, doing string, operation func(context.Context) error) error {
	err := d.try(ctx, doing, operation)
	if !errors.Is(err, bmc.ErrUnauthorized) || !d.tokened {
		return err
	}
	_ = d.logout(ctx) // it may be gone already
	if err := d.login(ctx); err != nil {
		return err
	}
	return d.try(ctx, doing, operation)
}

// try runs an operation within one call of the wire. A panic of a library over a strange answer is an error.
func (d *driver) try(ctx context.Context, doing string, operation func(context.Context) error) (err error) {
	c := d.wire.begin(ctx, doing)
	defer d.wire.end()
	defer func() {
		if r := recover(); r != nil {
			err = d.failed(bmc.ErrUnsupported, doing, "an answer makes no sense")
		}
	}()
	if err := operation(ctx); err != nil {
		return d.explain(c, err)
	}
	return nil
}

// explain prefers what the wire saw over what a library made of it.
func (d *driver) explain(c *call, err error) error {
	d.wire.mu.Lock()
	failure := c.failure
	d.wire.mu.Unlock()
	if failure != nil {
		return failure
	}
	var classified *bmc.Error
	if errors.As(err, &classified) {
		classified.Doing, classified.PinSeen = c.doing, d.PinSeen()
		return classified
	}
	return d.failed(bmc.ErrUnsupported, c.doing, "%s", strings.ToValidUTF8(err.Error(), "?"))
}

func (d *driver) failed(class error, doing, format string, args ...any) *bmc.Error {
	failure := bmc.Fail(class, doing, format, args...)
	failure.PinSeen = d.PinSeen()
	return failure
}
