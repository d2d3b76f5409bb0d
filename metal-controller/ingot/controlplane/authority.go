package controlplane

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"ingot.dev/ingot/metal-controller/ingot/statedir"
)

// webhookCAFile holds the authority of webhooks. It can be made again: all that it signed is made again with it.
const webhookCAFile = "webhook-ca.pem"

// Authority signs what webhooks serve with. It is apart from the authorities of the API server and of its clients: what it signs is trusted by nobody but the API
// server, and by that for webhooks only.
type Authority struct{ ca *pair }

// Bundle is its certificate, as webhook configurations name it.
func (a *Authority) Bundle() []byte { return a.ca.certPEM() }

// Serving is a new certificate with a new key, for DNS names, valid for life from now on.
func (a *Authority) Serving(names []string, now time.Time, life time.Duration) (cert, key []byte, err error) {
	if len(names) == 0 {
		return nil, nil, errors.New("no name for the certificate of a webhook")
	}
	made, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "webhook"}, DNSNames: names, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.ca)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(made.key)
	return made.certPEM(), key, err
}

// webhookAuthority loads it or makes it.
func webhookAuthority(dir string, now time.Time) (*Authority, error) {
	path := filepath.Join(dir, webhookCAFile)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading key file: %w", err)
	}
	if err == nil {
		if ca, err := parsePair(data); err == nil && now.Before(ca.cert.NotAfter.Add(-caLife/3)) && !now.Before(ca.cert.NotBefore) {
			return &Authority{ca}, nil
		}
	}
	ca, err := newAuthority("Ingot webhook CA", now)
	if err != nil {
		return nil, err
	}
	if data, err = ca.encode(); err != nil {
		return nil, err
	}
	return &Authority{ca}, statedir.WriteFile(path, data, 0o600)
}

// AccountConfig is for a client with the rights of a ServiceAccount (the user and groups that the API server gives its tokens), and the path of a kubeconfig for it.
func (c *ControlPlane) AccountConfig(namespace, name, kubeconfig string) (*rest.Config, error) {
	user := "system:serviceaccount:" + namespace + ":" + name
	t := clientTemplate(user, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	now := c.now()
	t.NotBefore, t.NotAfter = now.Add(-backdate), now.Add(leafLife)
	id, err := sign(t, c.clientCA)
	if err != nil {
		return nil, err
	}
	cfg, err := restConfig(c.admin.Host, c.serverCA, id)
	if err != nil {
		return nil, err
	}
	return cfg, writeKubeconfig(kubeconfig, user, cfg)
}

// Webhooks are the authority of webhooks, and where the API server finds them.
func (c *ControlPlane) Webhooks() (*Authority, *Endpoints) { return c.webhooks, c.endpoints }
