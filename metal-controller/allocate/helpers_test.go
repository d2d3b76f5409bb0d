package allocate_test

import (
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

const here = "here"

var now = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))

// eval stands for CEL: an expression is `true`, `false` or broken.
func eval(expression string, _ *metal.ServerInventorySpec, _ map[string]string) (bool, error) {
	if expression != "true" && expression != "false" {
		return false, errors.New("it is broken")
	}
	return expression == "true", nil
}

func fit(c *metal.ServerClass, s *metal.Server, i *metal.ServerInventory) []allocate.Reason {
	return allocate.Fit(c, s, i, eval)
}

// available is a server that every claim of an open class may have.
func available(name string) allocate.Candidate {
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"rack": "r1"}}}
	s.Spec = metal.ServerSpec{Accepted: true, Record: &metal.ServerRecord{
		Acceptance: &metal.AcceptanceRecord{At: now}, Wipe: &metal.WipeRecord{VerifiedAt: &now}, ManagedBy: &metal.ManagedBy{Installation: here, Epoch: 1},
	}}
	s.Status.Conditions = []metav1.Condition{{Type: reasons.Ready, Status: metav1.ConditionTrue, Reason: reasons.Available}}
	i := &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerInventorySpec{
		Arch: "amd64", System: metal.SystemInfo{Manufacturer: "Dell Inc.", Product: "PowerEdge R650"}, CPUs: []metal.CPU{{Cores: 16}, {Cores: 16}},
		Memory: metal.Memory{TotalBytes: 64 << 30}, NICs: []metal.NIC{{Name: "eno1", SpeedMbps: 25000}, {Name: "eno2", SpeedMbps: 1000}},
		Disks: []metal.Disk{disk("a", "nvme", 960e9), disk("b", "nvme", 960e9), disk("c", "sata", 4e12)},
	}}
	i.Spec.Disks[2].Rotational = true
	return allocate.Candidate{Server: s, Inventory: i}
}

func disk(wwid, transport string, size int64) metal.Disk {
	return metal.Disk{Name: "d-" + wwid, WWID: wwid, Transport: transport, SizeBytes: size}
}

func request() allocate.Request {
	return allocate.Request{
		Claim:        &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "m1"}, Spec: metal.ServerClaimSpec{ClassName: "small"}},
		Class:        &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "small"}, Spec: metal.ServerClassSpec{EnvironmentRef: &metal.NameRef{Name: "talos"}}},
		Installation: here, Fit: fit,
		Environments: map[string]*metal.Environment{
			"talos": talos("amd64", "arm64"),
			"intel": {Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{Arch: "amd64"}}}},
		},
	}
}

// talos is an Environment of Talos whose files are pinned for some architectures.
func talos(pinned ...string) *metal.Environment {
	e := &metal.Environment{Spec: metal.EnvironmentSpec{Talos: &metal.TalosSource{Version: "v1.13.0", Architectures: []string{"amd64", "arm64"}}}}
	if len(pinned) > 0 {
		e.Status.Talos = &metal.TalosPin{Source: e.Spec.Talos.Source()}
	}
	for _, arch := range pinned {
		e.Status.Talos.Boot = append(e.Status.Talos.Boot, metal.BootAssets{Arch: arch})
	}
	return e
}

func bytesRange(least, most string) *metal.QuantityRange {
	return &metal.QuantityRange{Min: quantity(least), Max: quantity(most)}
}

func quantity(s string) *resource.Quantity {
	if s == "" {
		return nil
	}
	q := resource.MustParse(s)
	return &q
}

func countRange(least, most int32) *metal.CountRange {
	r := &metal.CountRange{}
	if least >= 0 {
		r.Min = &least
	}
	if most >= 0 {
		r.Max = &most
	}
	return r
}
