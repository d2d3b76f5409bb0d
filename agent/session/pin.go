// Package session talks to the controller: it enrols, reports the inventory and does what it is told, over one TLS port.
//
// Layer 3, orchestration. Invariants: nothing is sent to a server that does not prove the pinned CA; the private key is made
// at each boot, kept for the whole of it and never leaves memory; time is measured, never read from the machine's clock.
//
// Wipes. A pair of id and generation is carried out at most once in the life of this process, however often it is sent, and only on an order
// that came over a connection with this boot's certificate. Once begun it ends by itself: it goes on while the controller is away or the
// certificate is renewed, and neither another directive nor the end of a connection stops it; only the end of the process does. One wipe runs
// at a time: an order for another, to restart or to switch off waits for it and its receipt, as long as the connection that brought it lives.
// A generation smaller than one that was begun is refused. The receipt is sent until the server answers for it, before the next report
// of the inventory, and again when the same order comes again; progress is sent only while there is a connection.
package session

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrPin says that the server's chain does not lead to the pinned CA.
var ErrPin = errors.New("the server is not the pinned one")

// Pin is the SHA-256 of the public key (SubjectPublicKeyInfo) of the CA that the server's certificate must lead to.
type Pin [sha256.Size]byte

// ParsePin reads 64 hexadecimal digits, with or without "sha256:" before them.
func ParsePin(s string) (Pin, error) {
	b, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(s), "sha256:"))
	if err != nil || len(b) != sha256.Size {
		return Pin{}, errors.New("the pin (ingot.pin) must be 64 hexadecimal digits")
	}
	return Pin(b), nil
}

// matches says whether a certificate is a CA with the pinned key.
func (p Pin) matches(c *x509.Certificate) bool {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return c.IsCA && subtle.ConstantTimeCompare(sum[:], p[:]) == 1
}

// tlsConfig trusts the pin alone. InsecureSkipVerify turns off only the standard verification, by system roots and system clock;
// VerifyConnection does its own at every handshake, also at resumed ones.
func (p Pin) tlsConfig(host string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         host,
		InsecureSkipVerify: true, // replaced by VerifyConnection below
		VerifyConnection:   func(s tls.ConnectionState) error { return p.verify(s.PeerCertificates, host) },
	}
}

// verify checks that the chain that the server sent leads to the pinned CA, which it must send too, and names host.
//
// The clock of a machine that has just been racked may be years off, so it is not asked: the time of the check is taken
// from the certificates themselves, the moment from which all of them were valid. What that gives away, the end of a
// server certificate, the pin makes up for: whoever has an old key of this CA's servers is inside already.
func (p Pin) verify(chain []*x509.Certificate, host string) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: it sent no certificate", ErrPin)
	}
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	when, pinned := chain[0].NotBefore, false
	for _, c := range chain[1:] {
		if p.matches(c) {
			roots.AddCert(c)
			when, pinned = latest(when, c.NotBefore), true
			continue
		}
		others.AddCert(c)
	}
	if !pinned {
		return fmt.Errorf("%w: no CA in its chain has the pinned key; if the controller is new, restart this machine", ErrPin)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, DNSName: host, CurrentTime: when,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPin, err)
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
