package erase

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"
)

// Limits of what is read. A ConfigMap holds at most one MiB.
const (
	maxEnvelope  = 1 << 20
	maxPublicKey = 4 << 10
	maxDisks     = 256
)

// ErrSignature says that an envelope was not signed with the key, or was changed afterwards.
var ErrSignature = errors.New("the signature does not fit: the record was changed, or another installation signed it")

// Verify checks an envelope against a public key (PEM) and returns the record in it. It is strict: whatever is unknown, double, missing or written
// in another way is an error. It does not judge what the record says: see Record.Clean.
func Verify(envelopeJSON, publicKey []byte) (Record, error) {
	key, finger, err := parsePublic(publicKey)
	if err != nil {
		return Record{}, err
	}
	payload, sig, err := open(envelopeJSON, finger)
	if err != nil {
		return Record{}, fmt.Errorf("reading an erase record: %w", err)
	}
	digest := sha256.Sum256(preAuth(payload))
	if !ecdsa.VerifyASN1(key, digest[:], sig) {
		return Record{}, fmt.Errorf("checking an erase record: %w", ErrSignature)
	}
	r, err := decode(payload)
	if err != nil {
		return Record{}, fmt.Errorf("reading an erase record: %w", err)
	}
	if r.Key.Fingerprint != finger {
		return Record{}, errors.New("reading an erase record: it names another key than the one that signed it")
	}
	return r, nil
}

// Fingerprint of a public key (PEM): the SHA-256 of its SPKI in DER, lower-case hexadecimal.
func Fingerprint(publicKey []byte) (string, error) {
	_, finger, err := parsePublic(publicKey)
	return finger, err
}

func parsePublic(text []byte) (*ecdsa.PublicKey, string, error) {
	if len(text) > maxPublicKey {
		return nil, "", errors.New("reading the public key: it is too long for one")
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, "", errors.New("reading the public key: it is not one block of PEM that begins with BEGIN PUBLIC KEY")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, "", errors.New("reading the public key: it is no ECDSA P-256 key")
	}
	return key, fingerprint(block.Bytes), nil
}

// open takes an envelope apart. Only the signature of the key with that fingerprint is looked at, and it must be the only one.
func open(text []byte, finger string) (payload, sig []byte, err error) {
	if len(text) > maxEnvelope {
		return nil, nil, fmt.Errorf("it has more than %d bytes", maxEnvelope)
	}
	var e envelope
	if err := strict(text, &e); err != nil {
		return nil, nil, fmt.Errorf("it is no envelope: %w", err)
	}
	if e.PayloadType != PayloadType {
		return nil, nil, fmt.Errorf("it holds %.64q, not %q", e.PayloadType, PayloadType)
	}
	if len(e.Signatures) != 1 {
		return nil, nil, fmt.Errorf("it has %d signatures; want one", len(e.Signatures))
	}
	if e.Signatures[0].KeyID != finger {
		return nil, nil, fmt.Errorf("the key %.64q signed it, not %s: %w", e.Signatures[0].KeyID, finger, ErrSignature)
	}
	b64 := base64.StdEncoding.Strict()
	if payload, err = b64.DecodeString(e.Payload); err != nil {
		return nil, nil, fmt.Errorf("its payload is not base64: %w", err)
	}
	if sig, err = b64.DecodeString(e.Signatures[0].Sig); err != nil {
		return nil, nil, fmt.Errorf("its signature is not base64: %w", err)
	}
	return payload, sig, nil
}

// decode reads a payload and refuses one that encode would not write.
func decode(payload []byte) (Record, error) {
	var r Record
	if err := strict(payload, &r); err != nil {
		return Record{}, fmt.Errorf("its payload is no record: %w", err)
	}
	if err := r.check(); err != nil {
		return Record{}, err
	}
	again, err := encode(r)
	if err != nil {
		return Record{}, err
	}
	if !bytes.Equal(again, payload) {
		return Record{}, errors.New("its payload is not in the one form of a record")
	}
	return r, nil
}

// strict decodes one JSON value with known fields only and nothing behind it.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}

// check says what a record lacks.
func (r Record) check() error {
	if r.SchemaVersion != SchemaVersion {
		return fmt.Errorf("its schema version is %d; this program knows %d", r.SchemaVersion, SchemaVersion)
	}
	for field, value := range map[string]string{
		"installation": r.Installation, "server": r.Server, "wipe.id": r.Wipe.ID, "agent.bootID": r.Agent.BootID,
		"key.fingerprint": r.Key.Fingerprint, "key.publicKey": r.Key.PublicKey,
	} {
		if value == "" {
			return fmt.Errorf("its field %s is empty", field)
		}
	}
	if rank(r.Wipe.Level) == 0 || r.Wipe.Generation < 1 {
		return errors.New("its wipe has no known level, or no generation")
	}
	if !whole(r.Wipe.GrantedAt) || !whole(r.Wipe.VerifiedAt) {
		return errors.New("a time of it is missing, or is not UTC in whole seconds")
	}
	if r.Disks == nil || len(r.Disks) > maxDisks {
		return fmt.Errorf("it has no list of disks, or one of more than %d", maxDisks)
	}
	for _, d := range r.Disks {
		if d.WWID == "" && d.Serial == "" || d.Verdict != Erased && d.Verdict != NotErased || (d.Verdict == Erased) != (d.Error == "") {
			return fmt.Errorf("its row of the disk %.64q contradicts itself", d.Serial)
		}
	}
	return nil
}

func whole(t time.Time) bool { return !t.IsZero() && t.Location() == time.UTC && t.Nanosecond() == 0 }
