package taloscheck_test

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machineconfig"
	"ingot.dev/ingot/metal-controller/taloscheck"
	"ingot.dev/ingot/metal-controller/taloscheck/talosconfigtest"
)

// canary is a value that no message may hold.
const canary = "canary-5f0c2a"

func check(t testing.TB, base []byte, patches ...string) error {
	t.Helper()
	var all []machineconfig.Patch
	for _, p := range patches {
		all = append(all, machineconfig.Patch{Origin: "p", YAML: p})
	}
	r, err := machineconfig.Build(base, all)
	if err != nil {
		t.Fatal(err)
	}
	return taloscheck.Check(taloscheck.Request{Config: r.Bytes()})
}

// TestCheck: what Talos takes passes, and what it refuses is named by document, path and cause, without values. Each refusal is one patch away from the control.
func TestCheck(t *testing.T) {
	for _, kind := range []string{"worker", "controlplane"} {
		base := talosconfigtest.Generate(t, kind)
		if err := check(t, base); err != nil {
			t.Fatalf("control: a %s of Talos' own tools: %v", kind, err)
		}
		for patch, want := range map[string][]string{
			"machine: {instal: {disk: " + canary + "}}":                                               {"v1alpha1", "machine.instal.disk", "no field"},
			"machine: {network: {interfaces: [{interfaces_: " + canary + "}]}}":                       {"v1alpha1", "machine.network.interfaces[].interfaces_"},
			"machine: {install: {wipe: " + canary + "}}":                                              {"v1alpha1", "machine.install.wipe", "is a text", "true or false"},
			"machine: {sysctls: {$patch: delete}}\n---\nmachine: {sysctls: [" + canary + "]}":         {"v1alpha1", "machine.sysctls", "is a list"},
			"machine: {install: {wipe: " + canary + "}, time: {disabled: " + canary + "}}":            {"machine.install.wipe is a text"},
			"machine: {type: " + canary + "}":                                                         {"unknown machine type"},
			"machine: {ca: {$patch: delete}}":                                                         {".machine.ca"},
			"machine: {install: {disk: {$patch: delete}}}":                                            {"either install disk or diskSelector should be defined"},
			"machine: {install: {diskSelector: {size: " + canary + "}}}":                              {"v1alpha1", "machine.install.diskSelector"},
			"machine: {install: {diskSelector: {type: " + canary + "}}}":                              {"v1alpha1", "install disk selector is invalid"},
			"machine: {network: {kubespan: {enabled: true}}}\ncluster: {discovery: {enabled: false}}": {".cluster.discovery should be enabled"},
			"machine: {nodeLabels: {a: '" + canary + " !'}}":                                          {"invalid machine node labels"},
			"apiVersion: v1alpha1\nkind: " + strings.ReplaceAll(canary, "-", "") + "\n":               {"knows no such kind"},
			"apiVersion: ingot.dev/v1alpha1\nkind: Callback\nurl: " + canary + "\n":                   {"ingot.dev/v1alpha1/Callback", "knows no such kind"},
			"apiVersion: v1alpha1\nkind: LinkConfig\nname: eth0\nmtu: " + canary:                      {"v1alpha1/LinkConfig eth0", "mtu", "is a text"},
			"apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: " + canary + "\n":                  {"HostnameConfig", "cannot be set at the same time"},
			"apiVersion: v1alpha1\nkind: EventSinkConfig\nendpoint: '" + canary + "'":                 {"EventSinkConfig"},
		} {
			err := check(t, base, strings.Split(patch, "\n---\nmachine")[0])
			if strings.Contains(patch, "---\nmachine") {
				parts := strings.SplitN(patch, "\n---\n", 2)
				err = check(t, base, parts[0], parts[1])
			}
			if err == nil {
				t.Errorf("%s: nothing is said of\n%s", kind, patch)
				continue
			}
			for _, w := range want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%s: %v\nlacks %q for\n%s", kind, err, w, patch)
				}
			}
			if strings.Contains(err.Error(), "canary") && !strings.Contains(patch, "kind: canary") {
				t.Errorf("%s: a value is shown: %v", kind, err)
			}
		}
	}
}

