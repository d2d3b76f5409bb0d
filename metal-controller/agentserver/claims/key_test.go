package claims

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func request(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestKey(t *testing.T) {
	good := request(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{"P-256": good, "Ed25519": request(t, edKey), "RSA 2048": request(t, must(rsa.GenerateKey(rand.Reader, 2048)))} {
		if _, err := Key(der); err != nil {
			t.Errorf("control: %s: %v", name, err)
		}
	}
	forged := append([]byte(nil), good...)
	forged[len(forged)-1] ^= 1
	for name, der := range map[string][]byte{
		"empty": nil, "junk": []byte("junk"), "too large": make([]byte, maxCSR+1), "cut": good[:len(good)-1], "forged": forged,
		"P-384": request(t, must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))), "P-224": request(t, must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))),
	} {
		if _, err := Key(der); err == nil {
			t.Errorf("%s: %v; want an error", name, err)
		}
	}
}

// FuzzKey: no bytes crash the parser, and none of a weak key get through.
func FuzzKey(f *testing.F) {
	f.Add(request(f, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		if key, err := Key(der); err == nil && !goodKey(key) {
			t.Error("a weak key got through")
		}
	})
}
