package lab

import (
	"bytes"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// two servers: one that was never seen and one with an inventory.
func two() map[string]*metal.Server {
	at := func(s int) metav1.MicroTime { return metav1.NewMicroTime(noon.Add(time.Duration(s) * time.Second)) }
	fresh, known := &metal.Server{}, &metal.Server{}
	fresh.Name, known.Name = "rack1-02", "rack1-01"
	fresh.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Message: "Waiting for its first boot."}}
	known.Status = metal.ServerStatus{
		State: metal.StateDiscovered, Power: &metal.PowerStatus{State: metal.PowerOn},
		Boots: []metal.BootTimeline{
			{Stages: []metal.BootStage{{Stage: "DHCP", At: at(0)}, {Stage: "Inventory", At: at(32)}}},
			{Stages: []metal.BootStage{{Stage: "DHCP", At: at(-90)}}},
		},
		Inventory: &metal.InventorySummary{CPU: "1 x CPU, 1 core", Memory: "1 GiB", Disks: "2 disks, 3.2 GB"},
	}
	return map[string]*metal.Server{fresh.Name: fresh, known.Name: known}
}

func TestRows(t *testing.T) {
	got := rows(two())
	want := []row{
		{"rack1-01", "Discovered", "On", "Inventory +32s", "1 x CPU, 1 core, 1 GiB, 2 disks, 3.2 GB"},
		{"rack1-02", "", "?", "", "Waiting for its first boot."},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("rows %+v", got)
	}
	if registered(two()) {
		t.Error("a server without a state counts as registered")
	}
	all := two()
	delete(all, "rack1-02")
	if !registered(all) {
		t.Error("the registered one does not count")
	}
}

const tableOfTwo = `SERVER     STATE        POWER    BOOT               DETAIL
rack1-01   Discovered   On       Inventory +32s     1 x CPU, 1 core, 1 GiB, 2
rack1-02                ?                           Waiting for its first boo
40 s. Ctrl-C ends it.
`

func TestTableOnATerminal(t *testing.T) {
	var out bytes.Buffer
	width := 78
	v := newView(&out, func() int { return width }, noon, "Ctrl-C ends it.")
	v.show(rows(two()), noon.Add(40*time.Second))
	if got := out.String(); got != tableOfTwo {
		t.Errorf("first:\n%s\nwant:\n%s", got, tableOfTwo)
	}
	out.Reset()
	v.show(rows(two()), noon.Add(40*time.Second))
	if got := out.String(); got != "\x1b[4A\x1b[J"+tableOfTwo {
		t.Errorf("drawn over: %q", got)
	}
	out.Reset()
	width = 40 // three of the four lines are wrapped now
	v.show(rows(two()), noon.Add(40*time.Second))
	if got := out.String(); !strings.HasPrefix(got, "\x1b[7A\x1b[J") {
		t.Errorf("after the terminal was made narrower: %q", got)
	}
	for l := range strings.Lines(strings.TrimPrefix(out.String(), "\x1b[7A\x1b[J")) {
		if len([]rune(l)) > width {
			t.Errorf("%q does not fit %d columns", l, width)
		}
	}
}

func TestPlainOutputHasALinePerChange(t *testing.T) {
	var out bytes.Buffer
	v := newView(&out, nil, noon, "Ctrl-C ends it.")
	servers := two()
	v.show(rows(servers), noon.Add(3*time.Second))
	v.show(rows(servers), noon.Add(4*time.Second)) // nothing new
	servers["rack1-02"].Status.Power = &metal.PowerStatus{State: metal.PowerOff}
	v.show(rows(servers), noon.Add(5*time.Second))
	want := `    3s  rack1-01   Discovered   On       Inventory +32s     1 x CPU, 1 core, 1 GiB, 2 disks, 3.2 GB
    3s  rack1-02                ?                           Waiting for its first boot.
    5s  rack1-02                Off                         Waiting for its first boot.
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &out, want)
	}
}

func TestWhatToTryNext(t *testing.T) {
	text := next("ingot", "/tmp/ingot-lab-1/state/admin.kubeconfig", "rack1-01", 3)
	for l := range strings.Lines(text) {
		if len(l) > 80 {
			t.Errorf("%q is longer than a narrow terminal", l)
		}
	}
	for _, want := range []string{"All 3 servers have registered", "ingot why rack1-01", "export KUBECONFIG=/tmp/ingot-lab-1"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(next("ingot", "f", "s", 1), "All") {
		t.Error("one server is not all")
	}
	for dir, want := range map[string]string{"": "leaves nothing behind", "/lab": "stays in /lab"} {
		if got := (&showService{config: &config{stateDir: dir}}).ending(); !strings.Contains(got, want) {
			t.Errorf("--state-dir %q: %q", dir, got)
		}
	}
}
