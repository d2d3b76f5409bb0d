package claims

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
)

// maxCSR bounds a certificate request: RSA 4096 with its signature is about 1.6 KiB.
const maxCSR = 8 << 10

// Key returns the public key of a request that proves to hold its private key. Nothing else in the request counts:
// what is signed is what we allow, never what was asked for.
func Key(der []byte) (crypto.PublicKey, error) {
	if len(der) == 0 || len(der) > maxCSR {
		return nil, errors.New("the certificate request is empty or too large")
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, errors.New("the certificate request is not PKCS #10 in DER form")
	}
	if !goodKey(csr.PublicKey) {
		return nil, errors.New("the key is not P-256, Ed25519 or RSA of 2048 to 4096 bits")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, errors.New("the certificate request is not signed by its own key")
	}
	return csr.PublicKey, nil
}

// goodKey bounds the work that a key can cause, and its weakness.
func goodKey(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return true
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 4096
	}
	return false
}

// Fingerprint is how a key is told from others: the SHA-256 of its SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7, DER), lower-case hexadecimal.
func Fingerprint(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}
