package accounts_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/accounts"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// newKeeper is one on a real API server, as the controllers' identity.
func newKeeper(t *testing.T) (*accounts.Keeper, string) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(metal.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(testapi.Config(t).ControllerConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	server := strings.ToLower(rand.Text())
	return &accounts.Keeper{Client: c, Live: c, Name: func(s string) string { return "ingot-bmc-" + s }, Random: rand.Reader}, server
}

// TestRotation: each step in one write, once for its id, and what may be valid at the BMC is held all the time.
func TestRotation(t *testing.T) {
	k, server := newKeeper(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func() accounts.Held {
		t.Helper()
		h, err := k.Read(t.Context(), server)
		must(err)
		return h
	}
	if read() != (accounts.Held{}) {
		t.Fatal("there is something before the beginning")
	}
	must(k.Take(t.Context(), server, "a"))
	must(k.Forget(t.Context(), server, "a"))
	if read() != (accounts.Held{}) {
		t.Fatal("what is not there was taken")
	}
	must(k.Keep(t.Context(), server, "a", "ingot-a"))
	first := read().Next
	must(k.Keep(t.Context(), server, "a", "ingot-a"))
	if read().Next != first || first.Username != "ingot-a" || first.ID != "a" || first.Password.Empty() {
		t.Errorf("kept is %+v, again %+v", first, read().Next)
	}
	must(k.Take(t.Context(), server, "x"))
	if read().Current != (accounts.Account{}) {
		t.Error("another id was taken")
	}
	for range 2 {
		must(k.Take(t.Context(), server, "a"))
	}
	if h := read(); h.Current != first || h.Next != (accounts.Account{}) || h.Old != (accounts.Account{}) {
		t.Errorf("taken: %+v", h)
	}
	must(k.Keep(t.Context(), server, "b", "ingot-b"))
	second := read().Next
	for range 2 {
		must(k.Take(t.Context(), server, "b"))
		if h := read(); h.Current != second || h.Old != first || second.Password == first.Password {
			t.Errorf("taken: %+v", h)
		}
	}
	must(k.Forget(t.Context(), server, "a"))
	if read().Old != first {
		t.Error("an earlier account's order took the old one away")
	}
	for range 2 {
		must(k.Forget(t.Context(), server, "b"))
	}
	if h := read(); h.Current != second || h.Old != (accounts.Account{}) {
		t.Errorf("forgotten: %+v", h)
	}
	if said := fmt.Sprintf("%v %+v %#v", read(), read(), read()); strings.Contains(said, second.Password.Reveal()) {
		t.Error("what is held prints its password")
	}
}

// TestStrange: a Secret that is not ours is neither shown nor changed.
func TestStrange(t *testing.T) {
	k, server := newKeeper(t)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: k.Name(server)}, Data: map[string][]byte{"username": []byte("x"), "next-id": []byte("a")}}
	if err := k.Client.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if h, err := k.Read(t.Context(), server); err != nil || h != (accounts.Held{Strange: true}) {
		t.Errorf("%+v, %v", h, err)
	}
	for what, err := range map[string]error{
		"keep": k.Keep(t.Context(), server, "b", "u"), "take": k.Take(t.Context(), server, "a"), "forget": k.Forget(t.Context(), server, "a"),
	} {
		if !errors.Is(err, accounts.ErrStrange) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestPasswords: 16 characters of each kind, none like another; bad luck is drawn again, and no luck is an error.
func TestPasswords(t *testing.T) {
	k, server := newKeeper(t)
	seen := map[string]bool{}
	for i := range 20 {
		if err := k.Keep(t.Context(), server, fmt.Sprint(i), "u"); err != nil {
			t.Fatal(err)
		}
		h, err := k.Read(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		p := h.Next.Password.Reveal()
		for _, want := range []string{`^[A-Za-z0-9]{16}$`, `[A-Z]`, `[a-z]`, `[0-9]`} {
			if !regexp.MustCompile(want).MatchString(p) {
				t.Errorf("%q is not like %s", p, want)
			}
		}
		if seen[p] {
			t.Error("drawn twice")
		}
		seen[p] = true
	}
	k.Random = strings.NewReader("short")
	if err := k.Keep(t.Context(), server, "last", "u"); err == nil {
		t.Error("without randomness there is a password")
	}
}
