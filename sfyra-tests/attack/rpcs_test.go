package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/siderolink/api/events"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	pxe "ingot.dev/ingot/pxe-server/protocol"
)

// rpc is the case of one call.
type rpc struct {
	// who may call it, for people.
	who string
	// request would do something to the victim if it were let through.
	request func(*victim, *machine) proto.Message
	// own is the answer to whom it is for, other to the owner of another, valid certificate.
	own, other codes.Code
}

// agentCalls are all calls of the agent's protocol but Enroll, which is open: TestAgentCalls has that one apart.
var agentCalls = map[string]rpc{
	"Enroll": {who: "anyone, limited; an accepted server only for the boot that it expects"},
	"Renew": {"the key of the certificate", func(_ *victim, m *machine) proto.Message {
		return &agent.RenewRequest{Csr: csr(m.t, m.key)}
	}, codes.OK, codes.InvalidArgument},
	"ReportInventory": {"the claimant; for an unaccepted server its agent", func(v *victim, _ *machine) proto.Message {
		return &agent.ReportInventoryRequest{Inventory: v.hardware()}
	}, codes.OK, codes.FailedPrecondition},
	"Watch": {"the claimant; for an unaccepted server its agent", func(*victim, *machine) proto.Message { return &agent.WatchRequest{} }, codes.OK, codes.OK},
	"ReportTask": {"the claimant that got the task", func(v *victim, _ *machine) proto.Message {
		r := &agent.Receipt{Disks: []*agent.DiskReceipt{{Wwid: "naa." + v.name, Serial: "S-" + v.name, Methods: []string{"Overwrite"}, Reached: "Clear", BlocksRead: 1000}}}
		return &agent.ReportTaskRequest{Id: v.task.Id, Generation: v.task.Generation, Receipt: r}
	}, codes.OK, codes.FailedPrecondition},
	"AcknowledgeRestart": {"the agent that was told to restart a server without a BMC", func(v *victim, _ *machine) proto.Message {
		return &agent.AcknowledgeRestartRequest{BootId: v.boot}
	}, codes.FailedPrecondition, codes.FailedPrecondition}, // the victim has a BMC; TestAcceptedWithoutBMC has the control
	"ReportBMCAccount": {"the claimant that got the order", func(v *victim, _ *machine) proto.Message {
		return &agent.ReportBMCAccountRequest{Id: v.task.Id, Generation: 1, Slot: 2, Channel: 1, Address: "192.0.2.66", Port: 623}
	}, codes.FailedPrecondition, codes.FailedPrecondition}, // no account is wanted here; TestReportAccount of the desk has the control
}

// siteCalls are all calls of the boot protocol.
var siteCalls = map[string]rpc{
	"WatchView": {"a pxe-server; it hears of its site's servers", func(*victim, *machine) proto.Message { return &pxe.WatchViewRequest{} }, codes.OK, codes.OK},
	"Report": {"a pxe-server; what it tells of other sites' servers is dropped", func(v *victim, _ *machine) proto.Message {
		return &pxe.ReportRequest{Events: []*pxe.BootEvent{{BootId: v.boot, Server: v.name, SecondSource: true}}}
	}, codes.OK, codes.OK},
}

// sinkCalls are all calls of Talos' event sink: hints, by address.
var sinkCalls = map[string]rpc{
	"Publish": {"the address that a server's machine config left for", func(*victim, *machine) proto.Message { return &events.EventRequest{} }, codes.OK, codes.Unavailable},
}

// protocols are all that Ingot's ports speak.
func protocols() map[protoreflect.FileDescriptor]map[string]rpc {
	return map[protoreflect.FileDescriptor]map[string]rpc{
		agent.File_agent_protocol_agent_proto: agentCalls, pxe.File_pxe_server_protocol_pxe_proto: siteCalls, events.File_events_events_proto: sinkCalls,
	}
}

