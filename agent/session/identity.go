package session

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"time"
)

// identity is the key of this boot and the certificate that goes with it.
type identity struct {
	key         *ecdsa.PrivateKey
	csr         []byte
	certificate tls.Certificate
	// issued and valid measure the certificate's life by the monotonic clock.
	issued time.Time
	valid  time.Duration
}

// newIdentity makes a key. It is never written anywhere.
func newIdentity(random io.Reader) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	// The controller takes the name from its own knowledge; only the key and the proof of having it count.
	csr, err := x509.CreateCertificateRequest(random, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "ingot-agent"}}, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return &identity{key: key, csr: csr}, nil
}

// Bounds of a certificate's life as the server names it.
const (
	shortestLife = 10 * time.Second
	longestLife  = 365 * 24 * time.Hour
)

// accept takes a certificate that must be for our key.
func (i *identity) accept(der []byte, seconds int64, now time.Time) error {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("reading the certificate that the server gave: %w", err)
	}
	if !i.key.PublicKey.Equal(leaf.PublicKey) {
		return fmt.Errorf("the server gave a certificate for another key")
	}
	i.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: i.key, Leaf: leaf}
	i.issued = now
	i.valid = min(max(time.Duration(min(seconds, int64(longestLife/time.Second)))*time.Second, shortestLife), longestLife)
	return nil
}

// enrolled says whether there is a certificate that has not ended.
func (i *identity) enrolled(now time.Time) bool {
	return len(i.certificate.Certificate) > 0 && i.left(now) > 0
}

// left is how long the certificate lives on.
func (i *identity) left(now time.Time) time.Duration { return i.valid - now.Sub(i.issued) }

// untilRenewal is the time to half-life, or half of what is left after that: never longer than there is time.
func (i *identity) untilRenewal(now time.Time) time.Duration {
	if wait := i.valid/2 - now.Sub(i.issued); wait > 0 {
		return wait
	}
	return max(i.left(now)/2, time.Second)
}

// forget drops the certificate, so that the next step enrols again.
func (i *identity) forget() { i.certificate, i.valid = tls.Certificate{}, 0 }
