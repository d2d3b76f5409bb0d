// Package talos asks the API of a machine's Talos (apid, port 50000) what proves that this very machine has it installed and runs it, and gives it the few
// orders that a cluster needs from whoever made it.
//
// It is an adapter (layer 2) over the protobufs of Talos' machinery, v1.13; Judge, which says what an answer proves, is pure. Invariants:
//   - Both sides are verified: the machine by the cluster's authority and its own address, we by a client certificate. Nothing is asked otherwise.
//   - Ask only reads, and only what a reader may. An order goes, over the same connection, to a machine that has just proven to be the one that is meant.
//   - Time, sizes and the number of calls are bounded.
//   - All of an answer comes over one connection; none is made anew.
//   - Errors are our own words: nothing that a machine or a config said is in them.
package talos

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/block"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/enums"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/hardware"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Port of apid (Talos v1.13, constants.ApidPort).
const Port = 50000

// Limits of one question.
const (
	// dialTimeout is short: a machine that is off must not keep those waiting that are not.
	dialTimeout = 3 * time.Second
	askTimeout  = 8 * time.Second
	// maxMessage and maxHeader bound what a machine may say, in bytes. The longest is a kernel line.
	maxMessage = 64 << 10
	maxHeader  = 8 << 10
	// maxWord bounds a word that is kept of it.
	maxWord = 64
)

// Why there is no Answer.
var (
	// ErrUnreachable: nothing listens, or not in time.
	ErrUnreachable = errors.New("no Talos API answers at its address")
	// ErrUntrusted: what listens is not of this cluster, as in Talos' maintenance mode, or not for this address.
	ErrUntrusted = errors.New("what answers at its address has no certificate of this cluster for it: another machine, or a Talos without its config")
	// ErrRefused: it is of this cluster and does not take our certificate, or not for what was asked.
	ErrRefused = errors.New("the Talos API refuses our credentials: check the talosconfig")
	// ErrBroken: it stopped answering, or answered what is no answer.
	ErrBroken = errors.New("the Talos API broke off, or answered what cannot be read")
)

// Client asks. All fields are required.
type Client struct {
	// Now is the clock that certificates are judged by.
	Now func() time.Time
	// BootArg is the kernel argument that names a boot over the network.
	BootArg string
	// Port to ask: Port, but in tests.
	Port int
}

// Ask asks the Talos at an address. An error is one of ErrUnreachable, ErrUntrusted, ErrRefused and ErrBroken.
func (c Client) Ask(ctx context.Context, address netip.Addr, own Credentials) (Answer, error) {
	var a Answer
	err := c.over(ctx, address, own, func(conn *grpc.ClientConn) (err error) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		a, err = c.ask(ctx, conn)
		return err
	})
	return a, err
}

// over opens the one connection to a machine for what is to be said over it.
func (c Client) over(ctx context.Context, address netip.Addr, own Credentials, say func(*grpc.ClientConn) error) error {
	socket, err := c.dial(ctx, address.Unmap().WithZone(""), own)
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }() // all was read
	conn, err := speak(socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return say(conn)
}

// dial opens the one connection, with both sides proven as far as TLS 1.3 lets a client know.
func (c Client) dial(ctx context.Context, address netip.Addr, own Credentials) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	plain, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(address.String(), strconv.Itoa(c.Port)))
	if err != nil {
		return nil, ErrUnreachable
	}
	secure := tls.Client(plain, &tls.Config{
		RootCAs: own.roots, Certificates: []tls.Certificate{own.own}, ServerName: address.String(),
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, Time: c.Now,
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		var untrusted *tls.CertificateVerificationError
		if errors.As(err, &untrusted) {
			return nil, ErrUntrusted
		}
		return nil, ErrUnreachable
	}
	return secure, nil
}

// speak is gRPC over a connection that is there. It makes no other when that one ends.
func speak(socket net.Conn) (*grpc.ClientConn, error) {
	once := make(chan net.Conn, 1)
	once <- socket
	conn, err := grpc.NewClient("passthrough:///apid",
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case s := <-once:
				return s, nil
			default:
				return nil, ErrBroken
			}
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the connection is TLS already
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithMaxHeaderListSize(maxHeader),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("making a gRPC client: %w", err)
	}
	return conn, nil
}