// TestNoValueIsShown puts something wrong in the place of each value of a real config, one after another, and nothing of it shows.
func TestNoValueIsShown(t *testing.T) {
	base := talosconfigtest.Generate(t, "controlplane")
	refused := 0
	for _, wrong := range []string{canary, "[" + canary + "]", "{" + canary + ": " + canary + "}", "'" + canary + "/: \" x'", "\"a\\n" + canary + "\\n\"", "https://me:" + canary + "@x y/"} {
		for n := range scalars(t, base) {
			err := taloscheck.Check(taloscheck.Request{Config: withWrong(t, base, n, wrong)})
			if err == nil {
				continue
			}
			refused++
			if strings.Contains(err.Error(), canary[:7]) && !strings.HasPrefix(wrong, "{") || strings.Contains(err.Error(), ": "+canary) || len(err.Error()) > 1500 {
				t.Errorf("value %d as %s: %v", n, wrong, err)
			}
		}
	}
	if refused < 100 {
		t.Errorf("control: only %d of the wrong configs were refused", refused)
	}
}

// scalars are the values of a stream.
func scalars(t testing.TB, stream []byte) (all []*yaml.Node) {
	t.Helper()
	for _, d := range documents(t, stream) {
		all = append(all, leaves(d)...)
	}
	return all
}

func leaves(n *yaml.Node) (all []*yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		return []*yaml.Node{n}
	}
	for i, c := range n.Content {
		// What a document is known by is shown, to say which one is meant.
		if n.Kind != yaml.MappingNode || i%2 == 1 && n.Content[i-1].Value != "apiVersion" && n.Content[i-1].Value != "kind" {
			all = append(all, leaves(c)...)
		}
	}
	return all
}

func documents(t testing.TB, stream []byte) (all []*yaml.Node) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(string(stream)))
	for {
		var n yaml.Node
		if d.Decode(&n) != nil {
			return all
		}
		all = append(all, &n)
	}
}

// withWrong is the stream with one value replaced.
func withWrong(t testing.TB, stream []byte, nth int, wrong string) []byte {
	t.Helper()
	var replacement yaml.Node
	if err := yaml.Unmarshal([]byte(wrong), &replacement); err != nil {
		t.Fatal(err)
	}
	all := documents(t, stream)
	var flat []*yaml.Node
	for _, d := range all {
		flat = append(flat, leaves(d)...)
	}
	*flat[nth] = *replacement.Content[0]
	var out strings.Builder
	e := yaml.NewEncoder(&out)
	for _, d := range all {
		if err := e.Encode(d); err != nil {
			t.Fatal(err)
		}
	}
	return []byte(out.String())
}

// disks are what a server has: two that are its own, one of them on virtio, and one that a person wants left alone.
var disks = []metal.Disk{
	{Name: "nvme0n1", WWID: "eui.0001", Serial: "N1", Model: "FAST 1", Transport: "nvme", SizeBytes: 480e9},
	{Name: "sda", WWID: "naa.5000", Serial: "S1", Model: "BIG 1", Transport: "sata", SizeBytes: 4e12, Rotational: true},
	{Name: "sdb", WWID: "naa.6000", Serial: "KEEP1", Model: "BIG 2", Transport: "sata", SizeBytes: 4e12, Rotational: true},
	{Name: "vda", WWID: "virtio.V1", Serial: "V1", Transport: "virtio", SizeBytes: 8e9},
}

