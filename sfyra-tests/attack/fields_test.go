package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

// bases are what a field needs beside it to make sense, by the longest beginning of its path.
var bases = map[string]map[string]any{
	"Environment.spec":                           {"boot": []any{map[string]any{"arch": "amd64", "uki": file}}},
	"Environment.spec.boot":                      {"boot": []any{map[string]any{"uki": file}}},
	"Environment.spec.boot[].kernel":             {"boot": []any{map[string]any{"initramfs": file}}},
	"Environment.spec.boot[].initramfs":          {"boot": []any{map[string]any{"kernel": file}}},
	"Environment.spec.talos":                     {},
	"Environment.spec.talos.boot":                {"talos": map[string]any{"schematicID": digest, "boot": []any{map[string]any{"uki": file}}}},
	"Environment.spec.talos.boot[].kernel":       {"talos": map[string]any{"schematicID": digest, "boot": []any{map[string]any{"initramfs": file}}}},
	"Environment.spec.talos.boot[].initramfs":    {"talos": map[string]any{"schematicID": digest, "boot": []any{map[string]any{"kernel": file}}}},
	"ServerClass.spec.selector.matchExpressions": {"selector": map[string]any{"matchExpressions": []any{map[string]any{"operator": "In", "values": []any{"a"}}}}},
}

var (
	digest = strings.Repeat("0a", 32)
	file   = map[string]any{"url": "http://files.example/k", "sha256": digest}
)

// callers are who writes to the API server: each a client with an identity that it really shows.
type callers struct {
	nobodies                       map[string]client.Client
	operator, ingot, tenant, stray client.Client
	namespace                      string
}

// newCallers has a tenant with all rights on Ingot's kinds in a namespace, and one with the same rights in another.
func newCallers(t *testing.T) callers {
	t.Helper()
	api := testapi.Config(t)
	c := callers{nobodies: map[string]client.Client{}, operator: operatorOf(t), ingot: plain(t, api.ControllerConfig), namespace: testapi.Namespace(t)}
	c.tenant, c.stray = tenantOf(t, c.namespace), tenantOf(t, testapi.Namespace(t))
	w := newWorld(t)
	machine := w.issuer("ingot-agent-ca").leaf("ingot:controller", "", "/server/x/boot/b", time.Now(), x509Client)
	for name, cert := range map[string]*tls.Certificate{
		"no certificate": nil, "a certificate signed by itself": signed(t, nil, nil, time.Now()), "an expired certificate": apiCertificate(t, time.Now().Add(-3*time.Hour)), "a machine's certificate": machine,
	} {
		c.nobodies[name] = plain(t, showing(api.AdminConfig, cert))
	}
	c.nobodies["control: a certificate that counts"] = plain(t, showing(api.AdminConfig, apiCertificate(t, time.Now())))
	return c
}

// plain is a client that knows no types and asks for errors about unknown fields.
func plain(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(cfg, client.Options{Mapper: connect(t, testapi.Config(t).AdminConfig).RESTMapper()}) // who is nobody cannot even ask for the kinds
	if err != nil {
		t.Fatal(err)
	}
	return client.NewDryRunClient(client.WithFieldValidation(c, metav1.FieldValidationStrict))
}

// showing is how the API server is reached with another certificate, or none.
func showing(cfg *rest.Config, cert *tls.Certificate) *rest.Config {
	out := rest.AnonymousClientConfig(cfg)
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	if cert != nil {
		tlsConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	out.TLSClientConfig, out.QPS = rest.TLSClientConfig{}, -1
	out.Transport = &http.Transport{TLSClientConfig: tlsConfig}
	return out
}

// tenantOf is a user with all rights on Ingot's kinds in one namespace.
func tenantOf(t *testing.T, namespace string) client.Client {
	t.Helper()
	admin := connect(t, testapi.Config(t).AdminConfig)
	user := "tenant-of-" + namespace
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "all"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"metal.ingot.dev", "infrastructure.cluster.x-k8s.io"}, Resources: everyResource(t), Verbs: []string{"*"}},
	}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}
	for _, o := range []client.Object{role, binding} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	cfg := rest.CopyConfig(testapi.Config(t).AdminConfig)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return plain(t, cfg)
}

// operatorOf is a user with all rights on Ingot's kinds but move, which is for clusterctl move and lets an administrator bring records, bindings and inventories along
// (docs/move.md).
func operatorOf(t *testing.T) client.Client {
	t.Helper()
	admin := connect(t, testapi.Config(t).AdminConfig)
	user := "operator-of-" + testapi.Namespace(t)
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"metal.ingot.dev", "infrastructure.cluster.x-k8s.io"}, Resources: everyResource(t), Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"},
	}}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name}, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}
	for _, o := range []client.Object{role, binding} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	cfg := rest.CopyConfig(testapi.Config(t).AdminConfig)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return plain(t, cfg)
}

// everyResource are the kinds, without their subresources, as people's roles have them.
func everyResource(t *testing.T) (all []string) {
	for _, k := range kinds(t) {
		all = append(all, k.plural)
	}
	return all
}

