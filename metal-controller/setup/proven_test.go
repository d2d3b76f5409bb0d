package setup_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/protocol"
)

// lab is a controller with one declared server, its BMC, and a clock that tests move forward.
type lab struct {
	*controller
	t         *testing.T
	name, mac string
	bmc       *fakeBMC
	ahead     atomic.Int64
	pokes     int
}

func newLab(t *testing.T, name, mac string) *lab {
	t.Helper()
	l := &lab{t: t, name: name, mac: mac, bmc: &fakeBMC{}}
	l.controller = start(t, func(c *setup.Config) {
		c.OpenBMC = func(context.Context, bmc.Target) (bmc.Driver, error) { return l.bmc, nil }
		c.Now = func() time.Time { return time.Now().Add(time.Duration(l.ahead.Load())) }
	})
	create(t,
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name}, StringData: map[string]string{"username": "u", "password": "p"}},
		&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{
			Identity: &metal.Identity{MACs: []string{mac}},
			BMC:      &metal.BMC{Protocol: metal.BMCRedfish, Endpoint: "192.0.2.9", CredentialsSecret: name},
		}})
	viewWhere(t, l.Boot, func(v *protocol.View) bool { return target(v, name) != "" })
	return l
}

// pass lets time pass: the clock is moved, and the server is looked at again.
func (l *lab) pass(d time.Duration) {
	l.t.Helper()
	l.ahead.Add(int64(d))
	l.pokes++
	patch(l.t, l.name, fmt.Sprintf(`{"metadata":{"annotations":{"test/poke":"%d"}}}`, l.pokes))
}

// accept is the gesture of `ingot accept --wipe-data`.
func (l *lab) accept() {
	l.t.Helper()
	now := time.Now().Add(time.Duration(l.ahead.Load())).UTC().Format(time.RFC3339)
	patch(l.t, l.name, fmt.Sprintf(`{"spec":{"accepted":true,"acceptRequest":{"id":"a1","requestedAt":%q,"wipeData":[{"wwid":"naa.%s","serial":"S-%s"}]}}}`, now, l.name, l.name))
}

// expected waits for a boot that the pxe-servers hand out, other than the last one, and returns its id.
func (l *lab) expected(last string) string {
	l.t.Helper()
	id := ""
	viewWhere(l.t, l.Boot, func(v *protocol.View) bool {
		for _, s := range v.Servers {
			if s.Name == l.name && s.BootId != "" && s.BootId != last && s.Target == "Agent" {
				id = s.BootId
			}
		}
		return id != ""
	})
	eventually(l.t, l.name, func(s *metal.Server) bool { // before its BMC reads on nobody may claim it
		b := s.Spec.Record.Boot
		return b != nil && b.ID == id && b.Phase == metal.BootBooting
	})
	return id
}

// enrol is a machine with the evidence of the server.
func (l *lab) enrol(bootID string) (*machine, error) {
	return boots(l.t, l.controller, bootID, &agent.Evidence{Macs: []string{l.mac}})
}

// inventory is the hardware with one disk full of data.
func (l *lab) inventory() *agent.Inventory {
	return &agent.Inventory{
		Arch:  "amd64",
		Nics:  []*agent.NIC{{Name: "eth0", Mac: l.mac, PermanentMac: l.mac, PciAddress: "0000:00:01.0"}},
		Disks: []*agent.Disk{{Name: "sda", Wwid: "naa." + l.name, Serial: "S-" + l.name, SizeBytes: 1 << 30, Transport: "sata", PciAddress: "0000:00:02.0", Contents: "Data"}},
	}
}

