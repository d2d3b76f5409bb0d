// Package api tests Ingot's API on a real API server: validation, admission policies, columns and limits, as kubectl users meet them.
package api

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

// connect returns a client that asks for errors about unknown fields, as kubectl does.
func connect(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return client.WithFieldValidation(c, metav1.FieldValidationStrict)
}

// object reads one YAML document.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return o
}

// server is the YAML of a Server with this spec, indented by two.
func server(name, spec string) string {
	return "apiVersion: metal.ingot.dev/v1alpha1\nkind: Server\nmetadata: {name: " + name + "}\nspec:\n" + indent(spec)
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") + "\n"
}

// talos is the YAML of an Environment of Talos v1.13.0 with more fields.
func talos(name, more string) string {
	return "apiVersion: metal.ingot.dev/v1alpha1\nkind: Environment\nmetadata: {name: " + name + "}\nspec: {talos: {version: v1.13.0, " + more + "}}"
}

// said is what somebody says of an object; want is a part of the error that names the field, or empty when the object is good.
type said struct{ name, yaml, want string }

// TestServerValidation creates Servers.
func TestServerValidation(t *testing.T) {
	fp := strings.Repeat("ab", 32)
	judged(t, []said{
		{"a server needs nothing", server("v-plain", "{}"), ""},
		{"everything a person may say", server("v-full", "accepted: true\ncordoned: true\nbmc: {protocol: Redfish, endpoint: 10.0.0.7, port: 8443, credentialsSecret: bmc-1, tlsFingerprint: "+fp+", httpBootURI: 'http://10.0.0.2:7480/boot/v1/ipxe/snponly.efi'}\nidentity: {macs: ['52:54:00:00:00:01'], serial: S1, manufacturer: M, uuid: 11111111-2222-3333-4444-555555555555}\nbootMode: UEFI\nlocation: {site: ber1, rack: r1, unit: 7, powerFeed: A}\nenvironmentRef: {name: talos}\npatches: ['machine: {}']\npowerRequest: {id: a1, action: Cycle, requestedAt: '2026-01-01T00:00:00Z'}\nbmcSetup: Never\nbmcRequest: {id: b1, action: Rotate, requestedAt: '2026-01-01T00:00:00Z'}"), ""},
		{"an unknown field is refused, not dropped", server("v-unknown", "acepted: true"), `unknown field "spec.acepted"`},
		{"a name that fits no label", server(strings.Repeat("a", 64), "{}"), "at most 63 characters"},
		{"an endpoint with a scheme", server("v-scheme", "bmc: {endpoint: 'https://10.0.0.7', credentialsSecret: s}"), "host name or an IP address"},
		{"an endpoint with a password in it", server("v-userinfo", "bmc: {endpoint: 'root:pw@10.0.0.7', credentialsSecret: s}"), "host name or an IP address"},
		{"a BMC without credentials", server("v-nocred", "bmc: {endpoint: 10.0.0.7}"), "credentialsSecret"},
		{"credentials of another namespace", server("v-ns", "bmc: {endpoint: 10.0.0.7, credentialsSecret: s, credentialsNamespace: x}"), "unknown field"},
		{"a port out of range", server("v-port", "bmc: {endpoint: h, credentialsSecret: s, port: 70000}"), "spec.bmc.port"},
		{"a boot from elsewhere than the web", server("v-uri", "bmc: {endpoint: h, credentialsSecret: s, httpBootURI: 'tftp://10.0.0.2/x.efi'}"), "spec.bmc.httpBootURI"},
		{"an image by virtual media", server("v-media", "bmc: {protocol: Redfish, endpoint: h, credentialsSecret: s, virtualMediaURI: 'https://10.0.0.2/ingot.iso'}"), ""},
		{"an image from elsewhere than the web", server("v-medianfs", "bmc: {endpoint: h, credentialsSecret: s, virtualMediaURI: 'nfs://10.0.0.2/ingot.iso'}"), "spec.bmc.virtualMediaURI"},
		{"two ways to one boot", server("v-mediaboth", "bmc: {endpoint: h, credentialsSecret: s, httpBootURI: 'http://10.0.0.2/x.efi', virtualMediaURI: 'http://10.0.0.2/ingot.iso'}"), "set one of them"},
		{"virtual media of IPMI", server("v-mediaipmi", "bmc: {protocol: IPMI, endpoint: h, credentialsSecret: s, virtualMediaURI: 'http://10.0.0.2/ingot.iso'}"), "IPMI has no virtual media"},
		{"a boot URI with a password in it", server("v-uripw", "bmc: {endpoint: h, credentialsSecret: s, httpBootURI: 'http://root:"+"pw@10.0.0.2/x.efi'}"), "spec.bmc.httpBootURI"},
		{"a protocol nobody speaks", server("v-proto", "bmc: {endpoint: h, credentialsSecret: s, protocol: Telnet}"), "spec.bmc.protocol"},
		{"a MAC in capitals", server("v-mac", "identity: {macs: ['52:54:00:AA:00:01']}"), "spec.identity.macs"},
		{"an empty identity", server("v-ident", "identity: {}"), "spec.identity"},
		{"an identity twice", server("v-twice", "identity: {macs: ['52:54:00:00:00:01', '52:54:00:00:00:01']}"), "Duplicate"},
		{"a power request without an id", server("v-power", "powerRequest: {action: 'On', requestedAt: '2026-01-01T00:00:00Z'}"), "powerRequest.id"},
		{"an action that is none", server("v-action", "powerRequest: {id: a, action: Explode, requestedAt: '2026-01-01T00:00:00Z'}"), "powerRequest.action"},
		{"a BMC action that is none", server("v-bmcaction", "bmcRequest: {id: a, action: Explode, requestedAt: '2026-01-01T00:00:00Z'}"), "bmcRequest.action"},
		{"a date that is none", server("v-date", "powerRequest: {id: a, action: 'On', requestedAt: yesterday}"), "requestedAt"},
		{"a patch of a megabyte", server("v-big", "patches: ['"+strings.Repeat("x", 1<<20)+"']"), "may not be more than 65536"},
	})
}

