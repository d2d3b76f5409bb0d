package boot_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
)

func req(arch string, facts ...string) boot.Request {
	return boot.Request{Identity: id(facts...), Arch: arch, Firmware: boot.UEFIPXE}
}

// onlyAMD64 is what a site has that was given one agent image.
var onlyAMD64 = []string{boot.AMD64}

// TestDecideArchitecture: an agent boots where there is an image for its processor, whoever the machine is, and says which else is missing.
func TestDecideArchitecture(t *testing.T) {
	s := srv("a", "mac="+macA)
	s.Target = boot.Agent
	for _, images := range [][]string{nil, {boot.AMD64}, {boot.ARM64}, {boot.AMD64, boot.ARM64}} {
		v := boot.View{Policy: boot.RegisterOnce, Images: images, Servers: []boot.Server{s}}
		for _, arch := range []string{boot.AMD64, boot.ARM64} {
			known, unknown := boot.Decide(req(arch, "mac="+macA), v), boot.Decide(req(arch, "mac="+macB), v)
			if slices.Contains(images, arch) {
				if known.Target != boot.Agent || unknown.Target != boot.Agent {
					t.Errorf("images for %v, %s: got %+v and %+v", images, arch, known, unknown)
				}
				continue
			}
			if known.Target != boot.Idle || unknown.Target != boot.NoAnswer || known.Reason != reasons.AgentImageMissing || unknown.Reason != reasons.AgentImageMissing {
				t.Errorf("images for %v, %s: got %+v and %+v", images, arch, known, unknown)
			}
		}
	}
}

func TestDecideUnknown(t *testing.T) {
	for _, tc := range []struct {
		policy boot.UnknownPolicy
		arch   string
		target boot.Target
		reason string
	}{
		{boot.RegisterOnce, boot.AMD64, boot.Agent, reasons.UnknownMachine},
		{boot.RegisterOnce, boot.ARM64, boot.NoAnswer, reasons.AgentImageMissing},
		{boot.RegisterOnce, "", boot.NoAnswer, reasons.BootUnsupported},
		{boot.Ignore, boot.AMD64, boot.NoAnswer, reasons.UnknownMachine},
		{boot.Hold, boot.AMD64, boot.Idle, reasons.UnknownMachine},
		{"", boot.AMD64, boot.NoAnswer, reasons.UnknownMachine},
		{"capture-all", boot.AMD64, boot.NoAnswer, reasons.UnknownMachine},
	} {
		got := boot.Decide(req(tc.arch, "mac="+macA), boot.View{Policy: tc.policy, Images: onlyAMD64, Servers: []boot.Server{srv("b", "mac="+macB)}})
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
		{boot.Agent, true, true, boot.ARM64, boot.Idle, reasons.AgentImageMissing},
		{boot.Agent, true, true, "", boot.Idle, reasons.BootUnsupported},
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
		got := boot.Decide(req(tc.arch, "mac="+macA), boot.View{Policy: boot.Ignore, Images: onlyAMD64, Servers: []boot.Server{s}})
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
	v := boot.View{Policy: boot.RegisterOnce, Images: onlyAMD64, Servers: []boot.Server{a, b}}
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
		v.Images = rapid.SliceOfDistinct(rapid.SampledFrom([]string{boot.AMD64, boot.ARM64}), rapid.ID[string]).Draw(t, "images")
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
		if d.Reason == "" || !names[d.Server] || d.Target == boot.Agent && !slices.Contains(v.Images, r.Arch) || len(d.Conflict) > 0 && d.Target != boot.LocalDisk {
			t.Fatalf("decision %+v for %+v", d, r)
		}
		if !reflect.DeepEqual(d, boot.Decide(r, v)) {
			t.Fatal("not deterministic")
		}
	})
}

