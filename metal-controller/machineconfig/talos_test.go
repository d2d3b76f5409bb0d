package machineconfig_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machineconfig"
)

// facts are those of a server with four disks of its own and one that a person wants left alone.
func facts() machineconfig.Facts {
	disks := []metal.Disk{
		{Name: "sda", WWID: "naa.5001", Serial: "BIG1", Model: "HDD/4T", Transport: "sata", SizeBytes: 4e12, Rotational: true},
		{Name: "nvme0n1", WWID: "eui.02", Serial: "N2", Model: "FAST 2", Transport: "nvme", SizeBytes: 960e9},
		{Name: "nvme1n1", WWID: "eui.01", Serial: "N1", Model: "FAST 1", Transport: "nvme", SizeBytes: 960e9},
		{Name: "vda", WWID: "virtio.root", Serial: "root", Transport: "virtio", SizeBytes: 20e9},
		{Name: "sdb", WWID: "t10.ATA DISK KEEP", Serial: "KEEP", Model: "SMALL", Transport: "sata", SizeBytes: 8e9},
	}
	f := machineconfig.Facts{
		Class:     &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "large"}},
		Claim:     &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "web-0"}},
		Server:    &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "rack1-01"}},
		Inventory: &metal.ServerInventorySpec{Disks: disks},
	}
	f.Server.Spec.IgnoredDisks = []metal.DiskSelector{{Serial: "KEEP"}}
	for _, d := range disks {
		f.Server.Status.Disks = append(f.Server.Status.Disks, metal.DiskStatus{DiskID: metal.DiskID{WWID: d.WWID, Serial: d.Serial}, Name: d.Name, Verdict: metal.DiskOwn})
	}
	return f
}

func yes(b bool) *bool { return &b }

// shows are the lines of a preview of what was made, as document|path|value|origin.
func shows(t testing.TB, base string, f machineconfig.Facts) []string {
	t.Helper()
	r, err := machineconfig.Make([]byte(base), f)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, l := range machineconfig.Preview(r, true) {
		all = append(all, fmt.Sprintf("%s|%s|%s|%s", l.Document, l.Path, l.Value, l.Origin))
	}
	return all
}

// small is a config of Talos without anything that Ingot adds.
const small = "version: v1alpha1\nmachine:\n  type: worker\n"

// tells offers where a Talos tells how it fares.
func tells(f *machineconfig.Facts) {
	f.Events, f.KernelLog = "192.0.2.1:7447", "tcp://192.0.2.1:7448"
}

