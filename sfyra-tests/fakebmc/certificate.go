package fakebmc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// certificateYears is as long as factory certificates of BMCs last.
const certificateYears = 10

// selfSigned makes the kind of certificate that a BMC makes for itself: no name that matches, no authority.
func selfSigned(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making bmc key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making bmc certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "bmc"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(certificateYears, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("signing bmc certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Fingerprint is the SHA-256 of the DER form of the present certificate, in lower-case hexadecimal.
func (b *BMC) Fingerprint() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := sha256.Sum256(b.certificate.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// present is the certificate to show now. The other one is made when it is needed first.
func (b *BMC) present(swapped bool) (*tls.Certificate, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !swapped {
		certificate := b.certificate
		return &certificate, nil
	}
	if b.other == nil {
		fresh, err := selfSigned(b.config.Now())
		if err != nil {
			return nil, err
		}
		b.other = &fresh
	}
	return b.other, nil
}

// shown is a connection's memory of which certificate it began with.
type shown struct{ swapped atomic.Bool }

type shownKey struct{}

func withShown(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, shownKey{}, &shown{})
}

// stale says that a connection began with the certificate that is no longer shown.
func (b *BMC) stale(ctx context.Context) bool {
	s, ok := ctx.Value(shownKey{}).(*shown)
	return ok && s.swapped.Load() != b.faults.Get().Swapped
}

// SwapCertificate makes the BMC show a new certificate to every connection made from now on, and drops those that
// are open, as a BMC does that restarts its web server. Consoles stay.
func (b *BMC) SwapCertificate() error {
	fresh, err := selfSigned(b.config.Now())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.certificate = fresh
	for conn := range b.conns {
		_ = conn.Close() // it may be gone already
	}
	return nil
}

// track keeps the set of open connections.
func (b *BMC) track(conn net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch state {
	case http.StateNew:
		b.conns[conn] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(b.conns, conn)
	}
}

func (b *BMC) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		// A resumed session would go on with the certificate of before.
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if err := b.faults.Hang(hello.Context(), b.ctx); err != nil {
				return nil, err
			}
			swapped := b.faults.Get().Swapped
			if s, ok := hello.Context().Value(shownKey{}).(*shown); ok {
				s.swapped.Store(swapped)
			}
			return b.present(swapped)
		},
	}
}
