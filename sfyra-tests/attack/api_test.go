package main

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

const x509Client = x509.ExtKeyUsageClientAuth

// apiCertificate is a certificate of the group of the controllers from the authority of the API server's clients, made at a time.
func apiCertificate(t *testing.T, at time.Time) *tls.Certificate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testapi.Config(t).Dir, "pki", "client-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	var ca *x509.Certificate
	var signer any
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			ca, err = x509.ParseCertificate(block.Bytes)
		} else {
			signer, err = x509.ParseECPrivateKey(block.Bytes)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return signed(t, ca, signer, at)
}

// signed is a client certificate of the controllers' group; without a signer it is signed by itself.
func signed(t *testing.T, ca *x509.Certificate, signer any, at time.Time) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ingot:controller", Organization: []string{"ingot:controllers"}},
		NotBefore: at.Add(-time.Minute), NotAfter: at.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509Client}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if signer == nil {
		ca, signer = leaf, key
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), signer.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