// methods are all calls of a protocol, from its descriptor.
func methods(file protoreflect.FileDescriptor) (all []protoreflect.MethodDescriptor) {
	for i := range file.Services().Len() {
		ms := file.Services().Get(i).Methods()
		for j := range ms.Len() {
			all = append(all, ms.Get(j))
		}
	}
	return all
}

// uncovered are calls without a case, and cases without a call.
func uncovered(file protoreflect.FileDescriptor, cases map[string]rpc) (all []string) {
	left := map[string]bool{}
	for name := range cases {
		left[name] = true
	}
	for _, m := range methods(file) {
		if cases[string(m.Name())].who == "" {
			all = append(all, string(m.FullName()))
		}
		delete(left, string(m.Name()))
	}
	for name := range left {
		all = append(all, name)
	}
	return all
}

// TestCallsAreComplete: every call has a case. A call that somebody adds is noticed.
func TestCallsAreComplete(t *testing.T) {
	for file, cases := range protocols() {
		if missing := uncovered(file, cases); len(missing) > 0 || len(cases) == 0 {
			t.Errorf("%s: calls without a case, or cases without a call: %v", file.Path(), missing)
		}
	}
	text := protodesc.ToFileDescriptorProto(agent.File_agent_protocol_agent_proto)
	text.Service[0].Method = append(text.Service[0].Method, &descriptorpb.MethodDescriptorProto{
		Name: proto.String("MarkServerAsWiped"), InputType: proto.String(".ingot.agent.v1.WatchRequest"), OutputType: proto.String(".ingot.agent.v1.ReportTaskResponse"),
	})
	more, err := protodesc.NewFile(text, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if missing := uncovered(more, agentCalls); len(missing) != 1 || missing[0] != "ingot.agent.v1.Agent.MarkServerAsWiped" {
		t.Errorf("control: a call that was added: %v", missing)
	}
	if missing := uncovered(agent.File_agent_protocol_agent_proto, map[string]rpc{"Gone": {}}); len(missing) != len(agentCalls)+1 {
		t.Errorf("control: no cases: %v", missing)
	}
}

// answer makes one call and returns its answer, the first one of a stream.
func answer(t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, request proto.Message) (proto.Message, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	name := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: m.IsStreamingServer(), ClientStreams: m.IsStreamingClient()}, name)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	typ, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	out := typ.New().Interface()
	return out, stream.RecvMsg(out)
}

// TestAgentCalls (T32): every call that changes anything of an accepted server in the middle of its wipe, by everybody who is not its claimant. Nothing of what
// Ingot wrote down changes. The claimant's own calls, after that, get through.
func TestAgentCalls(t *testing.T) {
	w := newWorld(t)
	v := w.newVictim("victim", "02:00:00:00:30:01")
	thief := w.enrol("b-thief", "02:00:00:00:30:02")
	before := w.record(v.name)
	nobodies := w.strangers("ingot-agent-ca", "ingot-pxe-ca", v.name, "/server/"+v.name+"/boot/"+v.boot, "/site/"+v.name)
	nobodies["revoked by the acceptance"] = v.before.cert
	nobodies["of this boot, with another key"] = w.issuer("ingot-agent-ca").leaf(v.name, "", "/server/"+v.name+"/boot/"+v.boot, time.Now(), x509Client)
	nobodies["of a server that is gone"] = w.issuer("ingot-agent-ca").leaf("gone", "", "/server/gone/boot/"+v.boot, time.Now(), x509Client)
	nobodies["of the victim, under a thief's name"] = w.issuer("ingot-agent-ca").leaf(thief.server, "", "/server/"+v.name+"/boot/"+v.boot, time.Now(), x509Client)
	w.refuseAll(methods(agent.File_agent_protocol_agent_proto), agentCalls, v, nobodies, w.dialAgent)
	late := methods(agent.File_agent_protocol_agent_proto)
	for _, m := range late {
		c := agentCalls[string(m.Name())]
		if c.request == nil || m.Name() == "ReportInventory" {
			continue
		}
		got, err := answer(t, thief.conn, m, c.request(v, v.own))
		if status.Code(err) != c.other {
			t.Errorf("%s with another server's certificate: %v, want %s", m.Name(), err, c.other)
		}
		if d, ok := got.(*agent.Directive); ok && (d.GetWipe() != nil || d.GetBmcAccount() != nil || d.GetPowerOff() != nil || d.GetRestart() != nil) {
			t.Errorf("another server's agent is told %v", d)
		}
	}
	if after := w.record(v.name); after != before {
		t.Errorf("the victim was\n%s\nand is\n%s", before, after)
	}
	for _, m := range late {
		if c := agentCalls[string(m.Name())]; c.request != nil {
			if _, err := answer(t, v.own.conn, m, c.request(v, v.own)); status.Code(err) != c.own {
				t.Errorf("control: %s by the claimant: %v, want %s", m.Name(), err, c.own)
			}
		}
	}
	if w.record(v.name) == before {
		t.Error("control: nothing came of the claimant's receipt")
	}
	if _, err := thief.client.ReportInventory(t.Context(), &agent.ReportInventoryRequest{Inventory: v.hardware()}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the victim's hardware with another server's certificate: %v", err)
	}
	w.enrolments(v)
	if n := strings.Count(w.log.String(), "Refusing an agent call"); n < 20 {
		t.Errorf("%d refusals are in the log; the first 20 in a second have to be", n)
	}
}

