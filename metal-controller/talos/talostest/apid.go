package talostest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	cosi "github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/block"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/enums"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/hardware"
	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// State is what a machine says.
type State struct {
	Tag, UUID, Serial, Cmdline string
	OnDisk                     bool
	Stage                      enums.RuntimeMachineStage
	// Before, when set, is called before each answer with what was asked: "Version", "Bootstrap", "Reboot", "Members", "Remove", or the type of a resource. It may wait for the call to end, change the
	// state by Set, or answer with an error.
	Before func(ctx context.Context, asked string) error
	// Members of its etcd; nil makes it a worker.
	Members []*machine.EtcdMember
	// Raw, when set, stands in the place of every spec.
	Raw []byte
}

// Machine is a Talos that answers on an address.
type Machine struct {
	machine.UnimplementedMachineServiceServer
	// Port that it listens on.
	Port int

	mu     sync.Mutex
	state  State
	roles  []string
	asked  []string
	server *grpc.Server
	// address that it listens on.
	address string
}

// Listen serves a machine of a cluster on an address such as "127.0.0.1:0", until the test ends. Its certificate is for the names, or for that address; it
// takes clients of the cluster alone.
func (c *Cluster) Listen(t testing.TB, address string, state State, names ...net.IP) *Machine {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		names = []net.IP{net.ParseIP(host)}
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	m := &Machine{state: state, address: l.Addr().String()}
	m.Port, _ = strconv.Atoi(port)
	m.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{c.server(names...)}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
		Time: func() time.Time { return c.now },
	})))
	machine.RegisterMachineServiceServer(m.server, m)
	cosi.RegisterStateServer(m.server, facts{m: m})
	go func() { _ = m.server.Serve(l) }()
	t.Cleanup(m.server.Stop)
	return m
}

// Stop ends the machine, and every connection to it.
func (m *Machine) Stop() { m.server.Stop() }

// Drain lets open calls end and takes no new ones; the address is free when it is told.
func (m *Machine) Drain(free chan<- struct{}) {
	go m.server.GracefulStop()
	address := m.address
	for {
		c, err := net.Dial("tcp", address)
		if err != nil {
			close(free)
			return
		}
		_ = c.Close()
	}
}

// Set changes what the machine says.
func (m *Machine) Set(change func(*State)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.state)
}

// Asked are the questions so far, and the roles of who asked.
func (m *Machine) Asked() (questions, roles []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked), slices.Clone(m.roles)
}

