package authority_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/authority"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T) *authority.Authority {
	t.Helper()
	cert, key, err := authority.New("test", now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Parse(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func sign(t *testing.T, a *authority.Authority, l authority.Leaf) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := a.Sign(key.Public(), l, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestVerify(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	client := sign(t, a, authority.Leaf{CommonName: "x", Usage: x509.ExtKeyUsageClientAuth, Valid: time.Hour})
	if err := a.Verify(client, x509.ExtKeyUsageClientAuth, now); err != nil {
		t.Errorf("control: %v", err)
	}
	for name, err := range map[string]error{
		"another authority": other.Verify(client, x509.ExtKeyUsageClientAuth, now),
		"another use":       a.Verify(client, x509.ExtKeyUsageServerAuth, now),
		"too late":          a.Verify(client, x509.ExtKeyUsageClientAuth, now.Add(61*time.Minute)),
		"too early":         a.Verify(client, x509.ExtKeyUsageClientAuth, now.Add(-6*time.Minute)),
	} {
		if err == nil {
			t.Errorf("%s: it holds", name)
		}
	}
	if client.IsCA || len(client.ExtKeyUsage) != 1 || client.SerialNumber.Sign() <= 0 {
		t.Errorf("leaf: CA %v, uses %v, serial %v", client.IsCA, client.ExtKeyUsage, client.SerialNumber)
	}
}

func TestParse(t *testing.T) {
	cert, key, err := authority.New("a", now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := authority.New("b", now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Parse(cert, key); err != nil {
		t.Errorf("control: %v", err)
	}
	for name, pair := range map[string][2][]byte{"no PEM": {[]byte("x"), key}, "another key": {cert, otherKey}, "swapped": {key, cert}, "nothing": {}} {
		_, err := authority.Parse(pair[0], pair[1])
		if err == nil || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestListener: a client that trusts the pin alone connects, and the certificate is renewed at half its life.
func TestListener(t *testing.T) {
	a, clock := newAuthority(t), now
	l := a.Listener("port", []string{"192.0.2.1", "ingot.example"}, func() time.Time { return clock }, rand.Reader)
	first := handshake(t, a, l.TLS())
	if err := first.VerifyHostname("192.0.2.1"); err != nil {
		t.Error(err)
	}
	if err := first.VerifyHostname("ingot.example"); err != nil {
		t.Error(err)
	}
	clock = now.Add(11 * time.Hour)
	if !handshake(t, a, l.TLS()).Equal(handshake(t, a, l.TLS())) {
		t.Error("it changes with every connection")
	}
	clock = now.Add(12 * time.Hour)
	if handshake(t, a, l.TLS()).Equal(first) {
		t.Error("it is not renewed at half its life")
	}
}

// handshake connects once and returns the certificate that the server showed.
func handshake(t *testing.T, a *authority.Authority, cfg *tls.Config) *x509.Certificate {
	t.Helper()
	there, here := net.Pipe()
	server, done := tls.Server(there, cfg), make(chan error, 1)
	go func() { done <- server.Handshake() }()
	client := tls.Client(here, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		last := s.PeerCertificates[len(s.PeerCertificates)-1]
		if sum := sha256.Sum256(last.RawSubjectPublicKeyInfo); hex.EncodeToString(sum[:]) != a.Pin() {
			return errors.New("not the pinned authority")
		}
		return nil
	}})
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState().PeerCertificates[0]
}

// FuzzParse: no bytes from a Secret crash it.
func FuzzParse(f *testing.F) {
	cert, key, err := authority.New("a", now, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cert, key)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), key)
	f.Fuzz(func(_ *testing.T, cert, key []byte) { _, _ = authority.Parse(cert, key) })
}
