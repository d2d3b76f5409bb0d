package setup_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// as is a client of a person.
func (w *tenant) as(user string) client.Client {
	w.t.Helper()
	config := rest.CopyConfig(testapi.Config(w.t).AdminConfig)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	c, err := client.New(config, client.Options{Scheme: w.admin.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// role binds a ClusterRole to a person, in a namespace or, without one, everywhere.
func (w *tenant) role(user, role, namespace string) {
	w.t.Helper()
	subjects := []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	if namespace == "" {
		create(w.t, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user + "-" + role}, Subjects: subjects, RoleRef: ref})
		return
	}
	create(w.t, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user + "-" + role}, Subjects: subjects, RoleRef: ref})
}

// may waits until a person may do something: rights are gathered and seen after a moment.
func (w *tenant) may(what string, do func() error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for err := do(); err != nil; err = do() {
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// bareTenant is a tenant without Cluster API.
func bareTenant(t *testing.T) *tenant {
	t.Helper()
	w := &tenant{t: t, ns: testapi.Namespace(t), admin: admin(t), bmcs: map[string]*fakeBMC{}}
	w.controller = start(t, func(c *setup.Config) {
		c.ConfigListen = "127.0.0.1:0"
		c.OpenBMC = func(_ context.Context, target bmc.Target) (bmc.Driver, error) { return w.bmc(target.Host), nil }
	})
	w.class(w.ns, w.ns)
	return w
}

// class makes a class, with its Environment, that lets one namespace in.
func (w *tenant) class(name, namespace string) {
	w.t.Helper()
	asset := &metal.Asset{URL: "http://127.0.0.1:1/a", SHA256: strings.Repeat("0", 64)}
	create(w.t,
		&metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{Arch: "amd64", Kernel: asset, Initramfs: asset}}}},
		&metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerClassSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tenant": w.ns}}, AllowedNamespaces: &metal.NamespaceSelection{Names: []string{namespace}},
			EnvironmentRef: &metal.NameRef{Name: name},
		}},
	)
}

func secret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string][]byte{"value": []byte("a: b\n")}}
}

// TestTenant: what somebody can do who has Kubernetes' role "edit" in one namespace, and no other right. Each refusal stands beside something of the same kind that is
// allowed, or that somebody else may do; the API server, its RBAC and our admission policies are the real ones.
func TestTenant(t *testing.T) {
	w, other := bareTenant(t), testapi.Namespace(t)
	w.class(w.ns+"-closed", other)
	for _, n := range []string{"0", "1", "2"} {
		w.server(w.ns+"-"+n, "r1")
	}
	create(t, secret(w.ns, "mine"), secret(other, "theirs"))
	alice := w.as("alice-" + w.ns)
	w.role("alice-"+w.ns, "edit", w.ns)
	claim := func(name, class, config string) *metal.ServerClaim {
		return &metal.ServerClaim{ObjectMeta: w.meta(name), Spec: metal.ServerClaimSpec{ClassName: class, ConfigSecret: config}}
	}
	first := claim("first", w.ns, "mine")
	w.may("claiming a server", func() error { return alice.Create(t.Context(), first) })
	w.until("her claim is bound", first, func() bool { return first.Spec.Binding != nil })
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: first.Spec.Binding.Server}}

	t.Run("Secrets", func(t *testing.T) {
		w.read(t, alice, secret(w.ns, "mine"), secret(other, "theirs"))
		w.read(t, alice, secret(w.ns, "mine"), secret(metal.SystemNamespace, server.Name)) // the password of a BMC
		if err := alice.List(t.Context(), &corev1.SecretList{}); !apierrors.IsForbidden(err) {
			t.Errorf("listing everybody's Secrets: %v", err)
		}
		if err := alice.List(t.Context(), &corev1.SecretList{}, client.InNamespace(w.ns)); err != nil {
			t.Errorf("control: listing her own: %v", err)
		}
		if err := w.admin.Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: server.Name}, &corev1.Secret{}); err != nil {
			t.Errorf("control: it is there: %v", err)
		}
	})
	t.Run("claims", func(t *testing.T) { w.claims(t, alice, other) })
	t.Run("classes of others", func(t *testing.T) {
		closed := claim("closed", w.ns+"-closed", "mine")
		if err := alice.Create(t.Context(), closed); err != nil {
			t.Fatal(err)
		}
		w.until("it is told why it gets nothing", closed, func() bool { return reason(closed.Status.Conditions, "Ready") == reasons.NamespaceNotAllowed })
		if closed.Spec.Binding != nil {
			t.Errorf("it got %+v", closed.Spec.Binding)
		}
	})
	t.Run("what only Ingot writes", func(t *testing.T) { w.ingotOnly(t, alice, first, server) })
	t.Run("another namespace's Secret", func(t *testing.T) {
		if err := alice.Create(t.Context(), claim("path", w.ns, other+"/theirs")); !apierrors.IsInvalid(err) {
			t.Errorf("a name that is a path: %v, want invalid", err)
		}
		stolen := claim("stolen", w.ns, "theirs") // a name alone means her own namespace
		w.may("asking for it", func() error { return alice.Create(t.Context(), stolen) })
		w.until("it is bound", stolen, func() bool { return stolen.Spec.Binding != nil })
		waits := eventually(t, stolen.Spec.Binding.Server, func(s *metal.Server) bool { return hasReason(s, reasons.Provisioned, reasons.ConfigMissing) })
		if b := waits.Spec.Record.Boot; b != nil && b.Target == metal.BootTargetOS {
			t.Errorf("it boots with that: %+v", b)
		}
		eventually(t, server.Name, func(s *metal.Server) bool { // control: with her own it boots
			b := s.Spec.Record.Boot
			return b != nil && b.Target == metal.BootTargetOS
		})
	})
}