// now is the state that an answer is made of. Readers and admins may ask.
func (m *Machine) now(ctx context.Context, asked string) (State, error) {
	p, _ := peer.FromContext(ctx)
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return State{}, status.Error(codes.Unauthenticated, "no certificate")
	}
	roles := info.State.VerifiedChains[0][0].Subject.Organization
	m.mu.Lock()
	m.asked, m.roles = append(m.asked, asked), append(m.roles, roles...)
	before := m.state.Before
	m.mu.Unlock()
	if !slices.Contains(roles, "os:reader") && !slices.Contains(roles, "os:admin") {
		return State{}, status.Error(codes.PermissionDenied, "not authorized")
	}
	if before != nil {
		if err := before(ctx, asked); err != nil {
			return State{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, nil
}

// Bootstrap takes the order to begin etcd, of admins alone.
func (m *Machine) Bootstrap(ctx context.Context, _ *machine.BootstrapRequest) (*machine.BootstrapResponse, error) {
	if err := m.admin(ctx); err != nil {
		return nil, err
	}
	if _, err := m.now(ctx, "Bootstrap"); err != nil {
		return nil, err
	}
	return &machine.BootstrapResponse{Messages: []*machine.Bootstrap{{}}}, nil
}

// Reboot takes the order to restart, of admins alone. What only starts Talos' own kernel again is not what Ingot wants.
func (m *Machine) Reboot(ctx context.Context, r *machine.RebootRequest) (*machine.RebootResponse, error) {
	if err := m.admin(ctx); err != nil {
		return nil, err
	}
	if r.GetMode() != machine.RebootRequest_POWERCYCLE {
		return nil, status.Error(codes.InvalidArgument, "not through the firmware")
	}
	if _, err := m.now(ctx, "Reboot"); err != nil {
		return nil, err
	}
	return &machine.RebootResponse{Messages: []*machine.Reboot{{}}}, nil
}

// EtcdMemberList answers on control planes.
func (m *Machine) EtcdMemberList(ctx context.Context, _ *machine.EtcdMemberListRequest) (*machine.EtcdMemberListResponse, error) {
	s, err := m.now(ctx, "Members")
	if err != nil {
		return nil, err
	}
	if s.Members == nil {
		return nil, status.Error(codes.Unimplemented, "member list is only available on control plane nodes")
	}
	return &machine.EtcdMemberListResponse{Messages: []*machine.EtcdMembers{{Members: s.Members}}}, nil
}

// EtcdRemoveMemberByID takes a member out, for admins alone. It refuses to take the last one out, as etcd does.
func (m *Machine) EtcdRemoveMemberByID(ctx context.Context, r *machine.EtcdRemoveMemberByIDRequest) (*machine.EtcdRemoveMemberByIDResponse, error) {
	if err := m.admin(ctx); err != nil {
		return nil, err
	}
	if _, err := m.now(ctx, "Remove"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(m.state.Members), func(x *machine.EtcdMember) bool { return x.GetId() == r.GetMemberId() })
	switch {
	case len(left) == len(m.state.Members):
		return nil, status.Error(codes.NotFound, "etcdserver: member not found")
	case len(left) == 0:
		return nil, errors.New("failed to remove member: etcdserver: re-configuration failed due to not enough started members")
	}
	m.state.Members = left
	return &machine.EtcdRemoveMemberByIDResponse{Messages: []*machine.EtcdRemoveMemberByID{{}}}, nil
}

// admin refuses whoever is none.
func (m *Machine) admin(ctx context.Context) error {
	p, _ := peer.FromContext(ctx)
	if info, ok := p.AuthInfo.(credentials.TLSInfo); !ok || !slices.Contains(info.State.VerifiedChains[0][0].Subject.Organization, "os:admin") {
		return status.Error(codes.PermissionDenied, "not authorized")
	}
	return nil
}

// Version answers the first question.
func (m *Machine) Version(ctx context.Context, _ *emptypb.Empty) (*machine.VersionResponse, error) {
	s, err := m.now(ctx, "Version")
	if err != nil {
		return nil, err
	}
	return &machine.VersionResponse{Messages: []*machine.Version{{Version: &machine.VersionInfo{Tag: s.Tag}}}}, nil
}

// facts are the machine's resources.
type facts struct {
	cosi.UnimplementedStateServer
	m *Machine
}

// Get answers for resources, each in its own namespace.
func (f facts) Get(ctx context.Context, r *cosi.GetRequest) (*cosi.GetResponse, error) {
	s, err := f.m.now(ctx, r.GetType())
	if err != nil {
		return nil, err
	}
	specs := map[string]proto.Message{
		"hardware/SystemInformations.hardware.talos.dev/systeminformation": &hardware.SystemInformationSpec{Uuid: s.UUID, SerialNumber: s.Serial},
		"runtime/KernelCmdlines.runtime.talos.dev/cmdline":                 &runtime.KernelCmdlineSpec{Cmdline: s.Cmdline},
		"runtime/MachineStatuses.runtime.talos.dev/machine":                &runtime.MachineStatusSpec{Stage: s.Stage},
	}
	if s.OnDisk {
		specs["runtime/SystemDisks.block.talos.dev/system-disk"] = &block.SystemDiskSpec{DiskId: "sda", DevPath: "/dev/sda"}
	}
	spec, ok := specs[r.GetNamespace()+"/"+r.GetType()+"/"+r.GetId()]
	if !ok {
		return nil, status.Error(codes.NotFound, "resource doesn't exist")
	}
	raw, err := proto.Marshal(spec)
	if err != nil {
		return nil, err
	}
	if s.Raw != nil {
		raw = s.Raw
	}
	return &cosi.GetResponse{Resource: &cosi.Resource{
		Metadata: &cosi.Metadata{Namespace: r.GetNamespace(), Type: r.GetType(), Id: r.GetId(), Phase: "running"}, Spec: &cosi.Spec{ProtoSpec: raw},
	}}, nil
}
