package allocate_test

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

// TestRequirements: ranges include their ends; the wanted text is in the message, and none means that it fits.
func TestRequirements(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		want metal.Requirements
		say  string
	}{
		"nothing wanted":          {},
		"arch":                    {metal.Requirements{Arch: "amd64"}, ""},
		"other arch":              {metal.Requirements{Arch: "arm64"}, "is amd64, and the class wants arm64"},
		"manufacturer":            {metal.Requirements{Manufacturer: "Dell*"}, ""},
		"other manufacturer":      {metal.Requirements{Manufacturer: "HPE*"}, `"Dell Inc."`},
		"manufacturer as a whole": {metal.Requirements{Manufacturer: "Dell"}, `wants "Dell"`},
		"product":                 {metal.Requirements{Product: "PowerEdge R6?[05]"}, ""},
		"other product":           {metal.Requirements{Product: "PowerEdge R7??"}, `"PowerEdge R650"`},
		"broken pattern":          {metal.Requirements{Product: "PowerEdge ["}, `wants "PowerEdge ["`},
		"cores at the least":      {metal.Requirements{Cores: countRange(32, -1)}, ""},
		"cores at the most":       {metal.Requirements{Cores: countRange(-1, 32)}, ""},
		"too few cores":           {metal.Requirements{Cores: countRange(33, -1)}, "32 cores, and the class wants at least 33"},
		"too many cores":          {metal.Requirements{Cores: countRange(0, 31)}, "wants 0 to 31"},
		"memory exactly":          {metal.Requirements{Memory: bytesRange("64Gi", "64Gi")}, ""},
		"too little memory":       {metal.Requirements{Memory: bytesRange("65Gi", "")}, "64Gi of memory, and the class wants at least 65Gi"},
		"too much memory":         {metal.Requirements{Memory: bytesRange("", "63Gi")}, "at most 63Gi"},
		"a disk":                  {metal.Requirements{Disks: []metal.DiskRequirement{{}}}, ""},
		"two of nvme":             {metal.Requirements{Disks: []metal.DiskRequirement{{Count: countRange(2, 2), Transports: []string{"nvme", "sas"}, Size: bytesRange("960G", "960G")}}}, ""},
		"three of nvme":           {metal.Requirements{Disks: []metal.DiskRequirement{{Count: countRange(3, -1), Transports: []string{"nvme"}}}}, "2 of its own disks fit disks[0] of the class, which wants at least 3"},
		"no nvme":                 {metal.Requirements{Disks: []metal.DiskRequirement{{Count: countRange(-1, 0), Transports: []string{"nvme"}}}}, "at most 0"},
		"a spinning one":          {metal.Requirements{Disks: []metal.DiskRequirement{{Rotational: &yes, Size: bytesRange("4T", "")}}}, ""},
		"a big solid one":         {metal.Requirements{Disks: []metal.DiskRequirement{{}, {Rotational: &no, Size: bytesRange("1T", "")}}}, "0 of its own disks fit disks[1]"},
		"a fast interface":        {metal.Requirements{NICs: []metal.NICRequirement{{MinSpeedMbps: 25000}}}, ""},
		"two fast interfaces":     {metal.Requirements{NICs: []metal.NICRequirement{{Count: countRange(2, -1), MinSpeedMbps: 10000}}}, "1 of its interfaces fit nics[0]"},
		"an expression":           {metal.Requirements{CEL: []string{"true"}}, ""},
		"an untrue expression":    {metal.Requirements{CEL: []string{"true", "false"}}, "cel[1] of the class is not true: false"},
	} {
		t.Run(name, func(t *testing.T) {
			c0 := available("s1")
			class := &metal.ServerClass{Spec: metal.ServerClassSpec{Requirements: c.want}}
			found := fit(class, c0.Server, c0.Inventory)
			if c.say == "" && len(found) > 0 || c.say != "" && (len(found) != 1 || found[0].Reason != reasons.RequirementUnmet || !strings.Contains(found[0].Message, c.say)) {
				t.Errorf("got %v; want %q", found, c.say)
			}
		})
	}
}

// TestFitTellsAll: every reason is told, not only the first.
func TestFitTellsAll(t *testing.T) {
	c := available("s1")
	class := &metal.ServerClass{Spec: metal.ServerClassSpec{
		Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{"rack": "r2"}},
		Requirements: metal.Requirements{Arch: "arm64", Cores: countRange(64, -1), CEL: []string{"broken"}},
	}}
	var got []string
	for _, r := range fit(class, c.Server, c.Inventory) {
		got = append(got, r.Reason)
	}
	want := []string{reasons.LabelsUnmet, reasons.RequirementUnmet, reasons.RequirementUnmet, reasons.InvalidClass}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v; want %v", got, want)
	}
	if got := fit(class, c.Server, nil); len(got) != 2 || got[1].Reason != reasons.NotRegistered {
		t.Errorf("without an inventory: %v", got)
	}
	class.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "rack", Operator: "Maybe"}}}
	if got := fit(class, c.Server, c.Inventory); got[0].Reason != reasons.InvalidClass {
		t.Errorf("with a broken selector: %v", got)
	}
}

