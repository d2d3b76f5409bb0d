package api

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

const infrastructure = "infrastructure.cluster.x-k8s.io"

// infraKinds are the kinds of Cluster API's contract, with whether they have a status.
var infraKinds = map[string]bool{
	"ingotclusters": true, "ingotclustertemplates": false, "ingotmachines": true, "ingotmachinetemplates": true, "ingotremediations": true, "ingotremediationtemplates": false,
}

// infra is the YAML of an object of ours for Cluster API.
func infra(kind, namespace, name, spec string) string {
	return "apiVersion: " + infrastructure + "/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: " + namespace + "}\nspec:\n" + indent(spec)
}

// TestContractOfTheCRDs: what Cluster API and clusterctl look for in the CRDs, by rules of the contract v1beta2.
func TestContractOfTheCRDs(t *testing.T) {
	c := connect(t, testapi.Config(t).AdminConfig)
	for plural, hasStatus := range infraKinds {
		crd := &unstructured.Unstructured{}
		crd.SetAPIVersion("apiextensions.k8s.io/v1")
		crd.SetKind("CustomResourceDefinition")
		if err := c.Get(t.Context(), client.ObjectKey{Name: plural + "." + infrastructure}, crd); err != nil {
			t.Fatalf("the name that the contract computes: %v", err)
		}
		want := map[string]string{"cluster.x-k8s.io/v1beta2": "v1alpha1", "cluster.x-k8s.io/provider": "infrastructure-ingot", "clusterctl.cluster.x-k8s.io": ""}
		if got := crd.GetLabels(); !maps.Equal(got, want) {
			t.Errorf("%s has the labels %v, not %v", plural, got, want)
		}
		scope, _, _ := unstructured.NestedString(crd.Object, "spec", "scope")
		list, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "listKind")
		kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		categories, _, _ := unstructured.NestedStringSlice(crd.Object, "spec", "names", "categories")
		if scope != "Namespaced" || list != kind+"List" || strings.ToLower(kind)+"s" != plural || len(categories) != 1 || categories[0] != "cluster-api" {
			t.Errorf("%s: scope %s, kind %s, list %s, categories %v", plural, scope, kind, list, categories)
		}
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		v := versions[0].(map[string]any)
		if _, ok, _ := unstructured.NestedMap(v, "subresources", "status"); len(versions) != 1 || v["name"] != "v1alpha1" || v["storage"] != true || ok != hasStatus {
			t.Errorf("%s: versions %v", plural, versions)
		}
	}
}

// TestInfrastructureValidation is TestValidation for these kinds.
func TestInfrastructureValidation(t *testing.T) {
	c, ns := connect(t, testapi.Config(t).AdminConfig), testapi.Namespace(t)
	for _, tc := range []struct{ name, yaml, want string }{
		{"a cluster needs nothing", infra("IngotCluster", ns, "c1", "{}"), ""},
		{"a cluster in full", infra("IngotCluster", ns, "c2", "controlPlaneEndpoint: {host: api.example.org, port: 6443}\nfailureDomainKey: rack\ncontrolPlaneSpread: {key: rack, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}"), ""},
		{"an endpoint of nothing", infra("IngotCluster", ns, "c3", "controlPlaneEndpoint: {}"), "controlPlaneEndpoint"},
		{"a port that is none", infra("IngotCluster", ns, "c4", "controlPlaneEndpoint: {host: a, port: 70000}"), "port"},
		{"a spread over nothing", infra("IngotCluster", ns, "c5", "controlPlaneSpread: {maxSkew: 1}"), "key"},
		{"a spread that cannot be", infra("IngotCluster", ns, "c6", "controlPlaneSpread: {key: rack, maxSkew: 0}"), "maxSkew"},
		{"a machine", infra("IngotMachine", ns, "m1", "className: small"), ""},
		{"a machine in full", infra("IngotMachine", ns, "m2", "className: small\nserverName: s1\nenvironmentName: talos\npatches: ['machine: {}']\ninstallDisk: {prefer: Largest}"), ""},
		{"a machine without a class", infra("IngotMachine", ns, "m3", "serverName: s1"), "className"},
		{"a template of machines", infra("IngotMachineTemplate", ns, "t1", "template: {metadata: {labels: {a: b}}, spec: {className: small}}"), ""},
		{"a template of one server", infra("IngotMachineTemplate", ns, "t2", "template: {spec: {className: small, serverName: s1}}"), "neither a server nor a providerID"},
		{"a template of one node", infra("IngotMachineTemplate", ns, "t3", "template: {spec: {className: small, providerID: 'ingot://s1'}}"), "neither a server nor a providerID"},
		{"a template of clusters", infra("IngotClusterTemplate", ns, "t4", "template: {spec: {controlPlaneEndpoint: {host: api.example.org}}}"), ""},
		{"a remediation needs nothing", infra("IngotRemediation", ns, "r1", "{}"), ""},
		{"a remediation in full", infra("IngotRemediation", ns, "r2", "strategy: {type: PowerCycle, retries: 3, timeoutSeconds: 60}"), ""},
		{"more cycles than an hour has", infra("IngotRemediation", ns, "r3", "strategy: {retries: 4}"), "retries"},
		{"a remedy that nobody knows", infra("IngotRemediation", ns, "r4", "strategy: {type: Reinstall}"), "type"},
		{"no time at all", infra("IngotRemediation", ns, "r5", "strategy: {timeoutSeconds: 0}"), "timeoutSeconds"},
		{"a template of remediations", infra("IngotRemediationTemplate", ns, "r6", "template: {spec: {strategy: {retries: 0}}}"), ""},
		{"a template of nothing", infra("IngotClusterTemplate", ns, "t5", "{}"), "template"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := c.Create(t.Context(), object(t, tc.yaml))
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v does not speak of %q", err, tc.want)
			}
		})
	}
}

