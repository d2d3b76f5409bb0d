package setup

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/bootserver"
)

// siteLifetime is how long the certificate of a stand-alone pxe-server holds. A person issues the next one.
const siteLifetime = 365 * 24 * time.Hour

var siteForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// IssueSite writes what the pxe-server of a site needs into a folder: tls.crt, tls.key and ca.crt. It needs only REST of the Config.
func IssueSite(ctx context.Context, cfg Config, site, folder string) error {
	if !siteForm.MatchString(site) {
		return fmt.Errorf("--site %q: it has 1 to 63 lower-case letters, digits and dashes", site)
	}
	cfg.AgentListen, cfg.AgentURL = "unused", "https://unused"
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	scheme, err := Scheme()
	if err != nil {
		return err
	}
	t, err := loadTrust(ctx, cfg, scheme)
	if err != nil {
		return err
	}
	cert, key, err := signSite(cfg, t, site)
	if err != nil {
		return err
	}
	return writeFiles(folder, map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": authority.EncodeCertificate(t.pxe.DER())})
}

// signSite makes a key and its certificate, both PEM.
func signSite(cfg Config, t trust, site string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), cfg.Random)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	leaf := authority.Leaf{
		CommonName: "site:" + site, URI: bootserver.SiteURI(t.installation, site), Usage: x509.ExtKeyUsageClientAuth, Valid: siteLifetime,
	}
	der, err := t.pxe.Sign(private.Public(), leaf, cfg.Now(), cfg.Random)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a key: %w", err)
	}
	return authority.EncodeCertificate(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// writeFiles writes new files that only their owner reads. It overwrites nothing, and leaves nothing half-written behind.
func writeFiles(folder string, files map[string][]byte) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("making the folder %s: %w", folder, err)
	}
	for name := range files {
		if _, err := os.Lstat(filepath.Join(folder, name)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("writing %s: it exists already; choose another folder with --out", filepath.Join(folder, name))
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			return fmt.Errorf("writing the certificate: %w", err)
		}
	}
	return nil
}
