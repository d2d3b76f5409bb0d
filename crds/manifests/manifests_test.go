package manifests

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestEveryFieldExplainsItself keeps `kubectl explain` complete: each property of each kind has a description.
func TestEveryFieldExplainsItself(t *testing.T) {
	kinds := 0
	for _, o := range objects(t) {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		kinds++
		versions, _, err := unstructured.NestedSlice(o.Object, "spec", "versions")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range versions {
			schema, _, err := unstructured.NestedMap(v.(map[string]any), "schema", "openAPIV3Schema")
			if err != nil {
				t.Fatal(err)
			}
			if missing := undescribed(schema, o.GetName()); len(missing) > 0 {
				t.Errorf("no description: %v", missing)
			}
		}
	}
	if kinds != 11 {
		t.Errorf("found %d kinds, not 11", kinds)
	}
}

// TestUndescribedIsNoticed is the positive control of the test above.
func TestUndescribedIsNoticed(t *testing.T) {
	schema := map[string]any{"properties": map[string]any{"spec": map[string]any{"description": "d", "properties": map[string]any{"x": map[string]any{}}}}}
	if got := undescribed(schema, "K"); len(got) != 1 || got[0] != "K.spec.x" {
		t.Errorf("undescribed = %v", got)
	}
}

// TestPoliciesAreBound: a policy without a binding does nothing, and nobody would notice.
func TestPoliciesAreBound(t *testing.T) {
	bound := map[string]bool{}
	for _, o := range objects(t) {
		if o.GetKind() == "ValidatingAdmissionPolicyBinding" {
			name, _, _ := unstructured.NestedString(o.Object, "spec", "policyName")
			bound[name] = true
		}
	}
	policies := 0
	for _, o := range objects(t) {
		if o.GetKind() != "ValidatingAdmissionPolicy" {
			continue
		}
		if policies++; !bound[o.GetName()] {
			t.Errorf("policy %s has no binding", o.GetName())
		}
	}
	if policies == 0 {
		t.Error("no policies found")
	}
}

func objects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	all, err := Objects()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// undescribed lists the paths of properties without a description; metadata belongs to Kubernetes.
func undescribed(schema map[string]any, path string) []string {
	var missing []string
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		property := p.(map[string]any)
		if name == "metadata" {
			continue
		}
		if d, _ := property["description"].(string); d == "" {
			missing = append(missing, path+"."+name)
		}
		missing = append(missing, undescribed(property, path+"."+name)...)
	}
	if items, ok := schema["items"].(map[string]any); ok {
		missing = append(missing, undescribed(items, path)...)
	}
	return missing
}