// TestOwnDisks: only the server's own disks count, in the words of lifecycle.
func TestOwnDisks(t *testing.T) {
	class := &metal.ServerClass{Spec: metal.ServerClassSpec{Requirements: metal.Requirements{Disks: []metal.DiskRequirement{{Count: countRange(3, -1)}}}}}
	for name, change := range map[string]func(*metal.Server, *metal.Disk){
		"":              func(*metal.Server, *metal.Disk) {},
		"removable":     func(_ *metal.Server, d *metal.Disk) { d.Removable = true },
		"read-only":     func(_ *metal.Server, d *metal.Disk) { d.ReadOnly = true },
		"usb":           func(_ *metal.Server, d *metal.Disk) { d.Transport = "usb" },
		"fabric":        func(_ *metal.Server, d *metal.Disk) { d.Transport = "fc" },
		"unknown":       func(_ *metal.Server, d *metal.Disk) { d.Transport = "" },
		"nameless":      func(_ *metal.Server, d *metal.Disk) { d.WWID = "" },
		"two paths":     func(_ *metal.Server, d *metal.Disk) { d.WWID = "A" },
		"named ignored": func(s *metal.Server, _ *metal.Disk) { s.Spec.IgnoredDisks = []metal.DiskSelector{{WWID: "c"}} },
	} {
		c := available("s1")
		change(c.Server, &c.Inventory.Spec.Disks[2])
		if found := fit(class, c.Server, c.Inventory); (len(found) == 0) != (name == "") {
			t.Errorf("%q: %v", name, found)
		}
	}
	c := available("s1")
	c.Server.Spec.IgnoredDisks = []metal.DiskSelector{{}}
	if found := fit(class, c.Server, c.Inventory); len(found) > 0 {
		t.Errorf("an empty selector ignores: %v", found)
	}
}

func TestInvalid(t *testing.T) {
	check := func(e string) error {
		if e == "broken" {
			return errors.New("no such field")
		}
		return nil
	}
	maybe := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Maybe"}}}
	for want, spec := range map[string]metal.ServerClassSpec{
		"":                                 {Requirements: metal.Requirements{CEL: []string{"true"}, Product: "R6?5"}, AllowedEnvironments: []string{"a-*"}},
		"spec.selector":                    {Selector: maybe},
		"spec.allowedNamespaces.selector":  {AllowedNamespaces: &metal.NamespaceSelection{Selector: maybe}},
		`"R[": syntax error`:               {Requirements: metal.Requirements{Product: "R["}},
		`"e[": syntax error`:               {AllowedEnvironments: []string{"e["}},
		"requirements.cel[1]: no such fie": {Requirements: metal.Requirements{CEL: []string{"true", "broken"}}},
	} {
		got := allocate.Invalid(&metal.ServerClass{Spec: spec}, check)
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

func TestNamespaceAllowed(t *testing.T) {
	team := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	broken := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Maybe"}}}
	for name, c := range map[string]struct {
		who    *metal.NamespaceSelection
		labels map[string]string
		want   bool
	}{
		"absent":         {nil, nil, false},
		"all":            {&metal.NamespaceSelection{All: true}, nil, true},
		"named":          {&metal.NamespaceSelection{Names: []string{"x", "tenant"}}, nil, true},
		"not named":      {&metal.NamespaceSelection{Names: []string{"x"}}, nil, false},
		"selected":       {&metal.NamespaceSelection{Selector: team}, map[string]string{"team": "a"}, true},
		"not selected":   {&metal.NamespaceSelection{Selector: team}, map[string]string{"team": "b"}, false},
		"nobody":         {&metal.NamespaceSelection{}, nil, false},
		"broken":         {&metal.NamespaceSelection{Selector: broken}, map[string]string{"a": "b"}, false},
		"empty selector": {&metal.NamespaceSelection{Selector: &metav1.LabelSelector{}}, nil, true},
	} {
		class := &metal.ServerClass{Spec: metal.ServerClassSpec{AllowedNamespaces: c.who}}
		got, err := allocate.NamespaceAllowed(class, "tenant", func() (map[string]string, error) { return c.labels, nil })
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	class := &metal.ServerClass{Spec: metal.ServerClassSpec{AllowedNamespaces: &metal.NamespaceSelection{Selector: &metav1.LabelSelector{}}}}
	if yes, err := allocate.NamespaceAllowed(class, "tenant", func() (map[string]string, error) { return nil, errors.New("away") }); yes || err == nil {
		t.Errorf("the namespace cannot be read: %v, %v", yes, err)
	}
}