// ask asks for one thing after the other, the stage last: Judge rests on that.
func (c Client) ask(ctx context.Context, conn *grpc.ClientConn) (Answer, error) {
	version, err := machine.NewMachineServiceClient(conn).Version(ctx, &emptypb.Empty{})
	if err != nil {
		return Answer{}, classify(err)
	}
	a := Answer{}
	if m := version.GetMessages(); len(m) > 0 {
		a.Version = word(m[0].GetVersion().GetTag())
	}
	var system hardware.SystemInformationSpec
	var line runtime.KernelCmdlineSpec
	var disk block.SystemDiskSpec
	var stage runtime.MachineStatusSpec
	state := resources{cosi.NewStateClient(conn)}
	if err := state.need(ctx, "hardware", "SystemInformations.hardware.talos.dev", "systeminformation", &system); err != nil {
		return Answer{}, err
	}
	if err := state.need(ctx, "runtime", "KernelCmdlines.runtime.talos.dev", "cmdline", &line); err != nil {
		return Answer{}, err
	}
	if a.OnDisk, err = state.get(ctx, "runtime", "SystemDisks.block.talos.dev", "system-disk", &disk); err != nil {
		return Answer{}, err
	}
	if err := state.need(ctx, "runtime", "MachineStatuses.runtime.talos.dev", "machine", &stage); err != nil {
		return Answer{}, err
	}
	a.Machine = Machine{UUID: strings.ToLower(word(system.GetUuid())), Serial: word(system.GetSerialNumber())}
	a.NetworkBoot, a.Stage = c.networkBoot(line.GetCmdline()), stageOf(stage.GetStage())
	return a, nil
}

// networkBoot is the boot that a kernel line names, or "unknown" where it names one without a value.
func (c Client) networkBoot(line string) string {
	for _, a := range strings.Fields(line) {
		if name, id, _ := strings.Cut(a, "="); name == c.BootArg {
			if id = word(id); id != "" {
				return id
			}
			return "unknown"
		}
	}
	return ""
}

// resources are the machine's facts (COSI), of which a reader sees those that are not secret.
type resources struct{ state cosi.StateClient }

// get reads one into a message, and says whether it is there.
func (r resources) get(ctx context.Context, namespace, kind, id string, into proto.Message) (bool, error) {
	got, err := r.state.Get(ctx, &cosi.GetRequest{Namespace: namespace, Type: kind, Id: id})
	if status.Code(err) == codes.NotFound {
		return false, nil
	}
	if err != nil {
		return false, classify(err)
	}
	m := got.GetResource().GetMetadata()
	if m.GetType() != kind || m.GetId() != id || proto.Unmarshal(got.GetResource().GetSpec().GetProtoSpec(), into) != nil {
		return false, ErrBroken
	}
	return m.GetPhase() != "tearingDown", nil
}

// need is get of what every Talos has.
func (r resources) need(ctx context.Context, namespace, kind, id string, into proto.Message) error {
	if there, err := r.get(ctx, namespace, kind, id, into); err != nil || there {
		return err
	}
	return ErrBroken
}

// classify drops what a machine said, and keeps what it means.
func classify(err error) error {
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated:
		return ErrRefused
	case codes.DeadlineExceeded, codes.Canceled:
		return ErrUnreachable
	}
	return ErrBroken
}

// stageOf is the stage in words.
func stageOf(s enums.RuntimeMachineStage) Stage {
	known := map[enums.RuntimeMachineStage]Stage{
		enums.RuntimeMachineStage_MACHINE_STAGE_BOOTING: StageBooting, enums.RuntimeMachineStage_MACHINE_STAGE_INSTALLING: StageInstalling,
		enums.RuntimeMachineStage_MACHINE_STAGE_MAINTENANCE: StageMaintenance, enums.RuntimeMachineStage_MACHINE_STAGE_RUNNING: StageRunning,
		enums.RuntimeMachineStage_MACHINE_STAGE_REBOOTING: StageRebooting, enums.RuntimeMachineStage_MACHINE_STAGE_SHUTTING_DOWN: StageShuttingDown,
		enums.RuntimeMachineStage_MACHINE_STAGE_RESETTING: StageResetting, enums.RuntimeMachineStage_MACHINE_STAGE_UPGRADING: StageUpgrading,
	}
	if stage, ok := known[s]; ok {
		return stage
	}
	return StageUnknown
}

// word is what is kept of a text that a machine said: printable ASCII, and not much of it.
func word(text string) string {
	text = text[:min(len(text), maxWord)]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