// TestAdditions: what Ingot adds, with its origin, and what people say in a patch wins over it.
func TestAdditions(t *testing.T) {
	for name, c := range map[string]addition{
		"by itself": {want: []string{
			`v1alpha1|machine.network.hostname|"rack1-01"|ingot, the server's name`, `v1alpha1|machine.kubelet.extraArgs.provider-id|"ingot://rack1-01"|ingot, the server's providerID`,
			`v1alpha1|machine.nodeLabels."metal.ingot.dev/server"|"rack1-01"|ingot, the server's place and class`, `v1alpha1|machine.nodeLabels."metal.ingot.dev/class"|"large"|ingot, the server's place and class`,
		}, never: "Callback"},
		"its place": {change: func(f *machineconfig.Facts) {
			f.Server.Spec.Location = &metal.Location{Site: "Berlin 1", Rack: "—", Unit: 7}
		}, want: []string{`v1alpha1|machine.nodeLabels."metal.ingot.dev/site"|"Berlin-1"|ingot, the server's place and class`, `v1alpha1|machine.nodeLabels."metal.ingot.dev/unit"|"7"|ingot, the server's place and class`}, never: "dev/rack"},
		"a name of the config stays": {base: small + "  network: {hostname: mine}\n", want: []string{`v1alpha1|machine.network.hostname|"mine"|secret`}},
		"unless the class says so": {base: small + "  network: {hostname: mine}\n", change: func(f *machineconfig.Facts) {
			f.Class.Spec.Talos = &metal.TalosSettings{Hostname: metal.HostnameServer}
		}, want: []string{`v1alpha1|machine.network.hostname|"rack1-01"|ingot, the server's name`}},
		"the claim's name": {change: func(f *machineconfig.Facts) {
			f.Class.Spec.Talos = &metal.TalosSettings{Hostname: metal.HostnameClaim}
		}, want: []string{`v1alpha1|machine.network.hostname|"web-0"|ingot, the claim's name`}},
		"no name":                    {change: func(f *machineconfig.Facts) { f.Class.Spec.Talos = &metal.TalosSettings{Hostname: metal.HostnameKeep} }, never: "hostname"},
		"a name in its own document": {base: small + "---\napiVersion: v1alpha1\nkind: HostnameConfig\nauto: stable\n", want: []string{`v1alpha1/HostnameConfig|hostname|"rack1-01"|ingot, the server's name`}, never: "auto"},
		"a name by a patch": {change: func(f *machineconfig.Facts) {
			f.Claim.Spec.Patches = []string{"apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: patched\n"}
		}, want: []string{`v1alpha1/HostnameConfig|hostname|"patched"|claim team/web-0, patch 1`}, never: "network.hostname"},
		"switches": {change: func(f *machineconfig.Facts) {
			f.Class.Spec.Talos = &metal.TalosSettings{KubeSpan: yes(true), KubePrism: yes(false), Discovery: yes(true)}
		}, want: []string{`v1alpha1|machine.network.kubespan.enabled|"true"|ingot, talos.kubeSpan of class large`, `v1alpha1|machine.features.kubePrism.enabled|"false"|ingot, talos.kubePrism of class large`, `v1alpha1|cluster.discovery.enabled|"true"|ingot, talos.discovery of class large`}},
		"switches that nobody set":   {base: small + "  features: {kubePrism: {enabled: true}}\n", change: func(f *machineconfig.Facts) { f.Class.Spec.Talos = &metal.TalosSettings{} }, want: []string{`v1alpha1|machine.features.kubePrism.enabled|"true"|secret`}, never: "kubespan"},
		"a mesh in its own document": {base: small + "---\napiVersion: v1alpha1\nkind: KubeSpanConfig\nenabled: false\n", change: func(f *machineconfig.Facts) { f.Class.Spec.Talos = &metal.TalosSettings{KubeSpan: yes(true)} }, want: []string{`v1alpha1/KubeSpanConfig|enabled|"true"|ingot, talos.kubeSpan of class large`}, never: "network.kubespan"},
		"the installer":              {base: small + "  install: {image: other}\n", change: func(f *machineconfig.Facts) { f.Installer = "factory.example/installer:v1.13.0" }, want: []string{`v1alpha1|machine.install.image|"factory.example/installer:v1.13.0"|ingot, the Environment's installer`}},
		"the disk": {base: small + "  install: {disk: /dev/sdq, wipe: false, diskSelector: {model: OLD}}\n", change: func(f *machineconfig.Facts) {
			f.Class.Spec.InstallDisk = &metal.InstallDisk{Transports: []string{"nvme"}}
		}, want: []string{`v1alpha1|machine.install.diskSelector.wwid|"eui.01"|ingot, installDisk of class large`, `v1alpha1|machine.install.wipe|"true"|ingot, installDisk of class large`}, never: "OLD"},
		"a disk by a patch": {change: func(f *machineconfig.Facts) {
			f.Class.Spec.InstallDisk = &metal.InstallDisk{Transports: []string{"nvme"}}
			f.Server.Spec.Patches = []string{"machine: {install: {disk: /dev/sda}}"}
		}, want: []string{`v1alpha1|machine.install.disk|"/dev/sda"|server rack1-01, patch 1`}, never: "diskSelector"},
		"the claim's disk": {change: func(f *machineconfig.Facts) {
			f.Class.Spec.InstallDisk, f.Claim.Spec.InstallDisk = &metal.InstallDisk{Serial: "N1"}, &metal.InstallDisk{Serial: "root"}
		}, want: []string{`v1alpha1|machine.install.diskSelector.serial|"root"|ingot, installDisk of claim team/web-0`}, never: "wwid"},
		"Talos by its Environment": {base: "machine: {type: worker}\n", change: func(f *machineconfig.Facts) { f.Talos = true }, want: []string{`v1alpha1|machine.network.hostname|"rack1-01"|ingot, the server's name`}, never: "Callback"},
		"another system":           {base: "machine: {type: worker}\n", change: func(f *machineconfig.Facts) { f.Class.Spec.InstallDisk = &metal.InstallDisk{Serial: "none"} }, want: []string{`v1alpha1|machine.type|"worker"|secret`}, never: "hostname"},
	} {
		t.Run(name, c.check)
	}
}

