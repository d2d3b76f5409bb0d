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
	// ErrOther: what answers is of the cluster, and not the machine that is meant.
	ErrOther = errors.New("another machine answers at its address")
	// ErrNotMeant: it is not in the state that the order is for.
	ErrNotMeant = errors.New("the machine does not run from its disk, or does not wait for the order")
	// ErrNotYet: it cannot now (FailedPrecondition, Unavailable).
	ErrNotYet = errors.New("Talos cannot do it yet")
	// ErrNever: it is no control plane, or does not know the order.
	ErrNever = errors.New("Talos says that it never will: is its machine config that of a control plane?")
)

// Bootstrap lets the Talos at an address begin the etcd of a new cluster. It returns nil when it has begun, now or before. The order goes to the machine that is
// meant, which booted from its disk, and to no other. Errors are those of Ask, ErrOther and this file's.
func (c Client) Bootstrap(ctx context.Context, address netip.Addr, own Credentials, want Machine) error {
	return c.to(ctx, address, own, want, func(ctx context.Context, a Answer, m machine.MachineServiceClient) error {
		switch v := Judge(a, want); {
		case v.Running: // a control plane that runs has its etcd
			return nil
		case !v.Alive || a.Stage != StageBooting:
			return ErrNotMeant
		}
		_, err := m.Bootstrap(ctx, &machine.BootstrapRequest{})
		return refusal(err)
	})
}

// Restart lets the machine of a Talos restart through its firmware, so that it asks the network for its boot where that is first in its order. It returns nil
// when Talos has taken the order. Errors are those of Ask, ErrOther and this file's.
func (c Client) Restart(ctx context.Context, address netip.Addr, own Credentials, want Machine) error {
	return c.to(ctx, address, own, want, func(ctx context.Context, _ Answer, m machine.MachineServiceClient) error {
		_, err := m.Reboot(ctx, &machine.RebootRequest{Mode: machine.RebootRequest_POWERCYCLE}) // by default Talos starts its own kernel again (kexec), and no firmware
		return refusal(err)
	})
}

// to says something to the machine that is meant, once it has shown over the same connection that it is that one, and how it fares.
func (c Client) to(ctx context.Context, address netip.Addr, own Credentials, want Machine, say func(context.Context, Answer, machine.MachineServiceClient) error) error {
	return c.over(ctx, address, own, func(conn *grpc.ClientConn) error {
		ctx, cancel := context.WithTimeout(ctx, orderTimeout)
		defer cancel()
		a, err := c.ask(ctx, conn)
		if err != nil {
			return err
		}
		if !same(a.Machine, want) {
			return ErrOther
		}
		return say(ctx, a, machine.NewMachineServiceClient(conn))
	})
}

// refusal is what the answer to an order means; that to Bootstrap (Talos v1.13, machined's server, Bootstrap): its data folder is not empty (AlreadyExists), the boot is not so
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
