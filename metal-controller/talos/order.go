package talos

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// orderTimeout is how long a machine may take to accept an order.
const orderTimeout = 30 * time.Second

// Why an order was not given, or not taken.
var (
	// ErrNotMeant: what answers is not in the state that the order is for, or another machine.
	ErrNotMeant = errors.New("the machine that answers is not one that runs from its disk and waits for the order")
	// ErrNotYet: it cannot now (FailedPrecondition, Unavailable).
	ErrNotYet = errors.New("Talos cannot do it yet")
	// ErrNever: it is no control plane, or does not know the order.
	ErrNever = errors.New("Talos says that it never will: is its machine config that of a control plane?")
)

// Bootstrap lets the Talos at an address begin the etcd of a new cluster. It returns nil when it has begun, now or before. The machine is asked first, over the
// same connection: the order goes to the machine that is meant, which booted from its disk, and to no other. Errors are those of Ask and this file's.
func (c Client) Bootstrap(ctx context.Context, address netip.Addr, own Credentials, want Machine) error {
	return c.over(ctx, address, own, func(conn *grpc.ClientConn) error {
		ctx, cancel := context.WithTimeout(ctx, orderTimeout)
		defer cancel()
		a, err := c.ask(ctx, conn)
		if err != nil {
			return err
		}
		switch v := Judge(a, want); {
		case v.Running: // a control plane that runs has its etcd
			return nil
		case !v.Alive || a.Stage != StageBooting:
			return ErrNotMeant
		}
		_, err = machine.NewMachineServiceClient(conn).Bootstrap(ctx, &machine.BootstrapRequest{})
		return refusal(err)
	})
}

// refusal is what the answer to Bootstrap means (Talos v1.13, machined's server, Bootstrap): its data folder is not empty (AlreadyExists), the boot is not so
// far or the clock not set (FailedPrecondition), or the machine is a worker (Unimplemented; InvalidArgument elsewhere).
func refusal(err error) error {
	switch status.Code(err) {
	case codes.OK, codes.AlreadyExists:
		return nil
	case codes.FailedPrecondition, codes.Unavailable, codes.Aborted:
		return ErrNotYet
	case codes.Unimplemented, codes.InvalidArgument:
		return ErrNever
	}
	return classify(err)
}
