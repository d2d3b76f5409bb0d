package erase

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// PayloadType says what the envelope holds.
const PayloadType = "application/vnd.ingot.erase-record.v1+json"

// Signer signs records with the key of an installation. It shows its key in no way of printing it.
type Signer struct {
	key    *ecdsa.PrivateKey
	public []byte // PEM
	finger string
}

// String shows nothing of the key.
func (s *Signer) String() string { return "erase.Signer(redacted)" }

// GoString shows nothing of the key.
func (s *Signer) GoString() string { return s.String() }

// LogValue shows nothing of the key.
func (s *Signer) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON shows nothing of the key.
func (s *Signer) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// NewKey makes an ECDSA P-256 key, PKCS #8 in PEM.
func NewKey(random io.Reader) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("making the key for erase records: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key for erase records: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// NewSigner reads what NewKey returned.
func NewSigner(keyPEM []byte) (*Signer, error) {
	block, rest := pem.Decode(keyPEM)
	if block == nil || len(rest) > 0 {
		return nil, errors.New("reading the key for erase records: it is not one block of PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("reading the key for erase records: it is no ECDSA P-256 key in PKCS #8")
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the public key for erase records: %w", err)
	}
	return &Signer{key: key, public: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), finger: fingerprint(der)}, nil
}

// PublicKey is the public key, PEM.
func (s *Signer) PublicKey() []byte { return append([]byte(nil), s.public...) }

// Fingerprint is the SHA-256 of the public key (SPKI, DER), lower-case hexadecimal.
func (s *Signer) Fingerprint() string { return s.finger }

func fingerprint(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// envelope is a DSSE envelope (github.com/secure-systems-lab/dsse, envelope.md).
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"` // base64, RFC 4648 section 4
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"` // base64 of an ASN.1 ECDSA signature
}

// Sign puts a record into a signed envelope, JSON. The key is named in the record.
func (s *Signer) Sign(r Record) ([]byte, error) {
	r.Key = Key{Fingerprint: s.finger, PublicKey: string(s.public)}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("signing an erase record: %w", err)
	}
	payload, err := encode(r)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(preAuth(payload))
	sig, err := s.key.Sign(nil, digest[:], crypto.SHA256) // without randomness it is deterministic: RFC 6979
	if err != nil {
		return nil, fmt.Errorf("signing an erase record: %w", err)
	}
	b64 := base64.StdEncoding.EncodeToString
	out, err := json.Marshal(envelope{PayloadType, b64(payload), []signature{{s.finger, b64(sig)}}})
	if err != nil {
		return nil, fmt.Errorf("encoding the envelope of an erase record: %w", err)
	}
	if len(out) > maxEnvelope {
		return nil, fmt.Errorf("signing an erase record: it has %d bytes, more than the %d that are kept", len(out), maxEnvelope)
	}
	return out, nil
}

// preAuth is DSSE's pre-authentication encoding: type and length are signed too.
func preAuth(payload []byte) []byte {
	head := fmt.Sprintf("DSSEv1 %d %s %d ", len(PayloadType), PayloadType, len(payload))
	return append([]byte(head), payload...)
}