// TestValidation creates all the other kinds.
func TestValidation(t *testing.T) {
	fp := strings.Repeat("ab", 32)
	judged(t, []said{
		{"a class with ranges", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-good}\nspec: {requirements: {cores: {min: 4, max: 8}, memory: {min: 64Gi}, disks: [{count: {min: 1}, size: {min: 100G, max: 2T}, transports: [nvme]}]}, allowedNamespaces: {all: true}}", ""},
		{"a range upside down", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-cores}\nspec: {requirements: {cores: {min: 8, max: 4}}}", "min is greater than max"},
		{"a quantity range upside down", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-mem}\nspec: {requirements: {memory: {min: 64Gi, max: 1Gi}}}", "min is greater than max"},
		{"namespaces selected twice", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-ns}\nspec: {allowedNamespaces: {all: true, names: [a]}}", "exactly one"},
		{"no trust at all", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-trust}\nspec: {minimumTrust: 5}", "minimumTrust"},
		{"a class with settings of Talos", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-talos}\nspec: {installDisk: {model: 'SAMSUNG*', transports: [nvme, sata], rotational: false, size: {min: 100G, max: 2T}, prefer: Largest}, talos: {hostname: Claim, kubeSpan: true, kubePrism: true, discovery: true}}", ""},
		{"switches that are off are not unset", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-off}\nspec: {talos: {kubeSpan: false, discovery: false}}", ""},
		{"a mesh without discovery", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-mesh}\nspec: {talos: {kubeSpan: true, discovery: false}}", "kubeSpan needs discovery"},
		{"a host name of nothing", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-host}\nspec: {talos: {hostname: Asset}}", "spec.talos.hostname"},
		{"an install disk of any kind", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-any}\nspec: {installDisk: {}}", "spec.installDisk"},
		{"an install disk with its sizes upside down", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-size}\nspec: {installDisk: {size: {min: 2T, max: 1T}}}", "min is greater than max"},
		{"an install disk by its place", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClass\nmetadata: {name: c-first}\nspec: {installDisk: {prefer: First}}", "spec.installDisk.prefer"},
		{"a claim that chooses its disk", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClaim\nmetadata: {name: m-disk, namespace: default}\nspec: {className: small, installDisk: {serial: S1}}", ""},
		{"a claim that chooses its disk by name", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClaim\nmetadata: {name: m-name, namespace: default}\nspec: {className: small, installDisk: {name: sda}}", "unknown field"},
		{"an environment of Talos", "apiVersion: metal.ingot.dev/v1alpha1\nkind: Environment\nmetadata: {name: e-talos}\nspec: {talos: {version: v1.13.0}}", ""},
		{"an environment of Talos in full", talos("e-talos-full", "schematic: 'customization: {}', factoryURL: 'https://factory.example.org:8443/talos', secureBoot: true, architectures: [amd64, arm64]"), ""},
		{"Talos whose files are named", talos("e-talos-named", "schematicID: "+fp+", boot: [{arch: amd64, uki: {url: 'http://x/u', sha256: "+fp+", sizeBytes: 7}}]"), ""},
		{"named files without a schematic id", talos("e-talos-noid", "boot: [{arch: amd64, uki: {url: 'http://x/u', sha256: "+fp+"}}]"), "boot needs schematicID"},
		{"named files and architectures", talos("e-talos-arch", "schematicID: "+fp+", architectures: [amd64], boot: [{arch: amd64, uki: {url: 'http://x/u', sha256: "+fp+"}}]"), "leave architectures out"},
		{"a schematic twice", talos("e-talos-two", "schematicID: "+fp+", schematic: 'customization: {}'"), "not both"},
		{"a version of none", "apiVersion: metal.ingot.dev/v1alpha1\nkind: Environment\nmetadata: {name: e-version}\nspec: {talos: {version: latest}}", "version"},
		{"an architecture of none", talos("e-talos-riscv", "architectures: [riscv64]"), "architectures"},
		{"an architecture twice", talos("e-talos-twice", "architectures: [amd64, amd64]"), "Duplicate"},
		{"a factory with a password in it", talos("e-talos-user", "factoryURL: 'https://user@factory.example.org'"), "factoryURL"},
		{"a factory with a query", talos("e-talos-query", "factoryURL: 'https://factory.example.org/?a=b'"), "factoryURL"},
		{"a factory on the server's own disk", talos("e-talos-file", "factoryURL: 'file:///etc'"), "factoryURL"},
		{"an environment of two minds", "apiVersion: metal.ingot.dev/v1alpha1\nkind: Environment\nmetadata: {name: e-two}\nspec: {talos: {version: v1.13.0}, boot: [{arch: amd64, uki: {url: 'http://x/u', sha256: " + fp + "}}]}", "exactly one of talos and boot"},
		{"an environment of nothing", "apiVersion: metal.ingot.dev/v1alpha1\nkind: Environment\nmetadata: {name: e-none}\nspec: {}", "exactly one of talos and boot"},
		{"an asset without its digest", "apiVersion: metal.ingot.dev/v1alpha1\nkind: Environment\nmetadata: {name: e-digest}\nspec: {boot: [{arch: amd64, uki: {url: 'http://x/u'}}]}", "sha256"},
		{"a source from the server's own disk", "apiVersion: metal.ingot.dev/v1alpha1\nkind: Environment\nmetadata: {name: e-file}\nspec: {boot: [{arch: amd64, uki: {url: 'file:///etc/shadow', sha256: " + fp + "}}]}", "url"},
		{"a kernel without initramfs", "apiVersion: metal.ingot.dev/v1alpha1\nkind: Environment\nmetadata: {name: e-kernel}\nspec: {boot: [{arch: amd64, kernel: {url: 'http://x/u', sha256: " + fp + "}}]}", "go together"},
		{"kernel arguments that break a script", "apiVersion: metal.ingot.dev/v1alpha1\nkind: Environment\nmetadata: {name: e-args}\nspec: {boot: [{arch: amd64, uki: {url: 'http://x/u', sha256: " + fp + "}, args: [\"a\\nb\"]}]}", "args"},
		{"a claim without a class", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClaim\nmetadata: {name: m, namespace: default}\nspec: {}", "className"},
		{"a claim", "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClaim\nmetadata: {name: m-good, namespace: default}\nspec: {className: small}", ""},
	})
}

// judged creates what is said.
func judged(t *testing.T, all []said) {
	t.Helper()
	c := connect(t, testapi.Config(t).AdminConfig)
	for _, tc := range all {
		t.Run(tc.name, func(t *testing.T) {
			err := c.Create(t.Context(), object(t, tc.yaml))
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && err == nil:
				t.Errorf("accepted; want an error with %q", tc.want)
			case tc.want != "" && !strings.Contains(err.Error(), tc.want):
				t.Errorf("error %q\nlacks %q", err, tc.want)
			}
		})
	}
}

// TestRecordIsIngots: nobody but Ingot writes spec.record, not even an administrator; each refusal has the same write by Ingot beside it.
func TestRecordIsIngots(t *testing.T) {
	admin, ingot := connect(t, testapi.Config(t).AdminConfig), connect(t, testapi.Config(t).ControllerConfig)
	record := "record: {managedBy: {installation: a, epoch: 1}, acceptance: {at: '2026-01-01T00:00:00Z', disks: [{wwid: w}]}}"
	forbidden(t, admin.Create(t.Context(), object(t, server("r-create", record))), "written only by Ingot")
	allowed(t, ingot.Create(t.Context(), object(t, server("r-create", record))))

	allowed(t, admin.Create(t.Context(), object(t, server("r-update", "{}"))))
	forbidden(t, patch(t, admin, "r-update", `{"spec":{"record":{"acceptance":{"at":"2026-01-01T00:00:00Z"}}}}`), "written only by Ingot")
	allowed(t, patch(t, ingot, "r-update", `{"spec":{"record":{"acceptance":{"at":"2026-01-01T00:00:00Z"}}}}`))
	forbidden(t, patch(t, admin, "r-update", `{"spec":{"record":null}}`), "written only by Ingot")
	allowed(t, patch(t, admin, "r-update", `{"spec":{"accepted":true}}`))
	allowed(t, patch(t, ingot, "r-update", `{"spec":{"record":null}}`))
}

// TestPowerRequestKeepsItsMeaning: an id names one wish; another wish under the same id could change what is under way.
func TestPowerRequestKeepsItsMeaning(t *testing.T) {
	c := connect(t, testapi.Config(t).AdminConfig)
	allowed(t, c.Create(t.Context(), object(t, server("p-same", "powerRequest: {id: a, action: 'On', requestedAt: '2026-01-01T00:00:00Z'}"))))
	if err := patch(t, c, "p-same", `{"spec":{"powerRequest":{"action":"Off"}}}`); err == nil || !strings.Contains(err.Error(), "needs a new id") {
		t.Errorf("changing the action under the same id: %v", err)
	}
	allowed(t, patch(t, c, "p-same", `{"spec":{"powerRequest":{"id":"b","action":"Off"}}}`))
	allowed(t, patch(t, c, "p-same", `{"spec":{"powerRequest":null}}`))
}

// TestInventoryIsIngots: an inventory is what the agent reported and nothing else.
func TestInventoryIsIngots(t *testing.T) {
	admin, ingot := connect(t, testapi.Config(t).AdminConfig), connect(t, testapi.Config(t).ControllerConfig)
	text := "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerInventory\nmetadata: {name: i1}\nspec: {arch: amd64, disks: [{name: sda, contents: Blank}]}"
	forbidden(t, admin.Create(t.Context(), object(t, text)), "written only by Ingot")
	allowed(t, ingot.Create(t.Context(), object(t, text)))
	o := object(t, text)
	forbidden(t, admin.Patch(t.Context(), o, merge(`{"spec":{"arch":"arm64"}}`)), "written only by Ingot")
	allowed(t, admin.Patch(t.Context(), object(t, text), merge(`{"metadata":{"labels":{"a":"b"}}}`)))
	allowed(t, ingot.Patch(t.Context(), object(t, text), merge(`{"spec":{"arch":"arm64"}}`)))
	moved := strings.ReplaceAll(strings.Replace(text, "i1", "i2", 1), "arch:", "agent: {bootID: b1}, arch:") // as clusterctl move brings it along
	allowed(t, admin.Create(t.Context(), object(t, moved)))
	forbidden(t, admin.Patch(t.Context(), object(t, moved), merge(`{"spec":{"arch":"arm64"}}`)), "written only by Ingot")
}

// TestBinding: a tenant cannot bind a foreign server, and a binding never changes, not even by Ingot.
func TestBinding(t *testing.T) {
	admin, ingot := connect(t, testapi.Config(t).AdminConfig), connect(t, testapi.Config(t).ControllerConfig)
	text := "apiVersion: metal.ingot.dev/v1alpha1\nkind: ServerClaim\nmetadata: {name: bind, namespace: default}\nspec: {className: small}"
	allowed(t, admin.Create(t.Context(), object(t, text)))
	forbidden(t, admin.Patch(t.Context(), object(t, text), merge(`{"spec":{"binding":{"server":"s1","bindingID":"b"}}}`)), "written only by Ingot")
	allowed(t, ingot.Patch(t.Context(), object(t, text), merge(`{"spec":{"binding":{"server":"s1","bindingID":"b"}}}`)))
	if err := ingot.Patch(t.Context(), object(t, text), merge(`{"spec":{"binding":{"server":"s2","bindingID":"b"}}}`)); err == nil || !strings.Contains(err.Error(), "immutable") {
		t.Errorf("changing a binding: %v", err)
	}
	if err := admin.Patch(t.Context(), object(t, text), merge(`{"spec":{"className":"big"}}`)); err == nil || !strings.Contains(err.Error(), "immutable") {
		t.Errorf("changing the class of a bound claim: %v", err)
	}
}

// TestLock: what is in use is not deleted by accident; clusterctl's move is exempt.
func TestLock(t *testing.T) {
	c := connect(t, testapi.Config(t).AdminConfig)
	locked := func(name, annotations string) *unstructured.Unstructured {
		o := object(t, server(name, "{}"))
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if err := c.Patch(t.Context(), o, merge(`{"metadata":{"annotations":`+annotations+`}}`)); err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := locked("l1", `{"metal.ingot.dev/lock":"claimed by default/m1"}`)
	forbidden(t, c.Delete(t.Context(), o), "claimed by default/m1")
	allowed(t, c.Patch(t.Context(), o, merge(`{"metadata":{"annotations":{"metal.ingot.dev/lock":null}}}`)))
	allowed(t, c.Delete(t.Context(), o))
	allowed(t, c.Delete(t.Context(), locked("l2", `{"metal.ingot.dev/lock":"x","clusterctl.cluster.x-k8s.io/delete-for-move":""}`)))
}

// TestReferencesHaveNoNamespace: a reference that names a namespace lets one tenant read another's Secrets (CVE-2024-43803 was such a one).
func TestReferencesHaveNoNamespace(t *testing.T) {
	c := connect(t, testapi.Config(t).AdminConfig)
	crds := &unstructured.UnstructuredList{}
	crds.SetAPIVersion("apiextensions.k8s.io/v1")
	crds.SetKind("CustomResourceDefinitionList")
	if err := c.List(t.Context(), crds); err != nil {
		t.Fatal(err)
	}
	kinds := 0
	for _, crd := range crds.Items {
		if !strings.HasSuffix(crd.GetName(), ".metal.ingot.dev") {
			continue
		}
		kinds++
		for _, path := range named(crd.Object, "namespace", "") {
			if !recordsOfClaims.MatchString(path) { // Ingot's own record of who claimed, and who gave back
				t.Errorf("%s has a field %s", crd.GetName(), path)
			}
		}
	}
	if kinds != 5 {
		t.Errorf("saw %d kinds, not 5", kinds)
	}
}

// recordsOfClaims are the places of Ingot's record that name a claim.
var recordsOfClaims = regexp.MustCompile(`\.record\.properties\.(claim|claim\.properties\.reused|release)\.properties\.namespace$`)

// named lists the paths of properties with this name.
func named(v any, name, path string) []string {
	var found []string
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if k == name && strings.HasSuffix(path, ".properties") {
				found = append(found, path+"."+k)
			}
			found = append(found, named(x, name, path+"."+k)...)
		}
	case []any:
		for i, x := range v {
			found = append(found, named(x, name, fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	return found
}

func patch(t *testing.T, c client.Client, name, body string) error {
	t.Helper()
	return c.Patch(t.Context(), object(t, server(name, "{}")), merge(body))
}

func allowed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("refused: %v", err)
	}
}

func forbidden(t *testing.T, err error, part string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), part) {
		t.Errorf("want Forbidden with %q, got %v", part, err)
	}
}

func merge(body string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(body)) }
