package config_test

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ingot.dev/ingot/crds/manifests"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/config"
)

// TestObjects: the namespace comes first, and everything with a namespace is in it.
func TestObjects(t *testing.T) {
	objects, err := config.Objects()
	if err != nil || len(objects) == 0 || objects[0].GetKind() != "Namespace" || objects[0].GetName() != metal.SystemNamespace {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	kinds := map[string]int{}
	for _, o := range objects {
		kinds[o.GetKind()]++
		global := slices.Contains([]string{"Namespace", "ClusterRole", "ClusterRoleBinding"}, o.GetKind())
		if !global && o.GetNamespace() != metal.SystemNamespace {
			t.Errorf("%s %s is in %q", o.GetKind(), o.GetName(), o.GetNamespace())
		}
	}
	for _, kind := range []string{"ServiceAccount", "ClusterRoleBinding", "RoleBinding", "Deployment", "PodDisruptionBudget"} {
		if kinds[kind] != 1 {
			t.Errorf("there are %d of %s; want one", kinds[kind], kind)
		}
	}
}

// TestRules: Secrets are in reach in one namespace only, and by name only. No rule is for every group or every verb.
func TestRules(t *testing.T) {
	everywhere, inSystem, err := config.Rules()
	if err != nil || len(everywhere) == 0 || len(inSystem) == 0 {
		t.Fatalf("%v, %v, %v", everywhere, inSystem, err)
	}
	for _, r := range slices.Concat(everywhere, inSystem) {
		if slices.Contains(r.Verbs, "*") || slices.Contains(r.APIGroups, "*") || slices.Contains(r.Resources, "*") && !slices.Equal(r.APIGroups, []string{metal.GroupVersion.Group}) {
			t.Errorf("the rule %v is too wide", r)
		}
	}
	secrets := func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "secrets") }
	configMaps := func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "configmaps") }
	if slices.ContainsFunc(everywhere, secrets) || slices.ContainsFunc(everywhere, configMaps) {
		t.Error("Secrets or ConfigMaps of all namespaces are in reach")
	}
	if i := slices.IndexFunc(inSystem, configMaps); i < 0 || slices.Contains(inSystem[i].Verbs, "update") || slices.Contains(inSystem[i].Verbs, "patch") {
		t.Errorf("erase records can be changed, or not be kept: %v", inSystem)
	}
	at := slices.IndexFunc(inSystem, secrets)
	if at < 0 || !slices.Equal(inSystem[at].Verbs, []string{"get", "create", "update"}) {
		t.Errorf("in the system namespace the rules are %v", inSystem)
	}
}

// TestSecretReader: machine configs can be fetched where somebody binds the role, by name only, and the manifests bind it nowhere.
func TestSecretReader(t *testing.T) {
	rules, err := config.SecretRules()
	if err != nil || len(rules) != 1 || !slices.Equal(rules[0].Resources, []string{"secrets"}) || !slices.Equal(rules[0].Verbs, []string{"get"}) {
		t.Errorf("%v, %v", rules, err)
	}
	objects, err := config.Objects()
	if err != nil {
		t.Fatal(err)
	}
	bindings := 0
	for _, o := range objects {
		if !strings.HasSuffix(o.GetKind(), "RoleBinding") {
			continue
		}
		bindings++
		if name, _, _ := unstructured.NestedString(o.Object, "roleRef", "name"); name != config.Account {
			t.Errorf("%s %s binds %s", o.GetKind(), o.GetName(), name)
		}
	}
	if bindings == 0 {
		t.Error("control: nothing is bound at all")
	}
}

// TestPoliciesTrustTheAccount: each policy that lets only Ingot write names the ServiceAccount of these manifests.
func TestPoliciesTrustTheAccount(t *testing.T) {
	policies, err := manifests.Objects()
	if err != nil {
		t.Fatal(err)
	}
	trusting := 0
	for _, p := range policies {
		text, err := p.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if p.GetKind() != "ValidatingAdmissionPolicy" || !strings.Contains(string(text), "isIngot") {
			continue
		}
		if trusting++; !strings.Contains(string(text), "system:serviceaccount:"+metal.SystemNamespace+":"+config.Account+"'") {
			t.Errorf("%s does not trust the account %s", p.GetName(), config.Account)
		}
	}
	if trusting == 0 {
		t.Error("no policy asks who writes")
	}
}
