//go:build e2e && e2e_talos

package scenarios

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/siderolink/api/events"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// forgedEvents are what a liar would say of a control plane to have it installed again, given up or called something that it is not.
var forgedEvents = []proto.Message{
	&machine.MachineStatusEvent{Stage: machine.MachineStatusEvent_MAINTENANCE, Status: &machine.MachineStatusEvent_MachineStatus{}},
	&machine.MachineStatusEvent{Stage: machine.MachineStatusEvent_INSTALLING, Status: &machine.MachineStatusEvent_MachineStatus{}},
	&machine.MachineStatusEvent{Stage: machine.MachineStatusEvent_RUNNING, Status: &machine.MachineStatusEvent_MachineStatus{Ready: true}},
	&machine.ConfigLoadErrorEvent{Error: "forged"},
	&machine.ServiceStateEvent{Service: "etcd", Action: machine.ServiceStateEvent_FAILED, Health: &machine.ServiceHealth{}},
	&machine.SequenceEvent{Sequence: "bootstrap", Action: machine.SequenceEvent_START},
	&machine.SequenceEvent{Sequence: "install", Error: &common.Error{Message: "forged"}},
	&machine.SequenceEvent{Sequence: "reset", Action: machine.SequenceEvent_START},
}

// lies: the machine has no power, and a neighbour on the switch takes its address and tells for it. People see what he says, so it was heard (the control), and
// nothing else comes of it: neither the record nor the state changes, and nothing is ordered.
func (c *talosCluster) lies(t *testing.T) {
	if err := c.machine("c1").ForceOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := c.awaitServer("c1", "it is said to run", talosLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
	c.forge(t, forgedEvents)
	c.await(bootLimit, "what was forged is shown", func() bool { return strings.Contains(c.ingot("logs", "c1"), "sequence reset: start") })
	after := c.awaitServer("c1", "it is read", bootLimit, func(*metal.Server) bool { return true })
	if before.Spec.Record.Installed.HeardAt = after.Spec.Record.Installed.HeardAt; !reflect.DeepEqual(before.Spec, after.Spec) || after.Status.State != before.Status.State {
		t.Errorf("forged events made of %s %+v\n%s %+v", before.Status.State, before.Spec.Record, after.Status.State, after.Spec.Record)
	}
	if c.machine("c1").PID() != 0 {
		t.Error("forged events switched the machine on")
	}
	c.gaveConfigs(t, 2)
	if lines := c.audited(t, reasons.EtcdBootstrapped); len(lines) != 1 {
		t.Errorf("etcd was ordered to begin %d times: %s", len(lines), strings.Join(lines, "\n"))
	}
	c.phase("forged events")
}

// forge sends events to Ingot's port from a host of the switch that has c1's address.
func (c *talosCluster) forge(t *testing.T, said []proto.Message) {
	t.Helper()
	conn := c.pretender(t, netip.PrefixFrom(netip.MustParseAddr(c.address), 24), net.JoinHostPort(c.host(), "7447"))
	g, err := grpc.NewClient("passthrough:///ingot", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	for _, m := range said {
		data, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := events.NewEventSinkServiceClient(g).Publish(t.Context(), &events.EventRequest{Data: data, Id: "forged"}); err != nil {
			t.Fatalf("control: the forged %T was not taken: %v", m, err)
		}
	}
}

// pretender connects from an address that is not its own.
func (c *talosCluster) pretender(t *testing.T, address netip.Prefix, to string) (conn net.Conn) {
	t.Helper()
	c.plugIn(address).Do(t, func() {
		var err error
		if conn, err = net.DialTimeout("tcp", to, 30*time.Second); err != nil {
			t.Fatal(err)
		}
	})
	return conn
}
