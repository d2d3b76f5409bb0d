package expr_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/allocate/expr"
)

func newEvaluator(t testing.TB) *expr.Evaluator {
	t.Helper()
	e, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// machine is a server as big as the API lets one be.
func machine() *metal.ServerInventorySpec {
	i := &metal.ServerInventorySpec{
		Arch: "amd64", System: metal.SystemInfo{Manufacturer: "Acme", Product: "S1"}, TPM: metal.TPM{Present: true, Version: "2.0"},
		CPUs: []metal.CPU{{Cores: 16}, {Cores: 16}}, Memory: metal.Memory{TotalBytes: 64 << 30},
		NICs: []metal.NIC{{Name: "eno1", SpeedMbps: 25000, Neighbor: &metal.Neighbor{SystemName: "leaf1"}}, {Name: "eno2"}},
	}
	for n := range 256 {
		i.Disks = append(i.Disks, metal.Disk{Name: fmt.Sprintf("nvme%d", n), SizeBytes: 960e9, Transport: "nvme"})
	}
	for range 512 {
		i.PCI = append(i.PCI, metal.PCIDevice{Vendor: "15b3", Device: "1017", Class: "020000"})
	}
	return i
}

func TestEval(t *testing.T) {
	e, labels := newEvaluator(t), map[string]string{"rack": "r1"}
	for expression, want := range map[string]bool{
		`inventory.arch == "amd64"`:                                                true,
		`inventory.system.manufacturer.startsWith("Acme")`:                         true,
		`inventory.system.manufacturer == "Bcme"`:                                  false,
		`inventory.memory.totalBytes >= 64 * 1024 * 1024 * 1024`:                   true,
		`inventory.cpus.all(c, c.cores >= 16) && inventory.cpus.size() == 2`:       true,
		`inventory.disks.filter(d, d.transport == "nvme").size() > 300`:            false,
		`inventory.pci.exists(p, p.vendor == "10de")`:                              false,
		`inventory.tpm.present && inventory.tpm.version == "2.0"`:                  true,
		`inventory.firmware.mode == "UEFI"`:                                        false, // empty reads as zero
		`inventory.nics.exists(n, has(n.neighbor) && n.neighbor.systemName != "")`: true,
		`labels["rack"] == "r1"`:                                                   true,
		`labels[?"row"].orValue("none") == "none"`:                                 true,
		`"row" in labels`: false,
		`inventory.nics.map(n, n.name).join(",") == "eno1,eno2"`: true,
	} {
		if err := e.Check(expression); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
		if got, err := e.Eval(expression, machine(), labels); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", expression, got, err, want)
		}
	}
	if got, err := e.Eval(`labels.size() == 0`, &metal.ServerInventorySpec{}, nil); err != nil || !got {
		t.Errorf("no labels: %v, %v", got, err)
	}
}

// TestRefused: what cannot be used with any server is told before any is looked at.
func TestRefused(t *testing.T) {
	e := newEvaluator(t)
	for expression, want := range map[string]string{
		`inventory.`:                    "Syntax error",
		`inventory.ram > 1`:             "undefined field 'ram'",
		`inventory.memory.totalBytes`:   "true or false",
		`secrets["x"] == "y"`:           "undeclared reference",
		`inventory.arch == 5`:           "no matching overload",
		strings.Repeat("(", 2000) + "1": "recursion",
		`"` + strings.Repeat("x", 3000): "size",
	} {
		err := e.Check(expression)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v; want %s", expression, err, want)
		}
		if yes, err := e.Eval(expression, machine(), nil); yes || err == nil {
			t.Errorf("%.40s is %v, %v", expression, yes, err)
		}
	}
	if err := e.Check(`true`); err != nil {
		t.Errorf("control: %v", err)
	}
}

// TestTrouble: what goes wrong with one server is an error, and never a yes.
func TestTrouble(t *testing.T) {
	e := newEvaluator(t)
	for expression, want := range map[string]string{
		`labels["rack"] == "r1"`: "no such key",
		`inventory.pci.all(p, inventory.pci.all(q, inventory.disks.all(d, p.vendor == q.vendor && d.sizeBytes > 0)))`: "cost",
		`1 / inventory.memory.dimms.size() == 1`: "division by zero",
	} {
		if err := e.Check(expression); err != nil {
			t.Errorf("control: %s: %v", expression, err)
		}
		if yes, err := e.Eval(expression, machine(), nil); yes || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %s", expression, yes, err, want)
		}
	}
}

// TestManyExpressions: the memory is bounded, and what was forgotten is compiled again; workers may share an evaluator.
func TestManyExpressions(t *testing.T) {
	e, m := newEvaluator(t), machine()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := range 600 {
				expression := fmt.Sprintf("inventory.cpus.size() + %d == %d", n+worker*300, n+worker*300+2)
				if yes, err := e.Eval(expression, m, nil); !yes || err != nil {
					t.Errorf("%s: %v, %v", expression, yes, err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkEval(b *testing.B) {
	e, m := newEvaluator(b), machine()
	for b.Loop() {
		if _, err := e.Eval(`inventory.pci.exists(p, p.vendor == "10de")`, m, nil); err != nil {
			b.Fatal(err)
		}
	}
}
