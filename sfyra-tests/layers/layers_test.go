// Package layers holds the test that keeps the house in shape: which package may import which, with the reason (DESIGN section 6).
package layers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "ingot.dev/ingot/"

// rule says that no package under from may reach, directly or not, a package under any of the prefixes in to.
type rule struct {
	from   string
	to     []string
	except []string
	reason string
}

// effects are the standard packages that a pure package has no use for.
var effects = []string{"os", "os/exec", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "syscall"}

// deep rules look at everything that is reached; shallow ones only at what is imported directly, since apimachinery itself reaches net and os.
var deep = []rule{
	{from: "crds", to: []string{module}, except: []string{module + "crds/"}, reason: "the API is a leaf that others build on"},
	{from: "crds", to: []string{"sigs.k8s.io/controller-runtime", "sigs.k8s.io/cluster-api", "k8s.io/client-go"}, reason: "layer 0 is data"},
	{from: "agent", to: []string{module + "metal-controller", module + "pxe-server", "k8s.io/"}, reason: "the agent runs on machines of strangers and stays small"},
	{from: "pxe-server", to: []string{module + "metal-controller", "k8s.io/"}, reason: "a site's boot server needs no Kubernetes"},
	{from: "boot-assets", to: []string{module + "metal-controller", module + "pxe-server", "k8s.io/"}, reason: "assets cross layers as io/fs.FS plus digest"},
	{from: "metal-controller/cli", to: []string{module + "metal-controller/lifecycle"}, reason: "the CLI shows conditions; it decides nothing"},
	{from: "metal-controller/signals", to: []string{module + "metal-controller/lifecycle", module + "metal-controller/sightings", module + "metal-controller/records"}, reason: "whatever anybody says there is no reason for anything"},
	{from: "metal-controller/machinelog", to: []string{"github.com/siderolabs", module + "metal-controller/lifecycle"}, reason: "the CLI reads it, and needs no Talos for that"},
	{from: "metal-controller/machineconfig", to: []string{"github.com/siderolabs"}, reason: "machine configs are merged without Talos' code, which is large and not pure"},
	{from: "agent", to: []string{"github.com/siderolabs"}, reason: "the agent runs on machines of strangers and stays small"},
	{from: "pxe-server", to: []string{"github.com/siderolabs"}, reason: "a site's boot server carries bytes, and knows no operating system"},
	{from: "metal-controller", to: []string{module + "sfyra-tests", "k8s.io/kubernetes"}, reason: "proof is not imported; k8s.io/kubernetes stays in its own module"},
	{
		from: "metal-controller", to: []string{module + "pxe-server"}, except: []string{module + "pxe-server/boot", module + "pxe-server/limits", module + "pxe-server/protocol"},
		reason: "the controller shares words and limits with a boot server; it is none",
	},
	{from: "pxe-server", to: []string{module + "sfyra-tests"}, reason: "proof is not imported"},
	{from: "agent", to: []string{module + "sfyra-tests"}, reason: "proof is not imported"},
	{from: "metal-controller/lifecycle", to: []string{module}, except: []string{module + "crds/", module + "metal-controller/lifecycle"}, reason: "a pure package imports only layer 0"},
	{from: "metal-controller/allocate", to: []string{module}, except: []string{module + "crds/", module + "metal-controller/allocate"}, reason: "a pure package imports only layer 0"},
	{from: "metal-controller/machineconfig", to: []string{module}, except: []string{module + "crds/", module + "metal-controller/machineconfig"}, reason: "a pure package imports only layer 0"},
	{from: "metal-controller/capability", to: []string{module}, except: []string{module + "metal-controller/capability"}, reason: "a pure package imports only layer 0"},
	{from: "pxe-server/boot", to: []string{module}, except: []string{module + "crds/", module + "pxe-server/boot"}, reason: "a pure package imports only layer 0"},
	{from: "boot-assets/catalog", to: []string{module}, except: []string{module + "boot-assets/catalog"}, reason: "a pure package imports only layer 0"},
	{from: "boot-assets/initramfs/cpio", to: []string{module}, except: []string{module + "boot-assets/initramfs/cpio"}, reason: "a pure package imports only layer 0"},
	{from: "sfyra-tests/guest", to: []string{module + "metal-controller", module + "pxe-server", "k8s.io/"}, reason: "the test OS is a customer's: it knows the contract and none of our code behind it"},
	{from: "sfyra-tests/guest/config", to: []string{module}, except: []string{module + "sfyra-tests/guest/config"}, reason: "a pure package imports only layer 0"},
	{from: "sfyra-tests/talos", to: []string{module + "metal-controller", module + "pxe-server", "k8s.io/", "github.com/siderolabs"}, reason: "the guest is Talos as it is: what it is made of stays in its nested modules, and it knows nothing of who boots it"},
	{from: "sfyra-tests/talos/preinit", to: []string{module}, except: []string{module + "sfyra-tests/talos/preinit", module + "agent/modules"}, reason: "the first program of a guest loads modules and nothing else"},
	{from: "agent/wipe/plan", to: []string{module}, except: []string{module + "agent/wipe/plan"}, reason: "a pure package imports only layer 0"},
}

