package packets

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var errDown = errors.New("network is down")

// script plays errors in turn, then ends the context.
func script(errs ...error) (context.Context, func() error, *int) {
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	return ctx, func() error {
		calls++
		if calls > len(errs) {
			cancel()
			return net.ErrClosed // what a closed socket says at the end
		}
		return errs[calls-1]
	}, &calls
}

func times(n int, err error) []error {
	all := make([]error, n)
	for i := range all {
		all[i] = err
	}
	return all
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		errs  []error
		calls int
		want  error
	}{
		{"ends with the context", times(3, nil), 4, nil},
		{"bears what passes", append(times(patience, errDown), nil, errDown), patience + 3, nil},
		{"counts anew after a packet", append(append(times(patience, errDown), nil), times(patience, errDown)...), 2*patience + 2, nil},
		{"gives up", times(patience+5, errDown), patience + 1, errDown},
		{"stops at a closed socket", []error{nil, &net.OpError{Op: "read", Err: net.ErrClosed}, nil}, 2, net.ErrClosed},
	} {
		ctx, next, calls := script(c.errs...)
		err := Read(ctx, "test packets", next)
		if !errors.Is(err, c.want) || *calls != c.calls {
			t.Errorf("%s: %v after %d calls, want %v after %d", c.name, err, *calls, c.want, c.calls)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "receiving test packets: ") {
			t.Errorf("%s: %q does not say what it received", c.name, err)
		}
	}
}

func TestExplain(t *testing.T) {
	p := Port{Server: "DHCP", Number: 67, Where: "eth0", Rights: "CAP_NET_RAW"}
	for cause, says := range map[error]string{
		unix.EADDRINUSE: "another DHCP server runs here; find it with: ss -ulpn sport = :67",
		unix.EACCES:     "run as root or with CAP_NET_RAW", unix.EPERM: "run as root or with CAP_NET_RAW", errDown: "network is down",
	} {
		err := p.Explain(os.NewSyscallError("bind", cause))
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "listening on UDP port 67 of eth0: ") {
			t.Errorf("%v is explained as %q, want %q in it", cause, err, says)
		}
	}
}