// TestTelling: a Talos learns where it tells how it fares, unless somebody says so otherwise, or wants that it does not.
func TestTelling(t *testing.T) {
	for name, c := range map[string]addition{
		"where it tells": {change: tells, want: []string{
			`v1alpha1/EventSinkConfig|endpoint|"192.0.2.1:7447"|ingot, Ingot's port for events`, `v1alpha1/KmsgLogConfig ingot|url|"tcp://192.0.2.1:7448"|ingot, Ingot's port for kernel logs`,
		}},
		"a sink of the config": {base: small + "---\napiVersion: v1alpha1\nkind: EventSinkConfig\nendpoint: mine:1\n", change: tells, want: []string{
			`v1alpha1/EventSinkConfig|endpoint|"mine:1"|secret`, `v1alpha1/KmsgLogConfig ingot|url|"tcp://192.0.2.1:7448"|ingot, Ingot's port for kernel logs`,
		}, never: "192.0.2.1:7447"},
		"a log by a patch": {change: func(f *machineconfig.Facts) {
			tells(f)
			f.Claim.Spec.Patches = []string{"apiVersion: v1alpha1\nkind: KmsgLogConfig\nname: mine\nurl: udp://mine:1\n"}
		}, want: []string{`v1alpha1/KmsgLogConfig mine|url|"udp://mine:1"|claim team/web-0, patch 1`, `v1alpha1/EventSinkConfig|endpoint|"192.0.2.1:7447"|ingot, Ingot's port for events`}, never: "192.0.2.1:7448"},
		"who wants none": {change: func(f *machineconfig.Facts) {
			tells(f)
			f.Class.Spec.Patches = []string{"apiVersion: v1alpha1\nkind: EventSinkConfig\n$patch: delete\n---\napiVersion: v1alpha1\nkind: KmsgLogConfig\nname: ingot\n$patch: delete\n"}
		}, never: "192.0.2.1"},
		"nowhere": {never: "EventSinkConfig"},
	} {
		t.Run(name, c.check)
	}
}

// addition is what Ingot adds to a config: small where base is empty.
type addition struct {
	base   string
	change func(*machineconfig.Facts)
	want   []string
	never  string
}

func (c addition) check(t *testing.T) {
	f := facts()
	if c.change != nil {
		c.change(&f)
	}
	if c.base == "" {
		c.base = small
	}
	got := shows(t, c.base, f)
	for _, w := range c.want {
		if !slices.Contains(got, w) {
			t.Errorf("there is no line %s", w)
		}
	}
	if all := strings.Join(got, "\n"); c.never != "" && strings.Contains(all, c.never) || t.Failed() {
		t.Errorf("%q in\n%s", c.never, all)
	}
}

