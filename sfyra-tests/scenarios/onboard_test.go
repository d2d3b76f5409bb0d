//go:build e2e

package scenarios

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack"
)

// unclaimed is how long a boot without a BMC stays open to contradiction (docs/bmc.md), and with it the account that was set up in it.
const unclaimed = 20 * time.Minute

// onboarding is two machines with BMCs that nobody told Ingot of: one is accepted, the other is the control.
type onboarding struct {
	*site
	bmcs map[string]*rmcp.BMC
	// names are what Ingot called the machines.
	names map[string]string
}

// TestOnboardsInBand: a machine that nobody declared registers over the network. Once a person accepted it, Ingot finds its BMC through /dev/ipmi0, sets up a user of its own there, and from
// then on switches it over IPMI. Before the yes, and at a machine like it that nobody accepts, nothing of the BMC is changed and nobody logs in.
func TestOnboardsInBand(t *testing.T) {
	at := map[string]netip.Addr{"o1": netip.MustParseAddr("10.99.0.1"), "o2": netip.MustParseAddr("10.99.0.2")}
	lines, specs := map[string]net.Listener{}, []rack.Spec{plain("o1", 0xb1), plain("o2", 0xb2)}
	for i, spec := range specs {
		l, err := net.Listen("tcp", "127.0.94.1:0")
		if err != nil {
			t.Fatal(err)
		}
		specs[i].BMCLine, lines[spec.Name] = l.Addr().String(), l
	}
	o := &onboarding{site: newSite(t, specs...), bmcs: map[string]*rmcp.BMC{}, names: map[string]string{}}
	for name, address := range at {
		o.stand(name, address, lines[name])
	}
	o.step("Register", o.register)
	o.step("AcceptedGetsAnAccount", o.accepted)
	o.step("InUse", func(t *testing.T) { o.inUse(t, at["o1"].String()) })
	o.step("PoweredOverIPMI", o.powered)
	o.step("UnacceptedIsLeftAlone", func(t *testing.T) { o.leftAlone(t, "o2") })
}

// stand puts a BMC in front of a machine, at an address of its own, and at the end of the line of its driver.
func (o *onboarding) stand(name string, address netip.Addr, line net.Listener) {
	o.t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		o.t.Fatal(err)
	}
	if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(32, 32)}}); err != nil {
		o.t.Fatal(err)
	}
	where := netip.AddrPortFrom(address, 623)
	b, err := rmcp.Start(o.t.Context(), rmcp.Config{Addr: where.String(), Address: where, Machine: o.machine(name), Username: "admin", Password: rand.Text()[:20]})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = b.Close() })
	go b.ServeLine(o.t.Context(), line)
	o.bmcs[name] = b
}

// register switches both on by hand.
func (o *onboarding) register(t *testing.T) {
	for _, m := range o.rack.Servers() {
		if err := m.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	o.await(2*bootLimit, "both register", func() bool { return len(o.inventories()) == 2 })
	for _, i := range o.inventories() {
		for _, m := range o.rack.Servers() {
			if i.Spec.System.UUID == m.Identity().UUID {
				o.names[m.Identity().Name] = i.Name
			}
		}
		if !i.Spec.IPMI {
			t.Errorf("the inventory of %s shows no way to its BMC", i.Name)
		}
		v := o.awaitServer(i.Name, "it waits for a yes", bootLimit, discovered)
		if v.Spec.BMC != nil || v.Spec.Accepted {
			t.Errorf("%s is %+v", v.Name, v.Spec)
		}
	}
	if len(o.names) != 2 {
		t.Fatalf("of the machines Ingot knows %v", o.names)
	}
	for name := range o.bmcs {
		o.leftAlone(t, name)
	}
}

// leftAlone wants a BMC as it was delivered.
func (o *onboarding) leftAlone(t *testing.T, name string) {
	t.Helper()
	b := o.bmcs[name]
	if users := slices.Sorted(maps.Keys(b.Users())); b.UserChanges() != 0 || len(b.Commands()) != 0 || !slices.Equal(users, []string{"admin"}) {
		t.Errorf("the BMC of %s: %d changes of users in band, the commands %v over the network, the users %v; want it left alone", name, b.UserChanges(), b.Commands(), users)
	}
	var v metal.Server
	if err := o.client.Get(t.Context(), client.ObjectKey{Name: o.names[name]}, &v); err != nil || v.Spec.BMC != nil || v.Spec.Record != nil && v.Spec.Record.BMCAccount != nil {
		t.Errorf("%s has a BMC: %+v, %v", name, v.Spec, err)
	}
	if _, err := o.secret(name); !apierrors.IsNotFound(err) {
		t.Errorf("the Secret of %s: %v, want none", name, err)
	}
}

func (o *onboarding) secret(name string) (*corev1.Secret, error) {
	s := &corev1.Secret{}
	return s, o.client.Get(o.root.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: "ingot-bmc-" + o.names[name]}, s)
}

