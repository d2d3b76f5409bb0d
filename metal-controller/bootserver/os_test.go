package bootserver_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/pxe-server/protocol"
)

func links(t *testing.T) capability.Links {
	t.Helper()
	key, err := capability.NewKey(bytes.Repeat([]byte{7}, capability.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return capability.Links{Key: key, HTTPS: "https://192.0.2.1:7445", Plain: "http://192.0.2.1:7446"}
}

// bootingOS is a Server whose operating system boots, as the cache has it with its Environment and its inventory.
func bootingOS(c *cache) *metal.Server {
	at := metav1.NewTime(now)
	s := server("rack1-01", metal.BootTargetOS)
	s.Status.Boot.ID = "boot1"
	s.Spec.Record = &metal.ServerRecord{
		Claim: &metal.ClaimRecord{Namespace: "team", Name: "web", BindingID: "bind1", Environment: "env", At: at, BoundAt: &at},
		Boot:  &metal.BootRecord{ID: "boot1", Phase: metal.BootSwitchingOn, Target: metal.BootTargetOS, BindingID: "bind1"},
	}
	asset := func(c string) *metal.Asset { return &metal.Asset{URL: "http://x", SHA256: strings.Repeat(c, 64)} }
	c.environments = []metal.Environment{{ObjectMeta: metav1.ObjectMeta{Name: "env"}, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{
		{Arch: "arm64", UKI: asset("c")},
		{Arch: "amd64", Kernel: asset("a"), Initramfs: asset("b"), Args: []string{"console=ttyS0", "my.config={config}"}},
	}}}}
	c.inventories = []metal.ServerInventory{{ObjectMeta: metav1.ObjectMeta{Name: "rack1-01"}, Spec: metal.ServerInventorySpec{Arch: "amd64"}}}
	return &s
}

// TestOSBoot: files by digest and the address of the config, for the boot that the record expects; nothing for any other.
func TestOSBoot(t *testing.T) {
	l := links(t)
	config := func(plain bool) string { return "my.config=" + l.ConfigURL("rack1-01", "boot1", plain) }
	for name, c := range map[string]struct {
		change func(*metal.Server, *cache)
		args   []string // nil: no operating system is offered
	}{
		"control":                {func(*metal.Server, *cache) {}, []string{"console=ttyS0", config(false), "ingot.pin=p"}},
		"while it boots":         {func(s *metal.Server, _ *cache) { s.Spec.Record.Boot.Phase = metal.BootBooting }, []string{"console=ttyS0", config(false), "ingot.pin=p"}},
		"plain":                  {func(s *metal.Server, _ *cache) { s.Spec.Record.Claim.PlainConfig = true }, []string{"console=ttyS0", config(true), "ingot.pin=p"}},
		"no arg names it":        {func(_ *metal.Server, c *cache) { c.environments[0].Spec.Boot[1].Args = nil }, []string{"ingot.config=" + l.ConfigURL("rack1-01", "boot1", false), "ingot.pin=p"}},
		"arm64":                  {func(_ *metal.Server, c *cache) { c.inventories[0].Spec.Arch = "arm64" }, []string{"ingot.config=" + l.ConfigURL("rack1-01", "boot1", false), "ingot.pin=p"}},
		"not read off":           {func(s *metal.Server, _ *cache) { s.Spec.Record.Boot.Phase = metal.BootSwitchingOff }, nil},
		"void":                   {func(s *metal.Server, _ *cache) { s.Spec.Record.Boot.Phase = metal.BootVoid }, nil},
		"the agent's":            {func(s *metal.Server, _ *cache) { s.Spec.Record.Boot.Target = metal.BootTargetAgent }, nil},
		"another boot":           {func(s *metal.Server, _ *cache) { s.Spec.Record.Boot.ID = "boot2" }, nil},
		"another binding":        {func(s *metal.Server, _ *cache) { s.Spec.Record.Boot.BindingID = "bind2" }, nil},
		"status says so not yet": {func(s *metal.Server, _ *cache) { s.Status.Boot.Target = metal.BootTargetIdle }, nil},
		"no claim":               {func(s *metal.Server, _ *cache) { s.Spec.Record.Claim = nil }, nil},
		"no record":              {func(s *metal.Server, _ *cache) { s.Spec.Record = nil }, nil},
		"no Environment":         {func(_ *metal.Server, c *cache) { c.environments = nil }, nil},
		"Talos": {func(_ *metal.Server, c *cache) {
			c.environments[0].Spec = metal.EnvironmentSpec{Talos: &metal.TalosSource{}}
		}, nil},
		"Talos, pinned": {func(_ *metal.Server, c *cache) {
			e := &c.environments[0]
			boots := e.Spec.Boot
			boots[1].Args = []string{"talos.platform=metal", "talos.config={config}"}
			e.Spec = metal.EnvironmentSpec{Talos: &metal.TalosSource{}}
			e.Status.Talos = &metal.TalosPin{Source: e.Spec.Talos.Source(), Boot: boots}
		}, []string{"talos.platform=metal", "talos.config=" + l.ConfigURL("rack1-01", "boot1", false), "ingot.boot=boot1"}},
		"Talos, another is pinned": {func(_ *metal.Server, c *cache) {
			e := &c.environments[0]
			e.Status.Talos = &metal.TalosPin{Source: "other", Boot: e.Spec.Boot}
			e.Spec = metal.EnvironmentSpec{Talos: &metal.TalosSource{}}
		}, nil},
		"no inventory": {func(_ *metal.Server, c *cache) { c.inventories = nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			s := bootingOS(b.cache)
			c.change(s, b.cache)
			b.cache.set(*s)
			stream, err := b.client.WatchView(t.Context(), &protocol.WatchViewRequest{})
			if err != nil {
				t.Fatal(err)
			}
			view, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			os := view.Servers[0].Os
			if (os == nil) != (c.args == nil) || !slices.Equal(os.GetArgs(), c.args) {
				t.Fatalf("%v; want the args %q", os, c.args)
			}
			switch {
			case name == "arm64" && (os.Arch != "arm64" || os.Uki != strings.Repeat("c", 64) || os.Kernel != ""):
				t.Errorf("%v", os)
			case name == "control" && (os.Arch != "amd64" || os.Kernel != strings.Repeat("a", 64) || os.Initramfs != strings.Repeat("b", 64) || os.Uki != ""):
				t.Errorf("%v", os)
			}
		})
	}
}