// refuseAll makes every call under every identity that is worth nothing.
func (w *world) refuseAll(all []protoreflect.MethodDescriptor, cases map[string]rpc, v *victim, nobodies map[string]*tls.Certificate, dial func(*tls.Certificate) *grpc.ClientConn) {
	w.Helper()
	for name, cert := range nobodies {
		conn := dial(cert)
		for _, m := range all {
			c := cases[string(m.Name())]
			if c.request == nil {
				continue
			}
			if _, err := answer(w.T, conn, m, c.request(v, v.own)); status.Code(err) != codes.Unauthenticated {
				w.Errorf("%s with a certificate %s: %v, want Unauthenticated", m.Name(), name, err)
			}
		}
	}
}

// enrolments are those that are refused: without proof of the key, and for an accepted server whose expected boot was claimed.
func (w *world) enrolments(v *victim) {
	good := csr(w.T, newKey(w.T))
	forged := append([]byte(nil), good...)
	forged[len(forged)-1] ^= 1
	for _, c := range []struct {
		what, boot, mac string
		csr             []byte
		want            codes.Code
	}{
		{"no request for a certificate", "b", "02:00:00:00:30:03", nil, codes.InvalidArgument},
		{"a forged proof of the key", "b", "02:00:00:00:30:03", forged, codes.InvalidArgument},
		{"a megabyte of request", "b", "02:00:00:00:30:03", make([]byte, 1<<20), codes.ResourceExhausted},
		{"an accepted server, another boot", "b-made-up", v.mac, good, codes.PermissionDenied},
		{"an accepted server, no boot", "", v.mac, good, codes.InvalidArgument},
		{"control: an unknown machine", "b", "02:00:00:00:30:03", good, codes.OK},
	} {
		request := &agent.EnrollRequest{BootId: c.boot, Evidence: &agent.Evidence{Macs: []string{c.mac}}, Csr: c.csr}
		if _, err := agent.NewAgentClient(w.dialAgent(nil)).Enroll(w.Context(), request); status.Code(err) != c.want {
			w.Errorf("enrolling with %s: %v, want %s", c.what, err, c.want)
		}
	}
}