// TestDecideIsolated: without the controller a server with a system boots it, and nothing is begun; each row has its control in the same view, connected.
func TestDecideIsolated(t *testing.T) {
	os := &boot.OSBoot{Arch: boot.AMD64, Kernel: "k", Initramfs: "i"}
	for name, tc := range map[string]struct {
		target               boot.Target
		accepted, registered bool
		connected, want      boot.Target
		reason               string
	}{
		"installed":                {boot.LocalDisk, true, true, boot.LocalDisk, boot.LocalDisk, reasons.Accepted},
		"a stranger's system":      {boot.LocalDisk, false, true, boot.LocalDisk, boot.LocalDisk, reasons.LocalDiskPreferred},
		"to be wiped":              {boot.Agent, true, true, boot.Agent, boot.Idle, reasons.ControllerAway},
		"to be installed":          {boot.OS, true, true, boot.OS, boot.Idle, reasons.ControllerAway},
		"clean":                    {boot.Idle, true, true, boot.Idle, boot.Idle, reasons.ControllerAway},
		"blank, nobody's yes":      {boot.Agent, false, true, boot.Agent, boot.Idle, reasons.ControllerAway},
		"never seen":               {boot.Agent, false, false, boot.Agent, boot.NoAnswer, reasons.ControllerAway},
		"another installation's":   {boot.NoAnswer, true, true, boot.NoAnswer, boot.NoAnswer, reasons.Accepted},
		"a word of the year after": {"Firmware2030", true, true, boot.Idle, boot.Idle, reasons.ControllerAway},
	} {
		s := srv("a", "mac="+macA)
		s.Target, s.Accepted, s.Registered, s.BootID, s.OS = tc.target, tc.accepted, tc.registered, "boot1", os
		v := boot.View{
			Policy: boot.Ignore, Servers: []boot.Server{s}, Images: onlyAMD64,
			Files: map[string]boot.File{"k": {}, "i": {}}, AtHand: map[string]string{"k": boot.FileCached, "i": boot.FileCached},
		}
		if got := boot.Decide(req(boot.AMD64, "mac="+macA), v); got.Target != tc.connected {
			t.Errorf("%s, control: got %+v", name, got)
		}
		v.Isolated = true
		if got, want := boot.Decide(req(boot.AMD64, "mac="+macA), v), (boot.Decision{Target: tc.want, Server: "a", By: boot.ByMAC, Reason: tc.reason}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

// TestDecideUnknownIsolated: a machine that nobody knows begins nothing either.
func TestDecideUnknownIsolated(t *testing.T) {
	for policy, want := range map[boot.UnknownPolicy]boot.Decision{
		boot.RegisterOnce: {Target: boot.NoAnswer, Reason: reasons.ControllerAway},
		boot.Ignore:       {Target: boot.NoAnswer, Reason: reasons.UnknownMachine},
		boot.Hold:         {Target: boot.Idle, Reason: reasons.UnknownMachine},
	} {
		if got := boot.Decide(req(boot.AMD64, "mac="+macA), boot.View{Policy: policy, Images: onlyAMD64, Isolated: true}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", policy, got, want)
		}
	}
}

// TestIsolatedBeginsNothing: whatever the view says, and whoever asks.
func TestIsolatedBeginsNothing(t *testing.T) {
	targets := []boot.Target{boot.Agent, boot.OS, boot.LocalDisk, boot.Idle, boot.NoAnswer, "", "Other"}
	rapid.Check(t, func(t *rapid.T) {
		v := boot.View{Policy: boot.UnknownPolicy(rapid.SampledFrom([]string{"register-once", "ignore", "hold", "x"}).Draw(t, "policy")), Images: onlyAMD64, Servers: genServers().Draw(t, "servers"), Isolated: true}
		disk := map[string]bool{}
		for i := range v.Servers {
			s := &v.Servers[i]
			s.Target, s.BootID, s.OS = rapid.SampledFrom(targets).Draw(t, "target"), "b", &boot.OSBoot{Arch: boot.AMD64, Kernel: "k", Initramfs: "i"}
			disk[s.Name] = s.Target == boot.LocalDisk
		}
		d := boot.Decide(boot.Request{Identity: genIdentity().Draw(t, "ask"), Arch: boot.AMD64, Firmware: boot.UEFIPXE}, v)
		if d.Target == boot.Agent || d.Target == boot.OS || d.OS != nil || d.BootID != "" {
			t.Fatalf("it begins %+v", d)
		}
		if d.Target == boot.LocalDisk && !disk[d.Server] && len(d.Conflict) == 0 {
			t.Fatalf("its own disk, though its server has none to boot: %+v", d)
		}
	})
}
