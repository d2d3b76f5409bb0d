package redfish

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"sync"

	"ingot.dev/ingot/metal-controller/bmc"
)

// pin judges the certificate of a BMC. BMCs sign their own certificates, so chains and names prove nothing;
// the SHA-256 of the certificate does.
type pin struct {
	want string

	mu   sync.Mutex
	seen string
}

// Seen is the certificate last shown, "" before the first handshake.
func (p *pin) Seen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *pin) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// The chain is not verified, since there is none: VerifyConnection checks the pin, in the handshake and
		// so before any byte of a request.
		InsecureSkipVerify: true,
		VerifyConnection:   p.verify,
		NextProtos:         []string{"http/1.1"},
	}
}

func (p *pin) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return bmc.Fail(bmc.ErrUnsupported, "", "it shows no certificate")
	}
	sum := sha256.Sum256(state.PeerCertificates[0].Raw)
	got := hex.EncodeToString(sum[:])
	p.mu.Lock()
	p.seen = got
	p.mu.Unlock()
	if p.want != "" && p.want != got {
		return bmc.Fail(bmc.ErrCertificateChanged, "",
			"pinned %s, shown %s; if the BMC was replaced or reset, pin the new one", p.want, got)
	}
	return nil
}