// TestChoice: which disk a choice takes, or why it takes none.
func TestChoice(t *testing.T) {
	size := func(text string) *resource.Quantity { q := resource.MustParse(text); return &q }
	for name, c := range map[string]struct {
		choice metal.InstallDisk
		change func(*machineconfig.Facts)
		want   string
		err    string
	}{
		"smallest":         {choice: metal.InstallDisk{Prefer: metal.PreferSmallest}, want: `diskSelector.serial|"root"`},
		"largest":          {choice: metal.InstallDisk{Prefer: metal.PreferLargest}, want: `diskSelector.wwid|"naa.5001"`},
		"largest of two":   {choice: metal.InstallDisk{Prefer: metal.PreferLargest, Transports: []string{"nvme"}}, want: `diskSelector.wwid|"eui.01"`},
		"by WWID":          {choice: metal.InstallDisk{WWID: "EUI.02"}, want: `diskSelector.wwid|"eui.02"`},
		"by serial":        {choice: metal.InstallDisk{Serial: "N2"}, want: `diskSelector.wwid|"eui.02"`},
		"by model":         {choice: metal.InstallDisk{Model: "HDD*"}, want: `diskSelector.wwid|"naa.5001"`},
		"by kind":          {choice: metal.InstallDisk{Rotational: yes(true)}, want: `diskSelector.wwid|"naa.5001"`},
		"by size":          {choice: metal.InstallDisk{Size: &metal.QuantityRange{Min: size("500G"), Max: size("1T")}}, want: `diskSelector.wwid|"eui.01"`},
		"blanks":           {choice: metal.InstallDisk{Model: "SMALL"}, change: func(f *machineconfig.Facts) { f.Server.Spec.IgnoredDisks = nil }, want: `diskSelector.wwid|"t10.ATA*DISK*KEEP"`},
		"an ignored one":   {choice: metal.InstallDisk{Serial: "KEEP"}, err: "sdb (it is named in spec.ignoredDisks)"},
		"ignored just now": {choice: metal.InstallDisk{Serial: "N1"}, change: func(f *machineconfig.Facts) { f.Server.Spec.IgnoredDisks = []metal.DiskSelector{{Transport: "nvme"}} }, err: "nvme1n1 (it is named in spec.ignoredDisks)"},
		"a blocked one": {choice: metal.InstallDisk{Serial: "N1"}, change: func(f *machineconfig.Facts) {
			f.Server.Status.Disks[2].Verdict, f.Server.Status.Disks[2].Reason = metal.DiskBlocked, "it is shared"
		}, err: "nvme1n1 (it is shared)"},
		"one not judged":      {choice: metal.InstallDisk{Serial: "N1"}, change: func(f *machineconfig.Facts) { f.Server.Status.Disks = nil }, err: "nvme1n1 (Ingot has not judged it yet)"},
		"nothing fits":        {choice: metal.InstallDisk{Model: "NONE"}, err: "installDisk of class large: none of the server's disks can be taken: sda (another model)"},
		"a broken glob":       {choice: metal.InstallDisk{Model: "["}, err: "another model"},
		"no inventory":        {choice: metal.InstallDisk{Model: "*"}, change: func(f *machineconfig.Facts) { f.Inventory = nil }, err: "no inventory yet"},
		"no disks":            {choice: metal.InstallDisk{Model: "*"}, change: func(f *machineconfig.Facts) { f.Inventory.Disks = nil }, err: "it has none"},
		"one that has a twin": {choice: metal.InstallDisk{Serial: "N1"}, change: func(f *machineconfig.Facts) { f.Inventory.Disks[0].WWID = "eui.01" }, err: "cannot be told from others by its wwid"},
		"a star in another": {choice: metal.InstallDisk{Serial: "N1"}, change: func(f *machineconfig.Facts) {
			f.Inventory.Disks[2].WWID, f.Server.Status.Disks[2].WWID = "eui.*", "eui.*"
		}, err: "cannot be told"},
	} {
		f := facts()
		f.Class.Spec.InstallDisk = &c.choice
		if c.change != nil {
			c.change(&f)
		}
		r, err := machineconfig.Make([]byte(small), f)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v; want %q", name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if all := fmt.Sprint(machineconfig.Preview(r, true)); !strings.Contains(strings.Join(shows(t, small, f), "\n"), c.want) {
			t.Errorf("%s: no %s in %s", name, c.want, all)
		}
	}
	f := facts()
	f.Talos = true
	if _, err := machineconfig.Make([]byte("apiVersion: v1alpha1\nkind: X\n"), machineconfig.Facts{Class: f.Class, Claim: f.Claim, Server: f.Server, Talos: true}); err != nil {
		t.Error("what Ingot adds makes the document", err)
	}
}

