package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ingot.dev/ingot/crds/manifests"
)

// rules are the messages of the CEL rules that the store has in Go. Which is right is shown by the contract suite.
var rules = []string{
	"IPMI has no virtual media: leave virtualMediaURI out, or set protocol to Redfish",
	"a changed acceptRequest needs a new id", "a changed bmcRequest needs a new id", "a changed ownerRequest needs a new id",
	"a changed powerRequest needs a new id", "a changed quarantineRequest needs a new id", "a changed releaseRequest needs a new id",
	"binding is immutable: delete the claim to release the server", "boot names the architectures itself: leave architectures out", "boot needs schematicID: nobody is asked for it", "bootstrapEtcd is immutable once the claim is bound", "className is immutable once the claim is bound",
	"endpoint is a host name or an IP address: no scheme, path, user or blank", "environmentName is immutable once the claim is bound",
	"httpBootURI and virtualMediaURI are two ways to the same boot: set one of them", "kernel and initramfs go together", "kubeSpan needs discovery", "min is greater than max",
	"set either uki, or kernel with initramfs", "set exactly one of all: true, names and selector", "set exactly one of talos and boot",
	"set schematic or schematicID, not both", "the name of a Server has at most 63 characters: it becomes a label value and a host name",
}

// policies are those that the store has in Go.
var policies = []string{"binding.metal.ingot.dev", "inventory.metal.ingot.dev", "lock.metal.ingot.dev", "record.metal.ingot.dev"}

// others is the group of kinds that the store does not hold.
const others = "infrastructure.cluster.x-k8s.io"

// held says that a manifest is about a kind that the store may hold: all but those that name the other group alone.
func held(o *unstructured.Unstructured, objects []*unstructured.Unstructured) bool {
	switch o.GetKind() {
	case "CustomResourceDefinition":
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		return group != others
	case "ValidatingAdmissionPolicyBinding":
		name, _, _ := unstructured.NestedString(o.Object, "spec", "policyName")
		i := slices.IndexFunc(objects, func(p *unstructured.Unstructured) bool {
			return p.GetKind() == "ValidatingAdmissionPolicy" && p.GetName() == name
		})
		return i < 0 || held(objects[i], objects)
	}
	rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "matchConstraints", "resourceRules")
	return slices.ContainsFunc(rules, func(r any) bool { return fmt.Sprint(r.(map[string]any)["apiGroups"]) != "["+others+"]" })
}

// TestNoRuleIsForgotten: who adds a rule or a policy to the manifests adds it here, or the simulator allows what a real server refuses.
func TestNoRuleIsForgotten(t *testing.T) {
	objects, err := manifests.Objects()
	if err != nil {
		t.Fatal(err)
	}
	var messages, denying []string
	for _, o := range objects {
		if !held(o, objects) {
			continue
		}
		if o.GetKind() == "CustomResourceDefinition" {
			messages = append(messages, celMessages(o.Object)...)
		}
		if actions, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "validationActions"); slices.Contains(actions, "Deny") {
			denying = append(denying, o.GetName())
		}
	}
	slices.Sort(messages)
	slices.Sort(denying)
	if got := slices.Compact(messages); !slices.Equal(got, rules) {
		t.Errorf("the manifests have the rules\n%s\nthe store\n%s", strings.Join(got, "\n"), strings.Join(rules, "\n"))
	}
	if !slices.Equal(denying, policies) {
		t.Errorf("the manifests deny by %v, the store by %v", denying, policies)
	}
}

// celMessages walks a schema.
func celMessages(v any) []string {
	var all []string
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			if key == "x-kubernetes-validations" {
				for _, rule := range x.([]any) {
					all = append(all, fmt.Sprint(rule.(map[string]any)["message"]))
				}
				continue
			}
			all = append(all, celMessages(x)...)
		}
	case []any:
		for _, x := range v {
			all = append(all, celMessages(x)...)
		}
	}
	return all
}
