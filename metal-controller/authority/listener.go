package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// listenerLifetime is how long a server certificate holds; it is replaced at half of it.
const listenerLifetime = 24 * time.Hour

// Listener keeps a server certificate fresh. Each replica makes its own; its key never leaves the process.
type Listener struct {
	authority *Authority
	leaf      Leaf
	now       func() time.Time
	random    io.Reader

	mu      sync.Mutex
	current *tls.Certificate
	renewAt time.Time
}

// Listener is a server certificate for names, which are DNS names or IP addresses.
func (a *Authority) Listener(commonName string, names []string, now func() time.Time, random io.Reader) *Listener {
	l := Leaf{CommonName: commonName, Usage: x509.ExtKeyUsageServerAuth, Valid: listenerLifetime}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			l.IPs = append(l.IPs, ip)
		} else if n != "" {
			l.DNSNames = append(l.DNSNames, n)
		}
	}
	return &Listener{authority: a, leaf: l, now: now, random: random}
}

// TLS serves the certificate with its root, since agents pin the root. Client certificates are asked for and left to the caller to verify,
// so that a refusal can say why. Tickets are off: every connection proves its key.
func (l *Listener) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		NextProtos:             []string{"h2"},
		Time:                   l.now,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.certificate() },
	}
}

func (l *Listener) certificate() (*tls.Certificate, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.current != nil && now.Before(l.renewAt) {
		return l.current, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), l.random)
	if err != nil {
		return nil, fmt.Errorf("making a server key: %w", err)
	}
	der, err := l.authority.Sign(key.Public(), l.leaf, now, l.random)
	if err != nil {
		return nil, err
	}
	l.current = &tls.Certificate{Certificate: [][]byte{der, l.authority.DER()}, PrivateKey: key}
	l.renewAt = now.Add(listenerLifetime / 2)
	return l.current, nil
}