// TestSiteCalls (T32): every call of the boot protocol. Another site neither hears of the victim nor can end its boot; its own can.
func TestSiteCalls(t *testing.T) {
	w := newWorld(t)
	v := w.newVictim("sited", "02:00:00:00:31:01")
	nobodies := w.strangers("ingot-pxe-ca", "ingot-agent-ca", "site:r1", "/site/r1", "/server/r1/boot/b")
	nobodies["of an agent"] = v.own.cert
	before := w.record(v.name)
	all := methods(pxe.File_pxe_server_protocol_pxe_proto)
	w.refuseAll(all, siteCalls, v, nobodies, w.dialBoot)
	hears := func(site string) bool {
		cert := w.issuer("ingot-pxe-ca").leaf("site:"+site, "", "/site/"+site, time.Now(), x509Client)
		conn, heard := w.dialBoot(cert), false
		for _, m := range all {
			got, err := answer(t, conn, m, siteCalls[string(m.Name())].request(v, nil))
			if want := siteCalls[string(m.Name())].own; status.Code(err) != want {
				t.Errorf("%s by the site %s: %v, want %s", m.Name(), site, err, want)
			}
			if view, ok := got.(*pxe.View); ok {
				heard = target(view, v.name) != ""
			}
		}
		return heard
	}
	if hears("r2") || w.record(v.name) != before {
		t.Errorf("another site hears of the victim, or it changed: before\n%s\nafter\n%s", before, w.record(v.name))
	}
	if !hears(v.site) {
		t.Error("control: its own site does not hear of the victim")
	}
	w.eventually(v.name, func(s *metal.Server) bool { return s.Spec.Record.Boot.Phase == metal.BootVoid })
}

// TestEventSinkCalls (T32): Talos' events are heard from the address that a machine config left for, and no other one.
func TestEventSinkCalls(t *testing.T) {
	w := newWorld(t)
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "told"}}
	if err := w.admin.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.eventually(s.Name, func(s *metal.Server) bool { return s.Spec.Record != nil && s.Spec.Record.ManagedBy != nil })
	at := time.Now().UTC().Format(time.RFC3339)
	record := strings.NewReplacer("AT", at, "SUM", strings.Repeat("0", 64)).Replace(
		`{"spec":{"record":{"boot":{"id":"b1","phase":"Void","startedAt":"AT","at":"AT","deadline":"AT","config":{"sha256":"SUM","source":"127.0.0.2","at":"AT"}}}}}`)
	if err := w.ingot.Patch(t.Context(), s, client.RawPatch("application/merge-patch+json", []byte(record))); err != nil {
		t.Fatal(err)
	}
	from := func(source string) *grpc.ClientConn {
		return w.dialWith(w.EventsAddr, source, insecure.NewCredentials())
	}
	known, other := from("127.0.0.2"), from("127.0.0.3")
	for _, m := range methods(events.File_events_events_proto) {
		c := sinkCalls[string(m.Name())]
		for code := codes.Unavailable; code != c.own; { // until the controller's cache has the record
			_, err := answer(t, known, m, c.request(nil, nil))
			if code = status.Code(err); code != c.own && code != codes.Unavailable || t.Context().Err() != nil {
				t.Fatalf("control: %s from the machine's address: %v", m.Name(), err)
			}
		}
		if _, err := answer(t, other, m, c.request(nil, nil)); status.Code(err) != c.other {
			t.Errorf("%s from another address: %v, want %s", m.Name(), err, c.other)
		}
	}
}

// TestUnknownCalls (T32): calls that no protocol has, as other programs of this kind have them, are refused before anything is looked at.
func TestUnknownCalls(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"/ingot.agent.v1.Agent/MarkServerAsWiped", "/ingot.agent.v1.Agent/UpdateBMCInfo", "/ingot.pxe.v1.Boot/WatchView", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.health.v1.Health/Check", "/"} {
		for port, conn := range map[string]*grpc.ClientConn{"agent": w.dialAgent(nil), "boot": w.dialBoot(nil), "events": w.dialWith(w.EventsAddr, nextSource(), insecure.NewCredentials())} {
			err := conn.Invoke(t.Context(), name, &agent.WatchRequest{}, &agent.WatchRequest{})
			if code := status.Code(err); code != codes.Unauthenticated && code != codes.Unimplemented {
				t.Errorf("%s at the port for the %s: %v", name, port, err)
			}
		}
	}
}
