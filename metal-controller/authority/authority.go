// Package authority is a small certificate authority: one for agents, one for pxe-servers. Each is its own root and signs leaves only.
//
// It is an adapter (layer 2) over crypto/x509: no I/O, clock and randomness come from the caller. Where keys are kept is the caller's business.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"time"
)

// lifetime of a root. It outlives the machines' certificates by far; rotation comes with a new Secret.
const lifetime = 10 * 365 * 24 * time.Hour

// skew is how far a leaf is dated back, since a freshly booted machine's clock may be behind.
const skew = 5 * time.Minute

// Authority signs leaves.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// New makes a root and returns it as PEM: certificate and PKCS #8 key.
func New(name string, now time.Time, random io.Reader) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, nil, fmt.Errorf("making the key of %s: %w", name, err)
	}
	serial, err := serialNumber(random)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-skew), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the key of %s: %w", name, err)
	}
	return EncodeCertificate(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// Parse reads what New returned.
func Parse(certPEM, keyPEM []byte) (*Authority, error) {
	c, _ := pem.Decode(certPEM)
	k, _ := pem.Decode(keyPEM)
	if c == nil || k == nil {
		return nil, errors.New("reading a certificate authority: tls.crt or tls.key is not PEM")
	}
	cert, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of an authority: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err != nil {
		return nil, errors.New("reading the key of an authority: it is not PKCS #8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !cert.IsCA || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("reading a certificate authority: key and certificate do not belong together")
	}
	return &Authority{cert: cert, key: key}, nil
}

// Leaf says what a certificate is for.
type Leaf struct {
	CommonName string
	// URI, DNSNames and IPs are subject alternative names.
	URI      *url.URL
	DNSNames []string
	IPs      []net.IP
	// Usage is client or server authentication, one of them.
	Usage x509.ExtKeyUsage
	Valid time.Duration
}

// Sign issues a leaf for a public key. It takes nothing from the request but the key.
func (a *Authority) Sign(public crypto.PublicKey, l Leaf, now time.Time, random io.Reader) ([]byte, error) {
	serial, err := serialNumber(random)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: l.CommonName},
		NotBefore: now.Add(-skew), NotAfter: now.Add(l.Valid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{l.Usage},
		BasicConstraintsValid: true, DNSNames: l.DNSNames, IPAddresses: l.IPs,
	}
	if l.URI != nil {
		template.URIs = []*url.URL{l.URI}
	}
	der, err := x509.CreateCertificate(random, template, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", l.CommonName, err)
	}
	return der, nil
}

// Verify checks that a leaf is ours, in time and meant for the usage.
func (a *Authority) Verify(leaf *x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// DER is the root's certificate.
func (a *Authority) DER() []byte { return a.cert.Raw }

// Pin is the SHA-256 of the root's public key (SPKI, DER) in lower-case hexadecimal.
func (a *Authority) Pin() string {
	sum := sha256.Sum256(a.cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// EncodeCertificate turns DER into PEM.
func EncodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// serialNumber is 127 random bits (RFC 5280 section 4.1.2.2 allows 20 octets and wants it positive).
func serialNumber(random io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b), nil
}
