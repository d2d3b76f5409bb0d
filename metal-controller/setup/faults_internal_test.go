package setup

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/drivers"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

// toldOf is what a person reads of one fault: the reason of BMCReachable, and words of its message that name the cause and who acts next.
type toldOf struct {
	redfish, ipmi           string
	redfishSays, ipmiSays   []string
	order                   lifecycle.ActionKind
	redfishHides, ipmiHides bool // the BMC does all that it is asked
}

const operator = "an operator must"

// toldFaults is the table of docs/lab.md.
var toldFaults = map[string]toldOf{
	"dead": {
		redfish: reasons.BMCUnreachable, redfishSays: []string{operator + " check spec.bmc.endpoint", "no answer in time"},
		ipmi: reasons.BMCUnreachable, ipmiSays: []string{operator + " check spec.bmc.endpoint", "no answer in time"},
	},
	"slow": {redfish: reasons.BMCAnswers, redfishHides: true, ipmi: reasons.BMCAnswers, ipmiHides: true},
	"lying": {
		order:   lifecycle.EnsurePowerOn,
		redfish: reasons.BMCLied, redfishSays: []string{operator + " compare", "ignores orders", "still reads Off"},
		ipmi: reasons.BMCLied, ipmiSays: []string{operator + " compare", "ignores orders", "still reads Off"},
	},
	"inverted": {
		order:   lifecycle.EnsurePowerOff,
		redfish: reasons.BMCLied, redfishSays: []string{operator + " compare", "reads the wrong way round", "still reads On"},
		ipmi: reasons.BMCLied, ipmiSays: []string{operator + " compare", "reads the wrong way round", "still reads On"},
	},
	"expiring": {redfish: reasons.BMCAnswers, redfishHides: true, ipmi: reasons.BMCAnswers, ipmiHides: true},
	"full": {
		redfish: reasons.BMCAnswers, redfishHides: true, // it goes on without a session
		ipmi: reasons.BMCUnreachable, ipmiSays: []string{"all its sessions are taken", "they end after a minute of silence"},
	},
	"credentials": {
		redfish: reasons.BMCUnauthorized, redfishSays: []string{"refuses the credentials", operator + " correct the Secret bmc-s in"},
		ipmi: reasons.BMCUnauthorized, ipmiSays: []string{"refuses the credentials", operator + " correct the Secret bmc-s in"},
	},
	"certificate": {
		redfish: reasons.BMCCertificateChanged, redfishSays: []string{"another certificate than the pinned one", "got no credentials", "correct spec.bmc.tlsFingerprint"},
		ipmi: reasons.BMCAnswers, ipmiHides: true,
	},
	"garbage": {
		redfish: reasons.BMCUnsupported, redfishSays: []string{operator + " check spec.bmc.protocol", "not a JSON object; does it speak Redfish?"},
		ipmi: reasons.BMCUnreachable, ipmiSays: []string{operator + " check spec.bmc.endpoint", "that IPMI over LAN is enabled"},
	},
}

// TestFaultsAreTold: for each fault that the lab can set, over either protocol, the whole way from the wire to the condition names the cause and who acts
// next. The fault over, the same server reads as any other, which is the control.
func TestFaultsAreTold(t *testing.T) {
	for _, k := range fakebmc.Kinds() {
		c, ok := toldFaults[k.Name]
		if !ok {
			t.Errorf("nobody says what is told of %s", k.Name)
		}
		t.Run(k.Name+"/Redfish", func(t *testing.T) {
			t.Parallel()
			faultIsTold(t, k.Name, metal.BMCRedfish, c.order, c.redfish, c.redfishSays, c.redfishHides)
		})
		t.Run(k.Name+"/IPMI", func(t *testing.T) {
			t.Parallel()
			faultIsTold(t, k.Name, metal.BMCIPMI, c.order, c.ipmi, c.ipmiSays, c.ipmiHides)
		})
	}
}

