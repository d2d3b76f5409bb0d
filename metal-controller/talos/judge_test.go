package talos_test

import (
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/enums"

	"ingot.dev/ingot/metal-controller/talos"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

// TestStages: what each stage proves, as it comes over the wire, on disk and from memory, started by the disk and by the network.
func TestStages(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	own := credentials(t, c, "os:reader")
	m := c.Listen(t, local, up())
	letters := func(v talos.Verdict) string {
		s := ""
		for letter, is := range map[string]bool{"I": v.Installed, "R": v.Running, "A": v.Alive} {
			if is {
				s += letter
			}
		}
		if (v.Why == "") != v.Running {
			t.Errorf("%+v", v)
		}
		return s
	}
	order := func(s string) string { // of the letters
		out := ""
		for _, l := range "IRA" {
			if strings.ContainsRune(s, l) {
				out += string(l)
			}
		}
		return out
	}
	for stage := range enums.RuntimeMachineStage_name {
		s := enums.RuntimeMachineStage(stage)
		fromDisk, fromNetwork := "", ""
		switch s {
		case enums.RuntimeMachineStage_MACHINE_STAGE_RUNNING:
			fromDisk, fromNetwork = "IRA", "I"
		case enums.RuntimeMachineStage_MACHINE_STAGE_BOOTING:
			fromDisk, fromNetwork = "IA", "I"
		case enums.RuntimeMachineStage_MACHINE_STAGE_REBOOTING, enums.RuntimeMachineStage_MACHINE_STAGE_SHUTTING_DOWN, enums.RuntimeMachineStage_MACHINE_STAGE_UPGRADING:
			fromDisk = "A"
		default:
		}
		for _, r := range []struct {
			what, line string
			onDisk     bool
			want       string
		}{
			{"its disk", "talos.platform=metal talos.config=https://192.0.2.1/v1/config/s/b/t", true, fromDisk},
			{"the network", "talos.platform=metal ingot.boot=b9", true, fromNetwork},
			{"a nameless boot", "ingot.boot", true, fromNetwork},
			{"memory", "talos.platform=metal ingot.boot=b9", false, ""},
			{"memory, by another's script", "talos.platform=metal", false, ""},
		} {
			m.Set(func(state *talostest.State) { state.Stage, state.Cmdline, state.OnDisk = s, r.line, r.onDisk })
			a, err := ask(t, m, own)
			if err != nil {
				t.Fatal(err)
			}
			if got := order(letters(talos.Judge(a, want))); got != r.want {
				t.Errorf("%s from %s proves %q, want %q", s, r.what, got, r.want)
			}
		}
	}
}

// TestWhichMachine: every node of a cluster has a certificate of its authority, so only its own identity proves a server.
func TestWhichMachine(t *testing.T) {
	for _, c := range []struct {
		what      string
		got, want talos.Machine
		same      bool
	}{
		{"the machine", talos.Machine{UUID: uuid, Serial: "SN1"}, want, true},
		{"in another case, with blanks", talos.Machine{UUID: strings.ToUpper(uuid), Serial: " SN1 "}, want, true},
		{"no serial number there", talos.Machine{UUID: uuid}, want, true},
		{"none known", talos.Machine{UUID: uuid, Serial: "SN2"}, talos.Machine{UUID: uuid}, true},
		{"no UUID known", talos.Machine{UUID: uuid, Serial: "SN1"}, talos.Machine{Serial: "SN1"}, true},
		{"another UUID", talos.Machine{UUID: strings.Replace(uuid, "6", "7", 1), Serial: "SN1"}, want, false},
		{"a shared UUID", talos.Machine{UUID: uuid, Serial: "SN2"}, want, false},
		{"another serial number alone", talos.Machine{UUID: uuid, Serial: "SN2"}, talos.Machine{Serial: "SN1"}, false},
		{"no UUID there", talos.Machine{Serial: "SN1"}, want, false},
		{"nothing known", talos.Machine{}, talos.Machine{}, false},
	} {
		v := talos.Judge(talos.Answer{Machine: c.got, OnDisk: true, Stage: talos.StageRunning}, c.want)
		if v.Installed != c.same || v.Running != c.same || v.Alive != c.same {
			t.Errorf("%s: %+v", c.what, v)
		}
	}
}