// settings are any that a class can have.
func settings(t *rapid.T) *metal.TalosSettings {
	tri := func(name string) *bool {
		return rapid.SampledFrom([]*bool{nil, yes(true), yes(false)}).Draw(t, name)
	}
	return &metal.TalosSettings{
		Hostname: rapid.SampledFrom([]metal.HostnameSource{"", metal.HostnameServer, metal.HostnameClaim, metal.HostnameKeep}).Draw(t, "hostname"),
		KubeSpan: tri("kubeSpan"), KubePrism: tri("kubePrism"), Discovery: tri("discovery"),
	}
}

// TestPeopleWin: whatever class, claim and server patch comes out as it was patched, the last one's; and what Ingot adds to its own work changes nothing.
func TestPeopleWin(t *testing.T) {
	paths := []string{"machine.network.hostname", "machine.install.image", "machine.install.disk", "machine.kubelet.extraArgs.provider-id", "machine.features.kubePrism.enabled", "cluster.discovery.enabled", "machine.network.kubespan.enabled"}
	rapid.Check(t, func(t *rapid.T) {
		f := facts()
		f.Class.Spec.Talos, f.Class.Spec.InstallDisk, f.Installer = settings(t), &metal.InstallDisk{Prefer: metal.PreferLargest}, "installer:1"
		base := rapid.SampledFrom([]string{small, talos, small + "---\napiVersion: v1alpha1\nkind: KubeSpanConfig\nenabled: true\n"}).Draw(t, "base")
		path := rapid.SampledFrom(paths).Draw(t, "path")
		patch := "theirs"
		for _, key := range reversed(strings.Split(path, ".")) {
			patch = "{" + key + ": " + patch + "}"
		}
		into := rapid.SampledFrom([]*[]string{&f.Class.Spec.Patches, &f.Claim.Spec.Patches, &f.Server.Spec.Patches}).Draw(t, "into")
		plain, err := machineconfig.Make([]byte(base), f)
		if err != nil {
			t.Fatal(err)
		}
		again, err := machineconfig.Make(plain.Bytes(), f)
		if err != nil || !bytes.Equal(plain.Bytes(), again.Bytes()) {
			t.Fatalf("%v: once\n%s\ntwice\n%s", err, plain.Bytes(), again.Bytes())
		}
		*into = []string{patch}
		r, err := machineconfig.Make([]byte(base), f)
		if err != nil {
			t.Fatal(err)
		}
		var found, selector error = errors.New("it is not there"), nil
		for _, l := range machineconfig.Preview(r, true) {
			if l.Path == path && l.Value == `"theirs"` && !strings.HasPrefix(l.Origin, "ingot") {
				found = nil
			}
			if path == "machine.install.disk" && strings.HasPrefix(l.Path, "machine.install.diskSelector") {
				selector = errors.New("a selector goes before it")
			}
		}
		if err := errors.Join(found, selector); err != nil {
			t.Fatalf("%s: %v\n%s", patch, err, r.Bytes())
		}
	})
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

// FuzzMake: no base, patch or glob crashes it, and an ignored disk is never chosen.
func FuzzMake(f *testing.F) {
	f.Add([]byte(small), "machine: {install: {wipe: false}}", "SMALL", "KEEP")
	f.Add([]byte(talos), "[{op: add, path: /a/0/b}]", "[a-", "")
	f.Add([]byte("version: v1alpha1\nmachine: 1\n"), "machine: {install: [1]}", "*", "KEEP")
	f.Fuzz(func(t *testing.T, base []byte, patch, model, serial string) {
		in := facts()
		in.Class.Spec.InstallDisk = &metal.InstallDisk{Model: model, Serial: serial}
		in.Claim.Spec.Patches = []string{patch}
		r, err := machineconfig.Make(base, in)
		if err != nil {
			return
		}
		for _, l := range machineconfig.Preview(r, true) {
			if strings.Contains(l.Value, "KEEP") && strings.HasPrefix(l.Origin, "ingot") {
				t.Errorf("an ignored disk: %+v", l)
			}
		}
		machineconfig.Values(r.Bytes()).Hide("a text", "")
		machineconfig.Locate(r.Bytes(), len(patch))
	})
}