func faultIsTold(t *testing.T, kind string, protocol metal.BMCProtocol, order lifecycle.ActionKind, reason string, says []string, hides bool) {
	fault, err := fakebmc.FaultOf(kind)
	if err != nil {
		t.Fatal(err)
	}
	fault.Latency = min(fault.Latency, 50*time.Millisecond)
	faults := &fakebmc.Faults{}
	faults.Set(fault)
	target := startFaulty(t, protocol, faults)
	woken := make(chan string, 1000)
	p := &plane{bmc.NewPlane(bmc.Options{
		Open: drivers.Open, Wake: func(s string) { woken <- s }, CallTimeout: 5 * time.Second, SettleTimeout: time.Second, Interval: time.Second,
	})}
	defer p.Close()
	p.Plane.Ensure("s", target)
	if order == lifecycle.NoAction {
		order = lifecycle.EnsurePowerOnFromNetwork
	}
	p.Submit("s", lifecycle.Action{Kind: order, ID: "a"})
	until := func(what string, done func(lifecycle.PowerReading) bool) lifecycle.PowerReading {
		t.Helper()
		for r := p.Latest("s"); ; r = p.Latest("s") {
			if done(r) {
				return r
			}
			select {
			case <-woken:
			case <-t.Context().Done():
				t.Fatalf("waiting for %s: %+v", what, r)
			}
		}
	}
	r := until("the reason "+reason, func(r lifecycle.PowerReading) bool { return r.Reason == reason && (!hides || r.Done == "a") })
	got := reachable(r)
	for _, word := range says {
		if got.Reason != reason || !strings.Contains(got.Message, word) {
			t.Errorf("it says %s: %s\nwant %s: %q", got.Reason, got.Message, reason, word)
		}
	}
	if strings.Contains(got.Message, "pass-word") {
		t.Errorf("it tells the password: %s", got.Message)
	}
	t.Logf("%s: %s", got.Reason, got.Message)
	faults.Set(fakebmc.Fault{})
	p.Forget("s") // and begin anew, instead of waiting out the plane's patience
	p.Plane.Ensure("s", target)
	if got := reachable(until("an honest BMC", func(r lifecycle.PowerReading) bool { return r.Reason == reasons.BMCAnswers })); got.Status != lifecycle.True {
		t.Errorf("the fault over, it says %+v", got)
	}
}

// reachable is the condition that a person is shown.
func reachable(r lifecycle.PowerReading) lifecycle.Condition {
	s := &metal.Server{Spec: metal.ServerSpec{BMC: &metal.BMC{CredentialsSecret: "bmc-s"}}}
	s.Name = "s"
	for _, c := range lifecycle.Decide(lifecycle.Observation{Now: time.Now(), Installation: "here", Server: s, Power: r, NewID: "id"}).Conditions {
		if c.Type == reasons.BMCReachable {
			return c
		}
	}
	return lifecycle.Condition{}
}

// startFaulty starts a BMC in front of a machine that is off.
func startFaulty(t *testing.T, protocol metal.BMCProtocol, faults *fakebmc.Faults) bmc.Target {
	t.Helper()
	m := memory.New(machine.Identity{UEFI: true})
	target := bmc.Target{Protocol: bmc.Protocol(protocol), Username: "root", Password: bmc.NewSecret("pass-word")}
	var addr string
	if protocol == metal.BMCIPMI {
		b, err := rmcp.Start(context.Background(), rmcp.Config{Machine: m, Username: "root", Password: "pass-word", Faults: faults})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		addr = b.Addr()
	} else {
		b, err := fakebmc.Start(context.Background(), fakebmc.Config{Machine: m, Username: "root", Password: "pass-word", Faults: faults})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		addr, target.Pin = b.Addr(), b.Fingerprint()
	}
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	target.Host, target.Port = a.Addr().String(), int(a.Port())
	return target
}