// claims: she sees and makes those of her own namespace alone, and no servers.
func (w *tenant) claims(t *testing.T, alice client.Client, other string) {
	t.Helper()
	if err := alice.List(t.Context(), &metal.ServerClaimList{}, client.InNamespace(w.ns)); err != nil {
		t.Errorf("control: her own claims: %v", err)
	}
	for what, err := range map[string]error{
		"everybody's claims":   alice.List(t.Context(), &metal.ServerClaimList{}),
		"claiming for another": alice.Create(t.Context(), &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: other, Name: "x"}, Spec: metal.ServerClaimSpec{ClassName: w.ns + "-closed"}}),
		"servers":              alice.List(t.Context(), &metal.ServerList{}),
		"inventories":          alice.List(t.Context(), &metal.ServerInventoryList{}),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want forbidden", what, err)
		}
	}
}

// read gets one Secret and not the other.
func (w *tenant) read(t *testing.T, who client.Client, mine, theirs *corev1.Secret) {
	t.Helper()
	if err := who.Get(t.Context(), client.ObjectKeyFromObject(mine), mine); err != nil {
		t.Errorf("control: her own Secret: %v", err)
	}
	if err := who.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); !apierrors.IsForbidden(err) {
		t.Errorf("the Secret %s/%s: %v, want forbidden", theirs.Namespace, theirs.Name, err)
	}
}

// ingotOnly are records, bindings and status. A person who may change Servers may not write records either.
func (w *tenant) ingotOnly(t *testing.T, alice client.Client, first *metal.ServerClaim, server *metal.Server) {
	merge := func(text string) client.Patch {
		return client.RawPatch("application/merge-patch+json", []byte(text))
	}
	if err := alice.Patch(t.Context(), first.DeepCopy(), merge(`{"metadata":{"labels":{"mine":"yes"}}}`)); err != nil {
		t.Errorf("control: a label of her claim: %v", err)
	}
	fresh := &metal.ServerClaim{ObjectMeta: w.meta("forged"), Spec: metal.ServerClaimSpec{ClassName: w.ns, Binding: &metal.Binding{Server: server.Name, BindingID: "b"}}}
	if err := alice.Create(t.Context(), fresh); err == nil || apierrors.IsAlreadyExists(err) {
		t.Errorf("a claim with a binding of her own: %v", err)
	}
	if err := alice.Status().Patch(t.Context(), first.DeepCopy(), merge(`{"status":{"addresses":["192.0.2.1"]}}`)); !apierrors.IsForbidden(err) {
		t.Errorf("the status of her claim: %v, want forbidden", err)
	}
	if err := alice.Patch(t.Context(), server.DeepCopy(), merge(`{"spec":{"cordoned":true}}`)); !apierrors.IsForbidden(err) {
		t.Errorf("a Server: %v, want forbidden", err)
	}
	create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: w.ns + "-servers"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{metal.GroupVersion.Group}, Resources: []string{"servers"}, Verbs: []string{"get", "patch"}}}})
	bob := w.as("bob-" + w.ns)
	w.role("bob-"+w.ns, w.ns+"-servers", "")
	free := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: w.ns + "-2"}}
	w.may("control: a Server by somebody who may", func() error {
		return bob.Patch(t.Context(), free.DeepCopy(), merge(`{"metadata":{"labels":{"bob":"yes"}}}`))
	})
	if err := bob.Patch(t.Context(), free.DeepCopy(), merge(`{"spec":{"record":{"claim":null,"quarantine":{"reason":"x","at":"2026-01-01T00:00:00Z"}}}}`)); err == nil || !strings.Contains(err.Error(), "record") {
		t.Errorf("a record: %v", err)
	}
	if err := bob.Status().Patch(t.Context(), free.DeepCopy(), merge(`{"status":{"state":"Running"}}`)); !apierrors.IsForbidden(err) {
		t.Errorf("the status of a Server: %v, want forbidden", err)
	}
}
