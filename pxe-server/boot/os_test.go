package boot

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/crds/reasons"
)

const token = "kz5o2capability"

var (
	digestA, digestB, digestC = strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	osArgs                    = []string{"console=ttyS0", "talos.platform=metal", "ingot.config=https://192.0.2.1:7445/v1/config/s1/b9/" + token, "ingot.pin=" + strings.Repeat("0f", 32)}
)

func osKernel() *OSBoot {
	return &OSBoot{Arch: AMD64, Kernel: digestA, Initramfs: digestB, Args: osArgs}
}

func osUKI() *OSBoot { return &OSBoot{Arch: AMD64, UKI: digestC, Args: osArgs} }

// TestOSDecision: an operating system is booted where architecture and firmware fit, the boot has an id, and every file is at hand.
func TestOSDecision(t *testing.T) {
	all := map[string]string{digestA: FileCached, digestB: FileCached, digestC: FileCached}
	for name, tc := range map[string]struct {
		change func(*Request, *Server, *View)
		target Target
		reason string
	}{
		"kernel":             {func(*Request, *Server, *View) {}, OS, reasons.Provisioning},
		"kernel, BIOS":       {func(r *Request, _ *Server, _ *View) { r.Firmware = BIOSPXE }, OS, reasons.Provisioning},
		"UKI":                {func(_ *Request, s *Server, _ *View) { s.OS = osUKI() }, OS, reasons.Provisioning},
		"arm64":              {func(r *Request, s *Server, _ *View) { r.Arch, s.OS.Arch = ARM64, ARM64 }, OS, reasons.Provisioning},
		"other architecture": {func(r *Request, _ *Server, _ *View) { r.Arch = ARM64 }, Idle, reasons.BootUnsupported},
		"UKI, BIOS":          {func(r *Request, s *Server, _ *View) { r.Firmware, s.OS = BIOSPXE, osUKI() }, Idle, reasons.BootUnsupported},
		"UKI and kernel":     {func(_ *Request, s *Server, _ *View) { s.OS.UKI = digestC }, Idle, reasons.BootUnsupported},
		"no initramfs":       {func(_ *Request, s *Server, _ *View) { s.OS.Initramfs = "" }, Idle, reasons.BootUnsupported},
		"nothing to boot":    {func(_ *Request, s *Server, _ *View) { s.OS = nil }, Idle, reasons.BootUnsupported},
		"no boot id":         {func(_ *Request, s *Server, _ *View) { s.BootID = "" }, Idle, reasons.BootUnsupported},
		"fetching": {func(_ *Request, _ *Server, v *View) {
			v.AtHand = map[string]string{digestA: FileCached, digestB: FileFetching}
		}, Idle, reasons.AssetsFetching},
		"not begun": {func(_ *Request, _ *Server, v *View) { v.AtHand = nil }, Idle, reasons.AssetsFetching},
		"failed": {func(_ *Request, _ *Server, v *View) {
			v.AtHand = map[string]string{digestA: FileFailed, digestB: FileFetching}
		}, Idle, reasons.AssetsFailed},
		"not named": {func(_ *Request, _ *Server, v *View) { v.Files = map[string]File{digestA: {}} }, Idle, reasons.AssetsFailed},
	} {
		req := Request{Identity: Identity{MACs: []string{"52:54:00:00:00:0a"}}, Arch: AMD64, Firmware: UEFIPXE}
		s := Server{Name: "s1", Identity: req.Identity, Accepted: true, Registered: true, Target: OS, BootID: "b9", OS: osKernel()}
		v := View{Files: map[string]File{digestA: {}, digestB: {Initramfs: true}, digestC: {}}, AtHand: all}
		tc.change(&req, &s, &v)
		v.Servers = []Server{s}
		d := Decide(req, v)
		if d.Target != tc.target || d.Reason != tc.reason || (d.OS != nil) != (tc.target == OS) {
			t.Errorf("%s: %+v, want %s because of %s", name, d, tc.target, tc.reason)
		}
	}
}

// TestOSRefuses: what would change the line, or put another capability beside ours, is refused, and the refusal tells nothing of it.
func TestOSRefuses(t *testing.T) {
	add := func(args ...string) func(*Decision, *Params) {
		return func(d *Decision, _ *Params) { d.OS.Args = append(append([]string{}, osArgs...), args...) }
	}
	for name, change := range map[string]func(*Decision, *Params){
		"initrd":           add("initrd=" + token),
		"end of arguments": add("--"),
		"quote":            add(`a="` + token),
		"operator":         add("||"),
		"expansion":        add("a=${net0/mac}" + token),
		"blank":            add("a b" + token),
		"line":             add("a\nshell " + token),
		"empty":            add(""),
		"second config":    add("ingot.config=http://192.0.2.66/" + token),
		"second pin":       add("ingot.pin=" + token),
		"hidden":           add("ingot.ingot.pin=" + token),
		"only the prefix":  add("ingot."),
		"2,049 bytes":      add(strings.Repeat("x", 2000)),
		"no boot id":       func(d *Decision, _ *Params) { d.BootID = "" },
		"nothing to boot":  func(d *Decision, _ *Params) { d.OS = nil },
		"no place":         func(_ *Decision, p *Params) { p.Files = "" },
	} {
		d, p := Decision{Target: OS, BootID: "b9", OS: osKernel()}, params()
		if out, err := Script(d, p); err != nil || !strings.Contains(string(out), token) {
			t.Fatalf("control: %v", err)
		}
		change(&d, &p)
		if out, err := Script(d, p); !errors.Is(err, ErrUnsafe) || out != nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: got %q, %v; want ErrUnsafe without the argument", name, out, err)
		}
	}
}

// TestOSHides: no way of printing a decision tells its arguments.
func TestOSHides(t *testing.T) {
	d := Decision{Target: OS, BootID: "b9", OS: osKernel()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, d.OS); strings.Contains(text, token) {
			t.Errorf("%s tells %s", verb, text)
		}
	}
}

// TestT29OSKernel: everything that goes on the line is refused, or the script reads back with exactly the arguments in their order.
func TestT29OSKernel(t *testing.T) {
	refused, kept := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		o := osKernel()
		o.Args = rapid.SliceOfN(rapid.OneOf(hostile(), rapid.SampledFrom(osArgs)), 0, 4).Draw(t, "args")
		d := Decision{Target: OS, Server: hostile().Draw(t, "server"), By: ByMAC, Reason: reasons.Provisioning, BootID: "b9", OS: o}
		out, err := Script(d, params())
		if err != nil {
			refused++
			return
		}
		kept++
		s, err := parse(out)
		want := append([]string{"kernel", "--name", "vmlinuz", params().Files + o.Kernel, "initrd=initrd"}, o.Args...)
		if err != nil || len(s) != 18 || !reflect.DeepEqual(s[2].words, want) {
			t.Fatalf("%v, %d statements, want 18:\n%s", err, len(s), out)
		}
	})
	if refused == 0 || kept == 0 {
		t.Errorf("%d refused, %d kept: the draw proves nothing", refused, kept)
	}
}