// session is an open Watch.
func (l *lab) session(m *machine) agent.Agent_WatchClient {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	l.t.Cleanup(cancel)
	s, err := m.client.Watch(ctx, &agent.WatchRequest{})
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// until reads directives until one fits; the error that ended the session is returned otherwise.
func until(s agent.Agent_WatchClient, fits func(*agent.Directive) bool) (*agent.Directive, error) {
	for {
		d, err := s.Recv()
		if err != nil || fits(d) {
			return d, err
		}
	}
}

func never(*agent.Directive) bool     { return false }
func wipes(d *agent.Directive) bool   { return d.GetWipe() != nil }
func goesOff(d *agent.Directive) bool { return d.GetPowerOff() != nil }

// everyCall makes each call that needs a certificate, and returns the codes of the answers.
func (l *lab) everyCall(m *machine) map[string]codes.Code {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, m.key)
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	_, renew := m.client.Renew(ctx, &agent.RenewRequest{Csr: csr})
	_, inventory := m.client.ReportInventory(ctx, &agent.ReportInventoryRequest{Inventory: l.inventory()})
	_, task := m.client.ReportTask(ctx, &agent.ReportTaskRequest{Id: "w", Generation: 1, Receipt: &agent.Receipt{}})
	s, watch := m.client.Watch(ctx, &agent.WatchRequest{})
	if watch == nil {
		_, watch = s.Recv()
	}
	return map[string]codes.Code{"Renew": status.Code(renew), "ReportInventory": status.Code(inventory), "ReportTask": status.Code(task), "Watch": status.Code(watch)}
}

// locked reports every call that is not answered with Unauthenticated.
func (l *lab) locked(who string, m *machine) {
	l.t.Helper()
	for call, code := range l.everyCall(m) {
		if code != codes.Unauthenticated {
			l.t.Errorf("%s: %s of %s; want Unauthenticated", call, code, who)
		}
	}
}

// tell sends a report of a task.
func tell(t *testing.T, m *machine, r *agent.ReportTaskRequest) codes.Code {
	t.Helper()
	_, err := m.client.ReportTask(t.Context(), r)
	return status.Code(err)
}

// TestProvenBoot: acceptance ends every unproven certificate; the boot that Ingot starts gets the task, its reports count, and nobody else's do.
func TestProvenBoot(t *testing.T) {
	l := newLab(t, "proven", "02:00:00:00:20:01")
	unproven, err := l.enrol("b-unproven")
	if err != nil || unproven.trust != 0 {
		t.Fatalf("control: %+v, %v", unproven, err)
	}
	before := l.session(unproven)
	for call, code := range l.everyCall(unproven) {
		if want := map[string]codes.Code{"ReportTask": codes.FailedPrecondition}[call]; code != want {
			t.Errorf("control: %s before acceptance: %s; want %s", call, code, want)
		}
	}
	l.accept()
	id := l.expected("")
	if _, err := until(before, never); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the unproven session ended with %v; want Unauthenticated", err)
	}
	l.locked("an unproven boot after acceptance", unproven)
	for _, other := range []string{"b-unproven", "made-up"} {
		if _, err := l.enrol(other); !denied(err, reasons.Accepted) {
			t.Errorf("enrolling with the boot %s: %v", other, err)
		}
	}
	m, err := l.enrol(id)
	if err != nil || m.trust != 1 {
		t.Fatalf("the expected boot: %+v, %v", m, err)
	}
	viewWhere(t, l.Boot, func(v *protocol.View) bool { return target(v, l.name) == "Agent" }) // on offer still: a second machine gives itself away
	for call, code := range l.everyCall(m) {
		if want := map[string]codes.Code{"ReportTask": codes.FailedPrecondition}[call]; code != want {
			t.Errorf("%s of the proven boot: %s; want %s", call, code, want)
		}
	}
	l.wipe(m)
}