// TestDisks: nothing that Talos would install on is another disk than the server's own, whoever wrote it.
func TestDisks(t *testing.T) {
	base := talosconfigtest.Generate(t, "worker")
	server := &metal.Server{Spec: metal.ServerSpec{IgnoredDisks: []metal.DiskSelector{{Serial: "KEEP1"}}}}
	for _, d := range disks {
		server.Status.Disks = append(server.Status.Disks, metal.DiskStatus{DiskID: metal.DiskID{WWID: d.WWID, Serial: d.Serial}, Name: d.Name, Verdict: metal.DiskOwn})
	}
	for install, want := range map[string]string{
		"disk: /dev/sda":                                        "",
		"disk: /dev/nvme0n1":                                    "",
		"disk: /dev/sdz":                                        "", // Talos says what it finds
		"disk: /dev/sdb":                                        "is the disk sdb, which Ingot gives to no installer: it is named in spec.ignoredDisks",
		"disk: /dev/disk/by-id/ata-BIG_2_KEEP1":                 "is the disk sdb",
		"disk: /dev/disk/by-id/wwn-6000":                        "is the disk sdb",
		"disk: /dev/disk/by-id/ata-BIG_1_S1":                    "",
		"diskSelector: {wwid: naa.5000}":                        "",
		"diskSelector: {wwid: 'naa.*'}":                         "fits the disk sdb",
		"diskSelector: {wwid: naa.6000}":                        "fits the disk sdb",
		"diskSelector: {size: '>= 1TB'}":                        "fits the disk sdb",
		"diskSelector: {size: '>= 1TB', model: 'BIG  1'}":       "",
		"diskSelector: {type: nvme}":                            "",
		"diskSelector: {type: hdd}":                             "fits the disk sdb",
		"diskSelector: {serial: V1}":                            "",
		"diskSelector: {wwid: virtio.V1}":                       "fits none of the server's disks",
		"diskSelector: {model: NONE}":                           "fits none of the server's disks",
		"diskSelector: {busPath: '/pci0000:00/*'}":              "fits the disk sdb",
		"diskSelector: {busPath: '/pci0000:00/*', model: NONE}": "",
		"diskSelector: {busPath: '/pci0000:00/*', type: nvme}":  "",
	} {
		r, err := machineconfig.Build(base, []machineconfig.Patch{{Origin: "p", YAML: "machine: {install: {" + install + "}}"}})
		if err != nil {
			t.Fatal(err)
		}
		err = taloscheck.Check(taloscheck.Request{Config: r.Bytes(), Version: "v1.13.0", Server: server, Inventory: &metal.ServerInventorySpec{Disks: disks}})
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", install, err, want)
		}
		// A later Talos' config may hold anything, but an ignored disk stays one.
		later := append(r.Bytes(), "---\napiVersion: v1alpha1\nkind: Later\n"...)
		err = taloscheck.Check(taloscheck.Request{Config: later, Version: "v1.14.0", Server: server, Inventory: &metal.ServerInventorySpec{Disks: disks}})
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s, of a later Talos: %v; want %q", install, err, want)
		}
	}
}

// TestVersions: a config for a Talos of a later minor release is not judged by an older one's code; any other is.
func TestVersions(t *testing.T) {
	for version, covered := range map[string]bool{"": true, "v1.13.0": true, "v1.13.9": true, "v1.9.0": true, "v1.14.0": false, "v1.14.0-beta.1": false, "v2.0.0": false, "what": true} {
		err := taloscheck.Check(taloscheck.Request{Config: []byte("machine: {}\n"), Version: version})
		if taloscheck.Covers(version) != covered || (err != nil) != covered {
			t.Errorf("%q: covered %v, %v", version, taloscheck.Covers(version), err)
		}
	}
	module, err := os.ReadFile("../../go.mod")
	if err != nil || !strings.Contains(string(module), "github.com/siderolabs/talos/pkg/machinery "+taloscheck.Version+"\n") {
		t.Errorf("the code that checks is not of %s: %v", taloscheck.Version, err)
	}
}

// FuzzCheck: no config crashes it, and no message is longer than it may be.
func FuzzCheck(f *testing.F) {
	for _, kind := range []string{"worker", "controlplane"} {
		f.Add(talosconfigtest.Generate(f, kind))
	}
	for _, seed := range []string{"machine: {}", "version: v1alpha1", "machine: {network: null, install: {diskSelector: {size: '>'}}}", "apiVersion: v1alpha1\nkind: KubeSpanConfig\nenabled: true\n---\nmachine: {type: worker}\ncluster: {id: a, secret: b}", "a: [", "apiVersion: v1alpha1\nkind: SideroLinkConfig"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		r, err := machineconfig.Build(config, nil)
		if err != nil {
			return
		}
		if err := taloscheck.Check(taloscheck.Request{Config: r.Bytes(), Server: &metal.Server{}, Inventory: &metal.ServerInventorySpec{Disks: disks}}); err != nil && len([]rune(err.Error())) > 2000 {
			t.Errorf("%d bytes: %v", len(err.Error()), err)
		}
	})
}
