// Package talostest has a Talos cluster's authority and a small apid of ours, for tests: gRPC with mutual TLS, and the few methods that package talos calls.
package talostest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"
)

// Cluster is the authority of a cluster.
type Cluster struct {
	t    testing.TB
	cert *x509.Certificate
	key  ed25519.PrivateKey
	now  time.Time
}

// NewCluster makes an authority that holds for a day around a moment.
func NewCluster(t testing.TB, now time.Time) *Cluster {
	t.Helper()
	c := &Cluster{t: t, now: now}
	cert, key := c.issue(&x509.Certificate{
		Subject: pkix.Name{Organization: []string{"talos"}}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	})
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	c.cert, c.key = parsed, key
	return c
}

// issue makes a certificate; the first one signs itself.
func (c *Cluster) issue(template *x509.Certificate) (der []byte, key ed25519.PrivateKey) {
	c.t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	serial := make([]byte, 16)
	_, _ = rand.Read(serial)
	template.SerialNumber = new(big.Int).SetBytes(serial)
	template.NotBefore, template.NotAfter = c.now.Add(-24*time.Hour), c.now.Add(24*time.Hour)
	parent, signer := c.cert, c.key
	if parent == nil {
		parent, signer = template, key
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, parent, public, signer); err != nil {
		c.t.Fatal(err)
	}
	return der, key
}

// server is the certificate of an apid at addresses.
func (c *Cluster) server(addresses ...net.IP) tls.Certificate {
	der, key := c.issue(&x509.Certificate{IPAddresses: addresses, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Talosconfig is a file with a client certificate of a role.
func (c *Cluster) Talosconfig(role string) []byte {
	c.t.Helper()
	der, key := c.issue(&x509.Certificate{
		Subject: pkix.Name{Organization: []string{role}}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return fmt.Appendf(nil, "context: c1\ncontexts:\n  c1:\n    endpoints: [192.0.2.1]\n    ca: %s\n    crt: %s\n    key: %s\n", c.CA(), encode("CERTIFICATE", der), c.pkcs8(key))
}

// CA is the authority's certificate as configs hold it: PEM in base64.
func (c *Cluster) CA() string { return encode("CERTIFICATE", c.cert.Raw) }

// Key is the authority's key as configs hold it. Talos calls its PEM block so, whatever is in it.
func (c *Cluster) Key() string { return c.pkcs8(c.key) }

func (c *Cluster) pkcs8(key ed25519.PrivateKey) string {
	c.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	return encode("ED25519 PRIVATE KEY", der)
}

func encode(kind string, der []byte) string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// ControlPlane is a machine config with the authority and its key, after another document.
func (c *Cluster) ControlPlane() []byte {
	return fmt.Appendf(nil, "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: a\n---\nversion: v1alpha1\nmachine:\n  type: controlplane\n  ca: {crt: %s, key: %s}\n%s", c.CA(), c.Key(), rest)
}

// Worker is a machine config with the authority alone.
func (c *Cluster) Worker() []byte {
	return fmt.Appendf(nil, "version: v1alpha1\nmachine:\n  type: worker\n  ca: {crt: %s, key: \"\"}\n%s", c.CA(), rest)
}

// rest is what Talos wants besides.
const rest = "  token: aaaaaa.bbbbbbbbbbbbbbbb\n  install: {disk: /dev/sda}\ncluster: {controlPlane: {endpoint: \"https://192.0.2.10:6443\"}}\n"