var shallow = []rule{
	{from: "metal-controller/lifecycle", to: append([]string{"context", "k8s.io/client-go", "sigs.k8s.io", "github.com/go-logr"}, effects...), reason: "decisions are pure: no I/O, clock, randomness or logging"},
	{from: "metal-controller/allocate", to: append([]string{"context", "k8s.io/client-go", "sigs.k8s.io", "github.com/go-logr"}, effects...), reason: "which server a claim gets is decided purely; allocate/expr only remembers what it compiled"},
	{from: "metal-controller/reconcilers/claim", to: []string{module + "metal-controller"}, except: []string{module + "metal-controller/allocate", module + "metal-controller/reconcilers/claim"}, reason: "reconcilers meet through API objects, and binding needs nothing of lifecycle"},
	{from: "metal-controller/reconcilers/class", to: []string{module + "metal-controller"}, except: []string{module + "metal-controller/allocate", module + "metal-controller/reconcilers/class"}, reason: "reconcilers meet through API objects"},
	{from: "metal-controller/clusterapi", to: []string{module}, except: []string{module + "crds/", module + "metal-controller/allocate"}, reason: "it reads Cluster API's objects, and decides nothing"},
	{from: "metal-controller/reconcilers/ingotmachine", to: []string{module + "metal-controller"}, except: []string{module + "metal-controller/clusterapi"}, reason: "reconcilers meet through API objects: a machine knows its claim, and nothing of lifecycle"},
	{from: "metal-controller/reconcilers/ingotcluster", to: []string{module + "metal-controller"}, except: []string{module + "metal-controller/clusterapi"}, reason: "reconcilers meet through API objects"},
	{from: "metal-controller/reconcilers/ingottemplate", to: []string{module + "metal-controller"}, except: []string{module + "metal-controller/clusterapi"}, reason: "reconcilers meet through API objects"},
	{from: "metal-controller/machineconfig", to: append([]string{"context", "k8s.io", "sigs.k8s.io"}, effects...), reason: "the same patches make the same bytes: no I/O, clock, randomness or logging"},
	{from: "metal-controller/capability", to: append([]string{"context", "time"}, slices.DeleteFunc(slices.Clone(effects), func(e string) bool { return e == "log/slog" })...), reason: "a token rests on its key alone; log/slog only to hide that"},
	{from: "metal-controller/records", to: []string{module}, except: []string{module + "crds/"}, reason: "it reads and writes; it decides nothing"},
	{from: "pxe-server/boot", to: append([]string{"context"}, effects...), reason: "decisions are pure"},
	{from: "boot-assets/catalog", to: append([]string{"context"}, effects...), reason: "decisions are pure"},
	{from: "boot-assets/initramfs/cpio", to: append([]string{"context"}, effects...), reason: "writing bytes is pure"},
	{from: "sfyra-tests/guest/config", to: append([]string{"context"}, effects...), reason: "parsing is pure"},
	{from: "agent/wipe/plan", to: append([]string{"context", "golang.org/x/sys"}, effects...), reason: "decisions are pure"},
	{from: "agent/wipe", to: []string{module}, except: []string{module + "agent/wipe"}, reason: "adapters do not import each other; agent/main converts rows"},
	{from: "pxe-server/dhcp", to: []string{module}, except: []string{module + "pxe-server/leases", module + "pxe-server/limits", module + "pxe-server/packets", module + "pxe-server/dhcp"}, reason: "adapters do not import each other"},
	{from: "pxe-server/dhcp6", to: []string{module}, except: []string{module + "pxe-server/leases", module + "pxe-server/limits", module + "pxe-server/packets", module + "pxe-server/dhcp6"}, reason: "adapters do not import each other"},
	{from: "pxe-server/leases", to: []string{module}, reason: "what both DHCP servers keep knows neither of them"},
	{from: "pxe-server/tftp", to: []string{module}, except: []string{module + "pxe-server/limits", module + "pxe-server/packets", module + "pxe-server/tftp"}, reason: "adapters do not import each other"},
	{from: "pxe-server/httpboot", to: []string{module + "pxe-server"}, except: []string{module + "pxe-server/boot", module + "pxe-server/limits", module + "pxe-server/protocol", module + "pxe-server/httpboot"}, reason: "adapters do not import each other"},
	{from: "pxe-server/solicit", to: []string{module}, except: []string{module + "pxe-server/solicit"}, reason: "adapters do not import each other"},
	{from: "pxe-server/limits", to: []string{module}, reason: "what all ports share knows none of them"},
	{from: "pxe-server/packets", to: []string{module}, reason: "what all UDP servers share knows none of them"},
	{from: "agent/boot", to: []string{module}, except: []string{module + "agent/boot"}, reason: "adapters do not import each other"},
	{from: "agent/console", to: []string{module}, except: []string{module + "agent/console"}, reason: "adapters do not import each other"},
	{from: "agent/modules", to: []string{module}, except: []string{module + "agent/modules"}, reason: "adapters do not import each other"},
	{from: "agent/network", to: []string{module}, except: []string{module + "agent/network"}, reason: "adapters do not import each other"},
	{from: "agent/inventory", to: []string{module}, except: []string{module + "agent/inventory", module + "agent/protocol"}, reason: "adapters do not import each other"},
	{from: "agent/bmc", to: []string{module}, except: []string{module + "agent/bmc"}, reason: "adapters do not import each other; agent/main converts rows"},
	{from: "agent/session", to: []string{module}, except: []string{module + "agent/session", module + "agent/protocol"}, reason: "the session gets inventory and network from main"},
	{from: "boot-assets/cache", to: []string{module}, except: []string{module + "boot-assets/cache"}, reason: "adapters do not import each other"},
	{from: "boot-assets/blobs", to: []string{module}, except: []string{module + "boot-assets/cache", module + "boot-assets/web", module + "boot-assets/pace", module + "boot-assets/blobs"}, reason: "the cache of fetched files proves them as the store does, and knows no one else"},
	{from: "boot-assets/pace", to: []string{module}, reason: "what all parts share knows none of them"},
	{from: "boot-assets/web", to: []string{module}, except: []string{module + "boot-assets/web"}, reason: "adapters do not import each other"},
	{from: "boot-assets/factory", to: []string{module}, except: []string{module + "boot-assets/web", module + "boot-assets/factory"}, reason: "adapters do not import each other"},
	{from: "metal-controller/bmc", to: []string{module, "k8s.io/client-go", "sigs.k8s.io/controller-runtime"}, except: []string{module + "crds/", module + "metal-controller/bmc"}, reason: "the BMC plane writes no Kubernetes objects"},
	{from: "metal-controller/bmc/ipmi/sol", to: append([]string{module, "context"}, effects...), reason: "what a serial line says and hears is pure: no network, clock or randomness"},
	{from: "metal-controller/accounts", to: []string{module}, except: []string{module + "crds/", module + "metal-controller/bmc", module + "metal-controller/accounts"}, reason: "it keeps what it is told, and decides nothing"},
	{from: "metal-controller/passports", to: []string{module}, except: []string{module + "crds/", module + "metal-controller/lifecycle", module + "metal-controller/passports"}, reason: "it keeps what it is told, and decides nothing"},
	{from: "metal-controller/talos", to: []string{module, "k8s.io/client-go", "sigs.k8s.io/controller-runtime", "github.com/siderolabs/talos/pkg/machinery/config"}, except: []string{module + "crds/", module + "metal-controller/talos"}, reason: "it asks a machine and judges what it says; it reads and writes no Kubernetes objects"},
	{from: "metal-controller/signals", to: []string{module, "k8s.io/client-go", "sigs.k8s.io/controller-runtime/pkg/manager", "github.com/siderolabs/talos/pkg/machinery/config"}, except: []string{module + "crds/", module + "pxe-server/limits", module + "metal-controller/redact", module + "metal-controller/signals"}, reason: "adapters do not import each other; what is heard goes to an ear, and decides nothing"},
	{from: "metal-controller/redact", to: append([]string{module, "context"}, effects...), reason: "text in, text out"},
	{from: "metal-controller/machinelog", to: []string{module + "metal-controller"}, except: []string{module + "metal-controller/machinelog"}, reason: "what machines said is kept by who knows nothing else of them"},
	{from: "metal-controller/traces", to: []string{module, "k8s.io/client-go", "sigs.k8s.io"}, except: []string{module + "crds/", module + "metal-controller/traces"}, reason: "adapters do not import each other"},
	{from: "metal-controller/reconcilers/timeline", to: []string{module + "metal-controller"}, except: []string{module + "metal-controller/traces", module + "metal-controller/reconcilers/timeline"}, reason: "it looks at Servers, and decides nothing"},
	{from: "metal-controller/bootfiles", to: []string{module}, except: []string{module + "crds/", module + "pxe-server/boot", module + "metal-controller/bootfiles"}, reason: "adapters do not import each other"},
	{from: "metal-controller/networks", to: []string{module, "k8s.io/", "sigs.k8s.io"}, except: []string{module + "crds/reasons"}, reason: "adapters do not import each other"},
	{from: "metal-controller/disks", to: []string{module}, except: []string{module + "crds/", module + "metal-controller/identity", module + "metal-controller/disks"}, reason: "adapters do not import each other"},
	{from: "metal-controller/candidates", to: []string{module}, except: []string{module + "crds/", module + "metal-controller/identity", module + "metal-controller/candidates", module + "pxe-server/boot"}, reason: "adapters do not import each other"},
	{from: "metal-controller/taloscheck", to: []string{module, "k8s.io/client-go", "sigs.k8s.io"}, except: []string{module + "crds/", module + "metal-controller/machineconfig", module + "metal-controller/taloscheck"}, reason: "Talos' code stays behind one adapter, which judges bytes and reads nothing"},
	{from: "metal-controller/taloscluster", to: []string{module, "sigs.k8s.io/controller-runtime"}, except: []string{module + "metal-controller/taloscluster"}, reason: "it makes files for a new cluster, and keeps and reads nothing"},
	{from: "metal-controller/erase", to: []string{module}, except: []string{module + "crds/", module + "metal-controller/erase"}, reason: "an auditor's check needs nothing of the controller"},
	{from: "metal-controller/agentserver", to: []string{module + "metal-controller/reconcilers", module + "metal-controller/bootserver"}, reason: "orchestration meets through API objects"},
	{from: "metal-controller/bootserver", to: []string{module + "metal-controller/reconcilers", module + "metal-controller/agentserver"}, reason: "orchestration meets through API objects"},
	{from: "metal-controller/configserver", to: []string{module + "metal-controller/reconcilers", module + "metal-controller/agentserver", module + "metal-controller/bootserver"}, reason: "orchestration meets through API objects"},
	{from: "metal-controller/bootserver", to: []string{module + "metal-controller/configserver"}, reason: "orchestration meets through API objects"},
	{from: "metal-controller/agentserver", to: []string{module + "metal-controller/configserver"}, reason: "orchestration meets through API objects"},
	{from: "metal-controller/reconcilers", to: []string{module + "metal-controller/agentserver", module + "metal-controller/bootserver", module + "metal-controller/configserver"}, reason: "orchestration meets through API objects"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// TestLayers keeps the arrows of DESIGN section 6.
func TestLayers(t *testing.T) {
	packages := list(t, "../..")
	for _, r := range deep {
		for _, v := range violations(packages, r, func(p goPackage) []string { return p.Deps }) {
			t.Errorf("%s\n  %s", v, r.reason)
		}
	}
	for _, r := range shallow {
		for _, v := range violations(packages, r, func(p goPackage) []string { return p.Imports }) {
			t.Errorf("%s\n  %s", v, r.reason)
		}
	}
	t.Run("control: a forbidden arrow is noticed", func(t *testing.T) {
		r := rule{from: "crds", to: []string{"k8s.io/apimachinery"}}
		if len(violations(packages, r, func(p goPackage) []string { return p.Deps })) == 0 {
			t.Error("crds imports apimachinery, and the check did not see it")
		}
	})
}

// TestRulesNameWhatExists: a rule about a folder that is gone checks nothing.
func TestRulesNameWhatExists(t *testing.T) {
	for _, r := range slices.Concat(deep, shallow) {
		if _, err := os.Stat(filepath.Join("../..", r.from)); err != nil {
			t.Errorf("rule about %s: %v", r.from, err)
		}
	}
}

// TestModulesAgree keeps the Kubernetes and controller-runtime versions of the modules equal, so that they share a build cache and a behaviour.
func TestModulesAgree(t *testing.T) {
	root, nested := requirements(t, "../../go.mod"), requirements(t, "../../metal-controller/ingot/go.mod")
	shared := 0
	for path, version := range root {
		if !strings.HasPrefix(path, "k8s.io/") && path != "sigs.k8s.io/controller-runtime" {
			continue
		}
		if v, ok := nested[path]; ok && strings.HasPrefix(v, "v0.37") || path == "sigs.k8s.io/controller-runtime" {
			if shared++; v != version {
				t.Errorf("%s is %s in the root module and %q in metal-controller/ingot", path, version, v)
			}
		}
	}
	if shared == 0 {
		t.Error("the modules share no Kubernetes module: the check sees nothing")
	}
	if v, ok := root["k8s.io/kubernetes"]; ok {
		t.Errorf("the root module requires k8s.io/kubernetes %s", v)
	}
}

func violations(packages []goPackage, r rule, reach func(goPackage) []string) []string {
	var found []string
	for _, p := range packages {
		if !under(p.ImportPath, module+r.from) {
			continue
		}
		for _, d := range reach(p) {
			if slices.ContainsFunc(r.to, func(x string) bool { return under(d, x) }) && !slices.ContainsFunc(r.except, func(x string) bool { return under(d, x) }) {
				found = append(found, fmt.Sprintf("%s reaches %s", strings.TrimPrefix(p.ImportPath, module), d))
			}
		}
	}
	return found
}

// under is whether path is prefix or lies below it.
func under(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return path == prefix || !standard(prefix) && strings.HasPrefix(path, prefix+"/") // net/url is pure, net is not
}

// standard is whether a path is of the standard library: its first element has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func list(t *testing.T, dir string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// requirements reads the versions that a go.mod requires.
func requirements(t *testing.T, file string) map[string]string {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json", file)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, r := range mod.Require {
		versions[r.Path] = r.Version
	}
	return versions
}
