package talos

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	// ConfigKey is the key of a talosconfig in the Secret that Cluster API's providers for Talos make, and ConfigSuffix what its name ends with, after the
	// cluster's.
	ConfigKey    = "talosconfig"
	ConfigSuffix = "-talosconfig"
	// maxConfig bounds what is parsed, in bytes: a Secret holds no more.
	maxConfig = 1 << 20
	// certLife is how long before and after its making a certificate of ours holds. It is never kept, so it may be generous to machines whose clock is
	// in another time zone, or is not set yet.
	certLife = 24 * time.Hour
	redacted = "REDACTED"
)

// Role is what a certificate may do (Talos v1.13, pkg/machinery/role); apid takes it from the certificate's organization.
type Role string

const (
	// Reader may read what holds no secrets, and change nothing.
	Reader Role = "os:reader"
	// Admin may do everything.
	Admin Role = "os:admin"
)

// ErrNoAuthority: the machine config holds no certificate authority with its key. Those of workers do not.
var ErrNoAuthority = errors.New("the machine config holds no certificate authority with its key")

// Credentials prove to the Talos API of a cluster who asks, and to us who answers. They print as REDACTED.
type Credentials struct {
	roots *x509.CertPool
	own   tls.Certificate
}

// talosconfig is the part of the file that is used.
type talosconfig struct {
	Context  string `yaml:"context"`
	Contexts map[string]struct {
		CA  string `yaml:"ca"`
		Crt string `yaml:"crt"`
		Key string `yaml:"key"`
	} `yaml:"contexts"`
}

// ParseTalosconfig takes the credentials out of a talosconfig: those of its current context, or of its only one. Errors hold nothing of it.
func ParseTalosconfig(data []byte) (Credentials, error) {
	var f talosconfig
	if len(data) > maxConfig || yaml.Unmarshal(data, &f) != nil {
		return Credentials{}, errors.New("the talosconfig is not YAML, or too large")
	}
	if f.Context == "" && len(f.Contexts) == 1 {
		for f.Context = range f.Contexts { //nolint:revive // there is one
		}
	}
	c, ok := f.Contexts[f.Context]
	if !ok {
		return Credentials{}, errors.New("the talosconfig names no current context")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(decode(c.CA)) {
		return Credentials{}, errors.New("the talosconfig's ca is not a certificate as PEM in base64")
	}
	own, err := tls.X509KeyPair(decode(c.Crt), decode(c.Key))
	if err != nil { // what it says may quote what it read
		return Credentials{}, errors.New("the talosconfig's crt and key are not a certificate with its key as PEM in base64")
	}
	return Credentials{roots, own}, nil
}

// decode is nil for what is not base64.
func decode(text string) []byte {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}

// machineConfig is the part of Talos' first config document that is used.
type machineConfig struct {
	Kind    string `yaml:"kind"`
	Machine struct {
		CA struct {
			Crt string `yaml:"crt"`
			Key string `yaml:"key"`
		} `yaml:"ca"`
	} `yaml:"machine"`
}

// FromMachineConfig makes a certificate of a role with the authority in a machine config (a stream of YAML documents). Errors hold nothing of it;
// one of them is ErrNoAuthority.
func FromMachineConfig(config []byte, role Role, now time.Time, random io.Reader) (Credentials, error) {
	m, err := machineDocument(config)
	if err != nil {
		return Credentials{}, err
	}
	if m.Machine.CA.Crt == "" || m.Machine.CA.Key == "" {
		return Credentials{}, ErrNoAuthority
	}
	ca, err := tls.X509KeyPair(decode(m.Machine.CA.Crt), decode(m.Machine.CA.Key))
	if err != nil || !ca.Leaf.IsCA {
		return Credentials{}, errors.New("machine.ca of the machine config is not an authority with its key as PEM in base64")
	}
	own, err := issue(ca, role, now, random)
	if err != nil {
		return Credentials{}, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	return Credentials{roots, own}, nil
}

// machineDocument finds the one document without a kind.
func machineDocument(config []byte) (machineConfig, error) {
	if len(config) > maxConfig {
		return machineConfig{}, errors.New("the machine config is too large")
	}
	for d := yaml.NewDecoder(bytes.NewReader(config)); ; {
		var m machineConfig
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return machineConfig{}, ErrNoAuthority
		case err != nil: // what it says may quote what it read
			return machineConfig{}, errors.New("the machine config is no Talos config")
		case m.Kind == "":
			return m, nil
		}
	}
}

// issue makes a certificate of an authority.
func issue(ca tls.Certificate, role Role, now time.Time, random io.Reader) (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key: %w", err)
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return tls.Certificate{}, fmt.Errorf("drawing a serial number: %w", err)
	}
	der, err := x509.CreateCertificate(random, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{Organization: []string{string(role)}, CommonName: "ingot"},
		NotBefore: now.Add(-certLife), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}, ca.Leaf, public, ca.PrivateKey)
	if err != nil {
		return tls.Certificate{}, errors.New("the authority of the machine config cannot sign")
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

// String hides the credentials.
func (c Credentials) String() string { return redacted }

// GoString hides the credentials from %#v.
func (c Credentials) GoString() string { return redacted }

// Format hides the credentials from every verb, also when they are a field of something printed.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON hides the credentials.
func (c Credentials) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue hides the credentials from log/slog.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalLog hides the credentials from logr.
func (c Credentials) MarshalLog() any { return redacted }
