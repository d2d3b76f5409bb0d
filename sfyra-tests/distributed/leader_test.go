package distributed

import (
	"net"
	"slices"
	"strconv"
	"syscall"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// TestLeaderDies: of two replicas one reconciles and both enrol machines. When the leader is killed, the other takes its Lease and goes on.
func TestLeaderDies(t *testing.T) {
	c := newCluster(t)
	server, power := c.declare(t, "elect")
	first := c.replica(t)
	await(t, "the first replica leads", func() bool { return first.leads(t) })
	second := c.replica(t, "7543", "7544", "7590")
	c.request(t, server, "e1", metal.PowerActionOn)
	c.server(t, "elect", "was powered on", doneWith("e1"))
	if orders := power.Orders(); countOf(orders, "PowerOn") != 1 {
		t.Errorf("the machine was ordered %q; want on, once", orders)
	}
	if !first.works(t) || second.works(t) || second.leads(t) {
		t.Errorf("first reconciles: %v; second reconciles: %v, leads: %v", first.works(t), second.works(t), second.leads(t))
	}
	for i, r := range []*replica{first, second} {
		name := c.enrol(t, r, "boot-"+strconv.Itoa(i), "02:00:00:00:0d:0"+strconv.Itoa(i))
		c.server(t, name, "was reconciled by the leader", decided)
	}
	before := c.lease(t)
	first.stop(syscall.SIGKILL)
	c.request(t, server, "e2", metal.PowerActionOff)
	c.create(t, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "newcomer"}})
	c.server(t, "elect", "was powered off by the other replica", doneWith("e2"))
	c.server(t, "newcomer", "was reconciled by the other replica", decided)
	if after := c.lease(t); *after.Spec.HolderIdentity == *before.Spec.HolderIdentity || !second.leads(t) {
		t.Errorf("the Lease went from %s to %s; second leads: %v", *before.Spec.HolderIdentity, *after.Spec.HolderIdentity, second.leads(t))
	}
	if orders := power.Orders(); countOf(orders, "ForceOff")+countOf(orders, "GracefulShutdown") != 1 {
		t.Errorf("the machine was ordered %q; want off, once", orders)
	}
}

// declare makes a Server whose BMC is a real one over HTTPS, with a machine in memory behind it.
func (c *cluster) declare(t *testing.T, name string) (*metal.Server, *memory.Machine) {
	t.Helper()
	m := memory.New(machine.Identity{Name: name, Manufacturer: "Acme", Product: "S1", Serial: "D1"})
	b, err := fakebmc.Start(t.Context(), fakebmc.Config{Machine: m, Username: "admin", Password: "canary-5512"})
	ok(t, err)
	t.Cleanup(func() { _ = b.Close() })
	host, port, err := net.SplitHostPort(b.Addr())
	ok(t, err)
	number, err := strconv.ParseInt(port, 10, 32)
	ok(t, err)
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{BMC: &metal.BMC{
		Protocol: metal.BMCRedfish, Endpoint: host, Port: int32(number), CredentialsSecret: "bmc-" + name, TLSFingerprint: b.Fingerprint(),
	}}}
	c.create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-" + name},
		StringData: map[string]string{"username": "admin", "password": "canary-5512"},
	}, server)
	return server, m
}

// request asks for a change of power as `ingot power` does.
func (c *cluster) request(t *testing.T, s *metal.Server, id string, action metal.PowerAction) {
	t.Helper()
	fresh := &metal.Server{}
	ok(t, c.Get(t.Context(), client.ObjectKeyFromObject(s), fresh))
	before := fresh.DeepCopy()
	fresh.Spec.PowerRequest = &metal.PowerRequest{ID: id, Action: action, RequestedAt: metav1.Now()}
	ok(t, c.Patch(t.Context(), fresh, client.MergeFrom(before)))
}

func (c *cluster) lease(t *testing.T) *coordinationv1.Lease {
	t.Helper()
	var l coordinationv1.Lease
	ok(t, c.Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: "metal-controller"}, &l))
	return &l
}

// doneWith says that a power request was done and read back.
func doneWith(id string) func(*metal.Server) bool {
	return func(s *metal.Server) bool {
		return s.Spec.Record != nil && s.Spec.Record.Power != nil && s.Spec.Record.Power.ID == id && s.Spec.Record.Power.Step == metal.PowerDone
	}
}

// decided says that the leader has looked at a Server.
func decided(s *metal.Server) bool {
	return s.Status.Boot != nil && s.Status.Boot.Target != "" && s.Spec.Record != nil && s.Spec.Record.ManagedBy != nil
}

func countOf(list []string, word string) int {
	return len(slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s != word }))
}