// wipe follows the task of a proven boot to its end.
func (l *lab) wipe(m *machine) {
	t, s := l.t, l.session(m)
	l.pass(20 * time.Second)
	d, err := until(s, wipes)
	if err != nil {
		t.Fatalf("no task came: %v", err)
	}
	task := d.GetWipe()
	if len(task.Disks) != 1 || task.Disks[0].Wwid != "naa."+l.name || task.Disks[0].Serial != "S-"+l.name || task.Level != "Clear" || task.Generation != 1 {
		t.Errorf("the task is %v", task)
	}
	stranger, err := boots(t, l.controller, "b-other", &agent.Evidence{Macs: []string{"02:00:00:00:20:ff"}})
	if err != nil {
		t.Fatal(err)
	}
	good := &agent.ReportTaskRequest{Id: task.Id, Generation: 1, Receipt: &agent.Receipt{Disks: []*agent.DiskReceipt{
		{Wwid: task.Disks[0].Wwid, Serial: task.Disks[0].Serial, Methods: []string{"Overwrite"}, Reached: "Clear", BlocksRead: 1000},
	}}}
	if code := tell(t, stranger, good); code != codes.FailedPrecondition {
		t.Errorf("a receipt with another server's certificate: %s; want FailedPrecondition", code)
	}
	for _, wrong := range []*agent.ReportTaskRequest{{Id: task.Id, Generation: 2, Receipt: good.Receipt}, {Id: "w0", Generation: 1, Receipt: good.Receipt}} {
		if code := tell(t, m, wrong); code != codes.FailedPrecondition {
			t.Errorf("a receipt for %s %d: %s; want FailedPrecondition", wrong.Id, wrong.Generation, code)
		}
	}
	if code := tell(t, m, &agent.ReportTaskRequest{Id: task.Id, Generation: 1, Receipt: &agent.Receipt{Disks: make([]*agent.DiskReceipt, 257)}}); code != codes.InvalidArgument {
		t.Errorf("a receipt of 257 disks: %s; want InvalidArgument", code)
	}
	if code := tell(t, m, &agent.ReportTaskRequest{Id: task.Id, Generation: 1, Progress: []*agent.DiskProgress{{Serial: "S-" + l.name, Phase: "Overwrite", Percent: 40}}}); code != codes.OK {
		t.Errorf("progress: %s", code)
	}
	for range 2 { // the answer to the first may get lost
		if code := tell(t, m, good); code != codes.OK {
			t.Errorf("the receipt: %s", code)
		}
	}
	if _, err := until(s, goesOff); err != nil {
		t.Fatalf("the machine is not told to switch itself off: %v", err)
	}
	r := eventually(t, l.name, func(s *metal.Server) bool { return s.Spec.Record.Wipe.Receipt != nil }).Spec.Record
	if w := r.Wipe; w.Receipt.Generation != 1 || len(w.Receipt.Disks) != 1 || w.Receipt.Disks[0].BlocksRead != 1000 {
		t.Errorf("the receipt is %+v", w.Receipt)
	}
}

// TestImpostor: a second claimant, or a second address that fetched the script, makes the boot void for both; no task is given, and the server says so.
func TestImpostor(t *testing.T) {
	l := newLab(t, "impostor", "02:00:00:00:21:01")
	l.accept()
	id := l.expected("")
	m, err := l.enrol(id)
	if err != nil || m.trust != 1 {
		t.Fatalf("control: %+v, %v", m, err)
	}
	s := l.session(m)
	if _, err := l.enrol(id); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the second claimant: %v; want FailedPrecondition", err)
	}
	if _, err := until(s, wipes); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the first claimant's session ended with %v; want Unauthenticated", err)
	}
	l.locked("the first claimant of a void boot", m)
	eventually(t, l.name, func(s *metal.Server) bool { return hasReason(s, reasons.IdentityUnique, reasons.IdentityConflict) })
	if _, err := l.enrol(id); !denied(err, reasons.Accepted) {
		t.Errorf("replaying the void boot: %v", err)
	}

	l.pass(3 * time.Minute)
	next := l.expected(id)
	report := func(e *protocol.BootEvent) {
		if _, err := l.Boot.Report(t.Context(), &protocol.ReportRequest{Events: []*protocol.BootEvent{e}}); err != nil {
			t.Fatal(err)
		}
	}
	report(&protocol.BootEvent{BootId: id, Server: l.name, SecondSource: true}) // of the last boot
	report(&protocol.BootEvent{BootId: next, Server: l.name})                   // not of a second source
	report(&protocol.BootEvent{BootId: next, Server: "nobody", SecondSource: true})
	if live := eventually(t, l.name, func(*metal.Server) bool { return true }).Spec.Record.Boot; live.ID != next || live.Phase == metal.BootVoid {
		t.Errorf("control: the boot is %+v", live)
	}
	report(&protocol.BootEvent{BootId: next, Server: l.name, SecondSource: true})
	eventually(t, l.name, func(s *metal.Server) bool {
		b := s.Spec.Record.Boot
		return b.ID == next && b.Phase == metal.BootVoid && b.Reason == reasons.BootVoided
	})
	if _, err := l.enrol(next); !denied(err, reasons.Accepted) {
		t.Errorf("claiming a boot whose script two addresses fetched: %v", err)
	}
}
