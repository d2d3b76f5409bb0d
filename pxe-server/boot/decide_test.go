package boot_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
)

func req(arch string, facts ...string) boot.Request {
	return boot.Request{Identity: id(facts...), Arch: arch, Firmware: boot.UEFIPXE}
}

func TestDecideUnknown(t *testing.T) {
	for _, tc := range []struct {
		policy boot.UnknownPolicy
		arch   string
		target boot.Target
		reason string
	}{
		{boot.RegisterOnce, boot.AMD64, boot.Agent, reasons.UnknownMachine},
		{boot.RegisterOnce, boot.ARM64, boot.NoAnswer, reasons.BootUnsupported},
		{boot.RegisterOnce, "", boot.NoAnswer, reasons.BootUnsupported},
		{boot.Ignore, boot.AMD64, boot.NoAnswer, reasons.UnknownMachine},
		{boot.Hold, boot.AMD64, boot.Idle, reasons.UnknownMachine},
		{"", boot.AMD64, boot.NoAnswer, reasons.UnknownMachine},
		{"capture-all", boot.AMD64, boot.NoAnswer, reasons.UnknownMachine},
	} {
		got := boot.Decide(req(tc.arch, "mac="+macA), boot.View{Policy: tc.policy, Servers: []boot.Server{srv("b", "mac="+macB)}})
		if want := (boot.Decision{Target: tc.target, Reason: tc.reason}); !reflect.DeepEqual(got, want) {
			t.Errorf("policy %q, %q: got %+v, want %+v", tc.policy, tc.arch, got, want)
		}
	}
}

func TestDecideKnown(t *testing.T) {
	for _, tc := range []struct {
		target               boot.Target
		accepted, registered bool
		arch                 string
		want                 boot.Target
		reason               string
	}{
		{boot.Agent, false, false, boot.AMD64, boot.Agent, reasons.NotRegistered},
		{boot.Agent, false, true, boot.AMD64, boot.Agent, reasons.NotAccepted},
		{boot.Agent, true, true, boot.AMD64, boot.Agent, reasons.Accepted},
		{boot.Agent, true, true, boot.ARM64, boot.Idle, reasons.BootUnsupported},
		{boot.LocalDisk, false, true, boot.AMD64, boot.LocalDisk, reasons.LocalDiskPreferred},
		{boot.LocalDisk, true, true, boot.ARM64, boot.LocalDisk, reasons.Accepted},
		{boot.Idle, false, true, boot.AMD64, boot.Idle, reasons.NotAccepted},
		{boot.NoAnswer, false, false, boot.AMD64, boot.NoAnswer, reasons.NotRegistered},
		{boot.OS, true, true, boot.AMD64, boot.Idle, reasons.BootUnsupported},
		{"", true, true, boot.AMD64, boot.Idle, reasons.BootUnsupported},
		{"Firmware2030", false, true, boot.AMD64, boot.Idle, reasons.BootUnsupported},
	} {
		s := srv("a", "mac="+macA)
		s.Target, s.Accepted, s.Registered, s.BootID = tc.target, tc.accepted, tc.registered, "boot1"
		got := boot.Decide(req(tc.arch, "mac="+macA), boot.View{Policy: boot.Ignore, Servers: []boot.Server{s}})
		want := boot.Decision{Target: tc.want, Server: "a", By: boot.ByMAC, BootID: "boot1", Reason: tc.reason}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: got %+v", tc, got)
		}
	}
}

// TestDecideConflict: a machine that two Servers claim is not touched and not merged; it gets its own disk.
func TestDecideConflict(t *testing.T) {
	a, b := srv("a", "mac="+macA), srv("b", "mac="+macB)
	a.Target, b.Target = boot.Agent, boot.Agent
	v := boot.View{Policy: boot.RegisterOnce, Servers: []boot.Server{a, b}}
	got := boot.Decide(req(boot.AMD64, "mac="+macA, "mac="+macB), v)
	want := boot.Decision{Target: boot.LocalDisk, Reason: reasons.IdentityConflict, Conflict: []string{"a", "b"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := boot.Decide(req(boot.AMD64, "mac="+macA), v); got.Target != boot.Agent || got.Server != "a" {
		t.Errorf("control: got %+v", got)
	}
}

// TestDecideIsTotal: every request and view has a target that Script knows, a reason, and never a server that the view does not hold.
func TestDecideIsTotal(t *testing.T) {
	targets := []boot.Target{boot.Agent, boot.OS, boot.LocalDisk, boot.Idle, boot.NoAnswer, "", "Other"}
	rapid.Check(t, func(t *rapid.T) {
		v := boot.View{Policy: boot.UnknownPolicy(rapid.SampledFrom([]string{"register-once", "ignore", "hold", "", "x"}).Draw(t, "policy")), Servers: genServers().Draw(t, "servers")}
		names := map[string]bool{"": true}
		for i := range v.Servers {
			v.Servers[i].Target = rapid.SampledFrom(targets).Draw(t, "target")
			v.Servers[i].Accepted = rapid.Bool().Draw(t, "accepted")
			names[v.Servers[i].Name] = true
		}
		r := boot.Request{Identity: genIdentity().Draw(t, "ask"), Arch: rapid.SampledFrom([]string{boot.AMD64, boot.ARM64, ""}).Draw(t, "arch")}
		d := boot.Decide(r, v)
		switch d.Target {
		case boot.Agent, boot.LocalDisk, boot.Idle, boot.NoAnswer:
		default:
			t.Fatalf("target %q", d.Target)
		}
		if d.Reason == "" || !names[d.Server] || d.Target == boot.Agent && r.Arch != boot.AMD64 || len(d.Conflict) > 0 && d.Target != boot.LocalDisk {
			t.Fatalf("decision %+v for %+v", d, r)
		}
		if !reflect.DeepEqual(d, boot.Decide(r, v)) {
			t.Fatal("not deterministic")
		}
	})
}