// TestMachinesStay: what a machine asks for never changes, and a providerID is given once.
func TestMachinesStay(t *testing.T) {
	c, ns := connect(t, testapi.Config(t).AdminConfig), testapi.Namespace(t)
	m := object(t, infra("IngotMachine", ns, "m", "className: small"))
	if err := c.Create(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	patch := func(spec string) error {
		return c.Patch(t.Context(), m.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`)))
	}
	if err := patch(`{"providerID":"ingot://s1"}`); err != nil {
		t.Fatalf("control: giving a providerID: %v", err)
	}
	for _, spec := range []string{
		`{"providerID":"ingot://s2"}`, `{"providerID":null}`, `{"className":"big"}`, `{"serverName":"s1"}`, `{"environmentName":"e"}`, `{"patches":["a: b"]}`, `{"installDisk":{"prefer":"Largest"}}`,
	} {
		if err := patch(spec); !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v, want invalid", spec, err)
		}
	}
}

// TestTemplatesStay: a template never changes, but for a dry run of the topology controller, which stores nothing; and its labels and status may.
func TestTemplatesStay(t *testing.T) {
	c, ns := connect(t, testapi.Config(t).AdminConfig), testapi.Namespace(t)
	for _, tc := range []struct{ kind, spec, change string }{
		{"IngotMachineTemplate", "template: {spec: {className: small}}", `{"template":{"spec":{"className":"big"}}}`},
		{"IngotClusterTemplate", "template: {spec: {failureDomainKey: rack}}", `{"template":{"spec":{"failureDomainKey":"row"}}}`},
		{"IngotRemediationTemplate", "template: {spec: {strategy: {retries: 1}}}", `{"template":{"spec":{"strategy":{"retries":2}}}}`},
	} {
		o := object(t, infra(tc.kind, ns, "stay", tc.spec))
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		patch := func(annotated, dry bool) error {
			annotations := `{}`
			if annotated {
				annotations = `{"annotations":{"topology.cluster.x-k8s.io/dry-run":""}}`
			}
			var opts []client.PatchOption
			if dry {
				opts = append(opts, client.DryRunAll)
			}
			return c.Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":`+annotations+`,"spec":`+tc.change+`}`)), opts...)
		}
		if err := patch(true, true); err != nil {
			t.Errorf("%s: a dry run of the topology controller: %v", tc.kind, err)
		}
		for what, err := range map[string]error{"a change": patch(false, false), "a dry run of somebody": patch(false, true), "a change that calls itself a dry run": patch(true, false)} {
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "immutable") {
				t.Errorf("%s: %s: %v, want invalid", tc.kind, what, err)
			}
		}
		if err := c.Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"},"ownerReferences":[]}}`))); err != nil {
			t.Errorf("%s: control: a label: %v", tc.kind, err)
		}
	}
}

// TestClusterAPIsRights: whoever gathers rights for Cluster API's manager, as its own role does, gets those on our kinds.
func TestClusterAPIsRights(t *testing.T) {
	c := connect(t, testapi.Config(t).AdminConfig)
	role := &unstructured.Unstructured{Object: map[string]any{
		"aggregationRule": map[string]any{"clusterRoleSelectors": []any{map[string]any{"matchLabels": map[string]any{"cluster.x-k8s.io/aggregate-to-manager": "true"}}}},
		"rules":           []any{},
	}}
	role.SetAPIVersion("rbac.authorization.k8s.io/v1")
	role.SetKind("ClusterRole")
	role.SetGenerateName("gathers-")
	if err := c.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.Background(), role) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !writes(role) {
		select {
		case <-ctx.Done():
			t.Fatalf("it gathered %v", role.Object["rules"])
		case <-tick.C:
		}
		if err := c.Get(ctx, client.ObjectKeyFromObject(role), role); err != nil {
			t.Fatal(err)
		}
	}
}

// writes says that a role may do everything with our kinds.
func writes(role *unstructured.Unstructured) bool {
	rules, _, _ := unstructured.NestedSlice(role.Object, "rules")
	return slices.ContainsFunc(rules, func(r any) bool {
		groups, _, _ := unstructured.NestedStringSlice(r.(map[string]any), "apiGroups")
		verbs, _, _ := unstructured.NestedStringSlice(r.(map[string]any), "verbs")
		return slices.Equal(groups, []string{infrastructure}) && len(verbs) == 7
	})
}
