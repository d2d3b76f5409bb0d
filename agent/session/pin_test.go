package session

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParsePin(t *testing.T) {
	raw := strings.Repeat("aB", 32)
	for text, ok := range map[string]bool{raw: true, "sha256:" + raw: true, raw[2:]: false, raw + "00": false, "": false, strings.Repeat("zz", 32): false} {
		pin, err := ParsePin(text)
		if (err == nil) != ok {
			t.Errorf("%q: got %v", text, err)
		}
		if ok && hex.EncodeToString(pin[:]) != strings.ToLower(raw) {
			t.Errorf("%q: got %x", text, pin)
		}
	}
}

func TestVerify(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	key := newKey(t)
	leaf := ca.leaf(t, &key.PublicKey, x509.ExtKeyUsageServerAuth, "10.0.0.1")
	foreign := other.leaf(t, &key.PublicKey, x509.ExtKeyUsageServerAuth, "10.0.0.1")
	client := ca.leaf(t, &key.PublicKey, x509.ExtKeyUsageClientAuth, "10.0.0.1")
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		host  string
		ok    bool
	}{
		{"good, long after it ended by the machine's clock", []*x509.Certificate{leaf, ca.cert}, "10.0.0.1", true},
		{"good, with another certificate in the chain", []*x509.Certificate{leaf, other.cert, ca.cert}, "10.0.0.1", true},
		{"nothing", nil, "10.0.0.1", false},
		{"CA not sent", []*x509.Certificate{leaf}, "10.0.0.1", false},
		{"CA as the server's own certificate", []*x509.Certificate{ca.cert}, "10.0.0.1", false},
		{"another CA", []*x509.Certificate{foreign, other.cert}, "10.0.0.1", false},
		{"another CA's certificate beside the pinned CA", []*x509.Certificate{foreign, other.cert, ca.cert}, "10.0.0.1", false},
		{"another host", []*x509.Certificate{leaf, ca.cert}, "10.0.0.2", false},
		{"an agent's certificate", []*x509.Certificate{client, ca.cert}, "10.0.0.1", false},
	} {
		err := ca.pin().verify(c.chain, c.host)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrPin) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestCertificateForAnotherKeyIsRefused(t *testing.T) {
	ca, id, other := newAuthority(t), newTestIdentity(t), newKey(t)
	if err := id.accept(ca.leaf(t, &id.key.PublicKey, x509.ExtKeyUsageClientAuth, "").Raw, 60, time.Now()); err != nil {
		t.Fatalf("the control is refused: %v", err)
	}
	if err := id.accept(ca.leaf(t, &other.PublicKey, x509.ExtKeyUsageClientAuth, "").Raw, 60, time.Now()); err == nil {
		t.Error("a certificate for another key was taken")
	}
	if err := id.accept([]byte("junk"), 60, time.Now()); err == nil {
		t.Error("junk was taken for a certificate")
	}
}

func TestLifeIsBounded(t *testing.T) {
	ca, id, now := newAuthority(t), newTestIdentity(t), time.Now()
	der := ca.leaf(t, &id.key.PublicKey, x509.ExtKeyUsageClientAuth, "").Raw
	for seconds, want := range map[int64]time.Duration{-5: shortestLife, 0: shortestLife, 60: time.Minute, 1 << 62: longestLife} {
		if err := id.accept(der, seconds, now); err != nil || id.valid != want {
			t.Errorf("%d s: got %s, %v", seconds, id.valid, err)
		}
	}
	if err := id.accept(der, 100, now); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]time.Duration{0: 50 * time.Second, 60 * time.Second: 20 * time.Second, 99500 * time.Millisecond: time.Second} {
		if got := id.untilRenewal(now.Add(after)); got != want {
			t.Errorf("after %s the renewal comes in %s, want %s", after, got, want)
		}
	}
	if id.enrolled(now.Add(100*time.Second)) || !id.enrolled(now.Add(99*time.Second)) {
		t.Error("the end of the certificate is not where it must be")
	}
}

func newTestIdentity(t *testing.T) *identity {
	t.Helper()
	id, err := newIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