// accepted says yes to one of them. Its account is there, works, and is not used yet: somebody may contradict the boot.
func (o *onboarding) accepted(t *testing.T) {
	name, b := o.names["o1"], o.bmcs["o1"]
	o.ingot("accept", name, "--yes")
	o.awaitServer(name, "it is Available", wipeLimit, available)
	v := o.awaitServer(name, "its account works", bootLimit, func(v *metal.Server) bool {
		return v.Spec.Record.BMCAccount != nil && v.Spec.Record.BMCAccount.Step == metal.BMCAccountTaking
	})
	var held *corev1.Secret
	o.await(bootLimit, "the Secret holds it", func() bool {
		var err error
		held, err = o.secret("o1")
		return err == nil && len(held.Data["username"]) > 0
	})
	a, users := v.Spec.Record.BMCAccount, b.Users()
	if a.Username != string(held.Data["username"]) || users[a.Username] == "" || users[a.Username] != string(held.Data["password"]) || len(users) != 2 || b.UserChanges() == 0 {
		t.Errorf("the account is %+v; the BMC lets in %v, the Secret names %s", a, slices.Sorted(maps.Keys(users)), held.Data["username"])
	}
	if v.Spec.BMC != nil || a.After == nil || a.After.Sub(v.Spec.Record.Boot.ClaimedAt.Time) != unclaimed {
		t.Errorf("it is used already, or too soon: %+v, %+v, %+v", v.Spec.BMC, a, v.Spec.Record.Boot)
	}
	if why := o.ingot("why", name); !strings.Contains(why, "can contradict its boot") {
		t.Errorf("`ingot why` does not say what is waited for:\n%s", why)
	}
	if orders := ordersOf(b); len(orders) != 0 {
		t.Errorf("it was ordered over IPMI before: %v", orders)
	}
}

// ordersOf are what was ordered of the machine's power over the network.
func ordersOf(b *rmcp.BMC) (out []rmcp.Command) {
	for _, c := range b.Commands() {
		if c.NetFn == rmcp.Chassis && c.Cmd == rmcp.ChassisControl {
			out = append(out, c)
		}
	}
	return out
}

// inUse lets twenty minutes pass, and wants the BMC to be declared then, and the idle machine to be off, which its agent did once the BMC was heard.
func (o *onboarding) inUse(t *testing.T, address string) {
	name := o.names["o1"]
	o.pass(name, unclaimed)
	v := o.awaitServer(name, "its BMC is declared", bootLimit, func(v *metal.Server) bool { return v.Spec.BMC != nil })
	if got := v.Spec.BMC; got.Protocol != metal.BMCIPMI || got.Endpoint != address || got.CredentialsSecret != "ingot-bmc-"+name {
		t.Errorf("spec.bmc is %+v", got)
	}
	v = o.awaitServer(name, "the idle machine is switched off", 2*bootLimit, func(v *metal.Server) bool {
		return available(v) && o.machine("o1").PID() == 0 && v.Status.Power != nil && v.Status.Power.State == metal.PowerOff
	})
	if a := v.Spec.Record.BMCAccount; a.Step != metal.BMCAccountDone || a.Using != a.Username || len(ordersOf(o.bmcs["o1"])) != 0 {
		t.Errorf("the account is %+v, the orders over IPMI %v; want none for an idle machine", a, ordersOf(o.bmcs["o1"]))
	}
	if said := o.serial("o1"); !strings.Contains(said, "has a BMC from now on") {
		t.Error("the console does not say why the machine is off")
	}
}

// pass turns the clock of the server's last boot back, with the rights of Ingot's own controllers, which alone may write there: the test does not wait for the
// real one. That it has to pass is what the step before shows.
func (o *onboarding) pass(name string, d time.Duration) {
	o.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(o.stateDir(), "admin.kubeconfig"))
	if err != nil {
		o.t.Fatal(err)
	}
	config.Impersonate = rest.ImpersonationConfig{UserName: "clock", Groups: []string{"system:masters", "ingot:controllers"}}
	c, err := client.New(config, client.Options{Scheme: cli.Scheme()})
	if err != nil {
		o.t.Fatal(err)
	}
	v := o.awaitServer(name, "it is read", bootLimit, func(*metal.Server) bool { return true })
	back := func(at time.Time) string { return at.Add(-d).UTC().Format(time.RFC3339) }
	patch := fmt.Sprintf(`{"spec":{"record":{"boot":{"claimedAt":%q},"bmcAccount":{"after":%q}}}}`, back(v.Spec.Record.Boot.ClaimedAt.Time), back(v.Spec.Record.BMCAccount.After.Time))
	if err := c.Patch(o.root.Context(), named(name), client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		o.t.Fatal(err)
	}
}

// powered switches it as a person does; QEMU's process is the oracle.
func (o *onboarding) powered(t *testing.T) {
	name, m := o.names["o1"], o.machine("o1")
	before := len(ordersOf(o.bmcs["o1"]))
	o.ingot("power", "on", name)
	if m.PID() == 0 || len(ordersOf(o.bmcs["o1"])) == before {
		t.Errorf("after `power on` QEMU runs as %d; the orders over IPMI are %v", m.PID(), ordersOf(o.bmcs["o1"]))
	}
	o.ingot("power", "off", name)
	if pid := m.PID(); pid != 0 {
		t.Errorf("after `power off` QEMU still runs as %d", pid)
	}
}
