package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// selfSigned is an authority of one certificate: what it signs is its own.
func selfSigned(t *testing.T, names []string, from time.Time, life time.Duration) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: from, NotAfter: from.Add(life), IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	p, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p})
}

// TestRenewal: a certificate is renewed when a third of its life is left, and at once when it is not what is wanted.
func TestRenewal(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	names := []string{"a.b.svc"}
	cert, key := selfSigned(t, names, from, 90*time.Hour)
	otherCert, otherKey := selfSigned(t, names, from, 90*time.Hour)
	w := wanted{secret: "s", names: names, life: 90 * time.Hour}
	secret := func(cert, key, ca []byte) *corev1.Secret {
		return &corev1.Secret{Data: map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": ca}}
	}
	for name, c := range map[string]struct {
		s    *corev1.Secret
		w    wanted
		want time.Time
	}{
		"good":                    {secret(cert, key, cert), w, from.Add(60 * time.Hour)},
		"none":                    {&corev1.Secret{}, w, time.Time{}},
		"another key":             {secret(cert, otherKey, cert), w, time.Time{}},
		"another authority":       {secret(otherCert, otherKey, cert), w, time.Time{}},
		"another authority named": {secret(cert, key, otherCert), w, time.Time{}},
		"other names":             {secret(cert, key, cert), wanted{names: []string{"c.b.svc"}, life: w.life}, time.Time{}},
	} {
		if got, _ := renewal(c.s, c.w, cert); !got.Equal(c.want) {
			t.Errorf("%s: at %v, want %v", name, got, c.want)
		}
	}
}

// TestRead: a Certificate gets names of Services in its own namespace only, and its life has bounds.
func TestRead(t *testing.T) {
	for _, c := range []struct{ names, duration, problem string }{
		{names: "hook.ns.svc"},
		{names: "hook.ns.svc hook.ns.svc.cluster.local", duration: "2160h"},
		{problem: "dnsNames is empty"},
		{names: "hook.other.svc", problem: "no name of a Service in this namespace"},
		{names: "hook.ns.svc example.com", problem: "example.com"},
		{names: "*.ns.svc", problem: "no name"},
		{names: "a.b.ns.svc", problem: "no name"},
		{names: ".ns.svc", problem: "no name"},
		{names: "hook.ns.svc.", problem: "no name"},
		{names: "hook.ns.svc", duration: "1s", problem: "spec.duration"},
		{names: "hook.ns.svc", duration: "9000h", problem: "spec.duration"},
		{names: "hook.ns.svc", duration: "soon", problem: "spec.duration"},
	} {
		o := certificate()
		o.SetNamespace("ns")
		var names []any
		for _, n := range strings.Fields(c.names) {
			names = append(names, n)
		}
		o.Object["spec"] = map[string]any{"secretName": "s", "dnsNames": names, "duration": c.duration}
		if _, problem := read(o); (problem == "") != (c.problem == "") || !strings.Contains(problem, c.problem) {
			t.Errorf("%+v: %q", c, problem)
		}
	}
	if _, problem := read(&unstructured.Unstructured{Object: map[string]any{"spec": "nonsense"}}); problem == "" {
		t.Error("nonsense is taken")
	}
}