// object is one of the field's kind that holds a value there, and what that needs.
func (f field) object(t *testing.T, namespace string, value any) *unstructured.Unstructured {
	t.Helper()
	way := steps(f.path)
	spec := with(t, f.kind.name+".spec", f.kind.spec, way[1:], value)
	base := ""
	for b := range bases {
		if strings.HasPrefix(f.path, b) && len(b) > len(base) {
			base = b
		}
	}
	if base != "" {
		spec = merge(spec, bases[base])
	}
	return f.kind.object(spec, namespace)
}

// TestFields (T39, T32): each field of each kind, written by everybody. Whoever is nobody is not even heard; whoever is somebody else is refused; who may is not,
// unless the value is beyond the field's bounds, or the field is not there. Nothing is stored: every request is a dry run.
func TestFields(t *testing.T) {
	c, rows := newCallers(t), writers(t)
	for _, f := range fields(kinds(t)) {
		who := rows[f.path]
		good := func() *unstructured.Unstructured { return f.object(t, c.namespace, sample(t, f.path, f.schema)) }
		for name, nobody := range c.nobodies {
			err := nobody.Create(t.Context(), good())
			if control := strings.HasPrefix(name, "control"); control == apierrors.IsUnauthorized(err) {
				t.Errorf("%s by %s: %v", f.path, name, err)
			}
		}
		wrong, right := c.judges(who)
		for name, other := range wrong {
			if err := other.Create(t.Context(), good()); !apierrors.IsForbidden(err) {
				t.Errorf("%s by %s: %v, want Forbidden", f.path, name, err)
			}
		}
		err := right.Create(t.Context(), good())
		if who == "nobody" && !apierrors.IsInvalid(err) || who != "nobody" && err != nil {
			t.Errorf("%s by %s: %v", f.path, who, err)
		}
		f.beyond(t, c.namespace, right)
	}
	for _, k := range kinds(t) {
		unknown := k.bare(t, c.namespace)
		unknown.Object["spec"].(map[string]any)["namespaceOfSomebodyElse"] = "kube-system"
		if err := c.operator.Create(t.Context(), unknown); err == nil || !strings.Contains(err.Error(), "namespaceOfSomebodyElse") {
			t.Errorf("%s with a field that there is none: %v", k.name, err)
		}
	}
}

// judges are who may not write a field, and who may; of a field that nobody may, who may write the kind.
func (c callers) judges(who string) (wrong map[string]client.Client, right client.Client) {
	switch who {
	case "ingot":
		return map[string]client.Client{"an operator": c.operator, "a tenant": c.tenant, "another tenant": c.stray}, c.ingot
	case "operator":
		return map[string]client.Client{"a tenant": c.tenant, "another tenant": c.stray}, c.operator
	}
	return map[string]client.Client{"another tenant": c.stray}, c.tenant
}

// beyond writes what the field cannot hold.
func (f field) beyond(t *testing.T, namespace string, right client.Client) {
	t.Helper()
	values := tooMuch(f.schema)
	if kubernetes.MatchString(f.path) {
		values = map[string]any{"a number": int64(7)}
	}
	for name, value := range values {
		if err := right.Create(t.Context(), f.object(t, namespace, value)); !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
			t.Errorf("%s with %s: %v, want Invalid", f.path, name, err)
		}
	}
}

// TestStatusIsIngots (T39): what people's rights on a kind give them does not reach its status; the controllers' do.
func TestStatusIsIngots(t *testing.T) {
	c := newCallers(t)
	for _, k := range kinds(t) {
		if !k.status {
			continue
		}
		o := k.bare(t, c.namespace)
		admin := connect(t, testapi.Config(t).AdminConfig)
		if err := admin.Create(t.Context(), o.DeepCopy()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin.Delete(context.Background(), o) })
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"conditions":[]}}`))
		for name, who := range map[string]client.Client{"a tenant": c.tenant, "another tenant": c.stray} {
			if err := who.Status().Patch(t.Context(), o.DeepCopy(), patch); !apierrors.IsForbidden(err) {
				t.Errorf("the status of a %s by %s: %v, want Forbidden", k.name, name, err)
			}
		}
		if err := c.ingot.Status().Patch(t.Context(), o.DeepCopy(), patch); err != nil && k.name != "ServerInventory" {
			t.Errorf("control: the status of a %s by Ingot: %v", k.name, err)
		}
	}
}

// bare is an object of the kind with what is required.
func (k kind) bare(t *testing.T, namespace string) *unstructured.Unstructured {
	t.Helper()
	spec := sample(t, k.name+".spec", k.spec)
	if base, ok := bases[k.name+".spec"]; ok {
		spec = merge(spec, base)
	}
	return k.object(spec, namespace)
}

// object is one of the kind.
func (k kind) object(spec any, namespace string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: k.group, Version: k.version, Kind: k.name})
	o.SetName("attack")
	if k.namespaced {
		o.SetNamespace(namespace)
	}
	return o
}
