package controlplane

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ingot.dev/ingot/metal-controller/ingot/statedir"
)

// Identities of the two client certificates.
const (
	adminUser       = "ingot:admin"
	adminGroup      = "system:masters"
	controllerUser  = "ingot:controller"
	controllerGroup = "ingot:controllers"
)

const (
	caLife   = 20 * 365 * 24 * time.Hour
	leafLife = 365 * 24 * time.Hour
	backdate = time.Hour // for clients whose clock is slow
)

// pki is all key material of the control plane. The two CAs are apart: who can sign a server cannot make an administrator.
type pki struct {
	dir                                           string
	serverCA, clientCA                            *pair
	server, admin, controller                     *pair
	clientCAFile, serverFile, signerFile, encFile string
}

// names are what the API server's certificate is valid for.
type names struct {
	dns []string
	ips []net.IP
}

// preparePKI loads the key material below dir and makes what is missing. With established, data exists that depends on the files that cannot
// be made again, and a missing one is an error rather than a reason for a new one.
func preparePKI(dir string, established bool, n names, now time.Time) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating folder for keys: %w", err)
	}
	p := &pki{
		dir:          dir,
		clientCAFile: filepath.Join(dir, "client-ca.crt"),
		serverFile:   filepath.Join(dir, "server.pem"),
		signerFile:   filepath.Join(dir, "service-accounts.key"),
		encFile:      filepath.Join(dir, "encryption.yaml"),
	}
	if err := p.roots(established, now); err != nil {
		return nil, err
	}
	if err := p.leaves(n, now); err != nil {
		return nil, err
	}
	// The file that the API server publishes to every client must never hold a key, hence it is apart from client-ca.pem.
	return p, statedir.WriteFile(p.clientCAFile, p.clientCA.certPEM(), 0o600)
}

// roots are the files on which stored data and handed-out credentials depend.
func (p *pki) roots(established bool, now time.Time) (err error) {
	if p.serverCA, err = p.authority("server-ca.pem", "Ingot API server CA", established, now); err != nil {
		return err
	}
	if p.clientCA, err = p.authority("client-ca.pem", "Ingot API client CA", established, now); err != nil {
		return err
	}
	if err := ensureRoot(p.signerFile, established, newSigner, checkSigner); err != nil {
		return err
	}
	return ensureRoot(p.encFile, established, newEncryption, checkEncryption)
}

func (p *pki) authority(file, cn string, established bool, now time.Time) (*pair, error) {
	var ca *pair
	parse := func(data []byte) (err error) {
		ca, err = parsePair(data)
		return err
	}
	create := func() ([]byte, error) {
		made, err := newAuthority(cn, now)
		if err != nil {
			return nil, err
		}
		return made.encode()
	}
	if err := ensureRoot(filepath.Join(p.dir, file), established, create, parse); err != nil {
		return nil, err
	}
	return ca, checkClock(filepath.Join(p.dir, file), ca.cert, now)
}

func newAuthority(cn string, now time.Time) (*pair, error) {
	return sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: cn}, NotBefore: now.Add(-backdate), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
}

// checkClock refuses to start outside the life of a CA: no client would accept what it signs, and the usual cause is a clock that is wrong.
func checkClock(path string, ca *x509.Certificate, now time.Time) error {
	if now.Before(ca.NotBefore) || now.After(ca.NotAfter) {
		return fmt.Errorf("%s is valid from %s to %s, but this machine's clock says %s; set the clock", path,
			ca.NotBefore.Format(time.DateOnly), ca.NotAfter.Format(time.DateOnly), now.UTC().Format(time.DateTime))
	}
	return nil
}

// ensureRoot reads a file that cannot be made again, or makes it where that loses nothing.
func ensureRoot(path string, established bool, create func() ([]byte, error), parse func([]byte) error) error {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && established:
		return fmt.Errorf("%s is missing, but the data next to it depends on it; restore it from a backup. Nothing was changed", path)
	case errors.Is(err, fs.ErrNotExist):
		if data, err = create(); err != nil {
			return err
		}
		if err := statedir.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("reading key file: %w", err)
	}
	if err := parse(data); err != nil {
		return fmt.Errorf("%s is damaged (%w); restore it from a backup. Nothing was changed", path, err)
	}
	return nil
}

// leaves are the certificates that are made anew whenever they are missing, damaged, of another CA, for other names, or near their end.
func (p *pki) leaves(n names, now time.Time) (err error) {
	if p.server, err = p.leaf("server.pem", p.serverCA, serverTemplate(n), now); err != nil {
		return err
	}
	if p.admin, err = p.leaf("admin.pem", p.clientCA, clientTemplate(adminUser, adminGroup), now); err != nil {
		return err
	}
	p.controller, err = p.leaf("controller.pem", p.clientCA, clientTemplate(controllerUser, controllerGroup), now)
	return err
}

func serverTemplate(n names) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "ingot-api-server"}, DNSNames: n.dns, IPAddresses: n.ips,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

func clientTemplate(user string, groups ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject:  pkix.Name{CommonName: user, Organization: groups},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func (p *pki) leaf(file string, ca *pair, want *x509.Certificate, now time.Time) (*pair, error) {
	path := filepath.Join(p.dir, file)
	if data, err := os.ReadFile(path); err == nil {
		if old, err := parsePair(data); err == nil && stillGood(old.cert, ca.cert, want, now) {
			return old, nil
		}
	}
	want.NotBefore, want.NotAfter = now.Add(-backdate), now.Add(leafLife)
	made, err := sign(want, ca)
	if err != nil {
		return nil, err
	}
	data, err := made.encode()
	if err != nil {
		return nil, err
	}
	return made, statedir.WriteFile(path, data, 0o600)
}

// stillGood tells whether a leaf can be kept: of this CA, for exactly what is wanted, with a third of its life left.
func stillGood(have, ca, want *x509.Certificate, now time.Time) bool {
	third := have.NotAfter.Sub(have.NotBefore) / 3
	return have.CheckSignatureFrom(ca) == nil &&
		have.Subject.String() == want.Subject.String() &&
		slices.Equal(have.DNSNames, want.DNSNames) &&
		slices.EqualFunc(have.IPAddresses, want.IPAddresses, net.IP.Equal) &&
		!now.Before(have.NotBefore) && have.NotAfter.Sub(now) >= third
}
