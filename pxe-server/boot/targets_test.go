package boot

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/crds/reasons"
)

var update = flag.Bool("update", false, "write testdata anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestScripts(t *testing.T) {
	for name, tc := range map[string]struct {
		d        Decision
		firmware string
	}{
		"agent-unknown.ipxe":        {Decision{Target: Agent, Reason: reasons.UnknownMachine, BootID: "0123456789abcdef0123456789abcdef"}, UEFIPXE},
		"agent-known.ipxe":          {Decision{Target: Agent, Server: "rack1-04", By: BySerial, Reason: reasons.NotRegistered, BootID: "b7"}, BIOSPXE},
		"os-kernel.ipxe":            {Decision{Target: OS, Server: "rack1-04", By: ByMAC, Reason: reasons.Provisioning, BootID: "b9", OS: osKernel()}, BIOSPXE},
		"os-uki.ipxe":               {Decision{Target: OS, Server: "rack1-04", By: ByMAC, Reason: reasons.Provisioning, BootID: "b9", OS: osUKI()}, UEFIHTTP},
		"idle-fetching.ipxe":        {Decision{Target: Idle, Server: "rack1-04", By: ByMAC, Reason: reasons.AssetsFetching, BootID: "b9"}, UEFIPXE},
		"disk-uefi.ipxe":            {Decision{Target: LocalDisk, Server: "rack1-04", By: ByMAC, Reason: reasons.LocalDiskPreferred}, UEFIHTTP},
		"disk-bios.ipxe":            {Decision{Target: LocalDisk, Server: "rack1-04", By: ByMAC, Reason: reasons.LocalDiskPreferred}, BIOSPXE},
		"disk-conflict.ipxe":        {Decision{Target: LocalDisk, Reason: reasons.IdentityConflict, Conflict: []string{"a", "b"}}, UEFIPXE},
		"idle-hold.ipxe":            {Decision{Target: Idle, Reason: reasons.UnknownMachine}, UEFIPXE},
		"idle-controller-away.ipxe": {Decision{Target: Idle, Reason: reasons.ControllerAway}, UEFIPXE},
		"idle-isolated.ipxe":        {Decision{Target: Idle, Server: "rack1-04", By: ByMAC, Reason: reasons.ControllerAway}, UEFIPXE},
	} {
		t.Run(name, func(t *testing.T) {
			p := params()
			p.Firmware = tc.firmware
			got, err := Script(tc.d, p)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, got)
			if _, err := parse(got); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	if out, err := Script(Decision{Target: NoAnswer}, params()); !errors.Is(err, ErrNoAnswer) || out != nil {
		t.Errorf("got %q, %v", out, err)
	}
}

// TestLabels: every jump has its label.
func TestLabels(t *testing.T) {
	for _, target := range []Target{Agent, OS, LocalDisk, Idle} {
		for _, firmware := range []string{UEFIPXE, BIOSPXE} {
			p := params()
			p.Firmware = firmware
			out, err := Script(Decision{Target: target, BootID: "b", OS: osKernel()}, p)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parse(out)
			if err != nil {
				t.Fatal(err)
			}
			labels := map[string]int{}
			for _, st := range s {
				labels[st.label]++
			}
			for _, st := range s {
				if st.onFail != "" && labels[st.onFail] != 1 {
					t.Errorf("%s, %s: goto %s has %d labels", target, firmware, st.onFail, labels[st.onFail])
				}
			}
		}
	}
}

// TestAgentRefuses: what would weaken the agent's trust, or not fit, is refused; the control is TestScripts.
func TestAgentRefuses(t *testing.T) {
	for name, change := range map[string]func(*Decision, *Params){
		"plain URL":        func(_ *Decision, p *Params) { p.AgentURL = "http://192.0.2.1:7443" },
		"no URL":           func(_ *Decision, p *Params) { p.AgentURL = "" },
		"URL with a blank": func(_ *Decision, p *Params) { p.AgentURL = "https://192.0.2.1:7443/ init=/bin/sh" },
		"URL no host":      func(_ *Decision, p *Params) { p.AgentURL = "https:///x" },
		"no pin":           func(_ *Decision, p *Params) { p.AgentPin = "" },
		"short pin":        func(_ *Decision, p *Params) { p.AgentPin = "0f" },
		"pin no hex":       func(_ *Decision, p *Params) { p.AgentPin = strings.Repeat("zz", 32) },
		"no boot id":       func(d *Decision, _ *Params) { d.BootID = "" },
		"boot id line":     func(d *Decision, _ *Params) { d.BootID = "b\nshell" },
		"no MAC":           func(_ *Decision, p *Params) { p.BootMAC = "" },
		"our argument":     func(_ *Decision, p *Params) { p.AgentArgs = []string{"ingot.pin=00"} },
		"initrd":           func(_ *Decision, p *Params) { p.AgentArgs = []string{"initrd=other"} },
		"end of arguments": func(_ *Decision, p *Params) { p.AgentArgs = []string{"--"} },
		"quote":            func(_ *Decision, p *Params) { p.AgentArgs = []string{`a="b`} },
		"operator":         func(_ *Decision, p *Params) { p.AgentArgs = []string{"||"} },
		"expansion":        func(_ *Decision, p *Params) { p.ImageArgs = []string{"a=${net0/mac}"} },
		"empty":            func(_ *Decision, p *Params) { p.ImageArgs = []string{""} },
		"2,049 bytes":      func(_ *Decision, p *Params) { p.AgentArgs = []string{strings.Repeat("x", 2000)} },
		"kernel URL":       func(_ *Decision, p *Params) { p.Kernel = "" },
		"initrd URL":       func(_ *Decision, p *Params) { p.Initrd = "" },
	} {
		d, p := Decision{Target: Agent, BootID: "b"}, params()
		change(&d, &p)
		if out, err := Script(d, p); !errors.Is(err, ErrUnsafe) || out != nil {
			t.Errorf("%s: got %q, %v; want ErrUnsafe", name, out, err)
		}
	}
}

func TestFirstStage(t *testing.T) {
	got, err := FirstStage("http://192.0.2.1:7480", "/boot/v1/boot.ipxe", "/boot/v1/script")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "first-stage.ipxe", got)
	if got, err = FirstStage("http://[2001:db8::1]:7480", "/boot/v1/boot.ipxe", "/boot/v1/script"); err != nil {
		t.Fatal(err)
	}
	golden(t, "first-stage-ipv6.ipxe", got)
	for _, bad := range []string{"", "http://", "192.0.2.1:7480", "https://192.0.2.1:7480", "http://192.0.2.1/x", "http://[fe80::1%25eth0]:80", "http://a b", "http://${net0/ip}"} {
		if _, err := FirstStage(bad, "/boot/v1/boot.ipxe", "/boot/v1/script"); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := FirstStage("http://192.0.2.1:80", "/boot.ipxe", "/a b"); !errors.Is(err, ErrUnsafe) {
		t.Errorf("path with a blank: %v", err)
	}
}

// TestAskAgainKeepsTheFamily: a script asks DHCP again over the family that led to it.
func TestAskAgainKeepsTheFamily(t *testing.T) {
	for url, want := range map[string]string{"http://192.0.2.1:7480/boot/v1/boot.ipxe": "dhcp", "http://[2001:db8::1]:7480/boot/v1/boot.ipxe": "ipv6"} {
		p := params()
		p.FirstStage = url
		out, err := Script(Decision{Target: Idle}, p)
		if err != nil || !strings.Contains(string(out), "\nifconf --configurator "+want+" || goto leave\n") || !strings.Contains(string(out), "chain --replace "+url+" ") {
			t.Errorf("%s: %v\n%s", url, err, out)
		}
	}
	p := params()
	p.AgentURL = "https://[2001:db8::1]:7443"
	out, err := Script(Decision{Target: Agent, BootID: "b"}, p)
	if err != nil || !strings.Contains(string(out), " ingot.url=https://[2001:db8::1]:7443 ") {
		t.Errorf("the agent's kernel line: %v\n%s", err, out)
	}
}

// TestMediaStage: the first stage, but that it follows no other boot server.
func TestMediaStage(t *testing.T) {
	first, err := FirstStage("http://192.0.2.1:7480", "/boot/v1/boot.ipxe", "/boot/v1/script")
	if err != nil {
		t.Fatal(err)
	}
	got, err := MediaStage("http://192.0.2.1:7480", "/boot/v1/boot.ipxe", "/boot/v1/script")
	if err != nil {
		t.Fatal(err)
	}
	want := "#!ipxe\necho Ingot: started from virtual media\nset ingot-hops:int32 3\n" + strings.TrimPrefix(string(first), "#!ipxe\n")
	if string(got) != want || !strings.Contains(want, "iseq ${ingot-hops} 3 && goto ask") {
		t.Errorf("got\n%s", got)
	}
	if _, err := MediaStage("http://192.0.2.1:80", "/boot.ipxe", "/a b"); !errors.Is(err, ErrUnsafe) {
		t.Errorf("error %v", err)
	}
}
