package setup_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/authority"
)

// issuer makes certificates as the installation could have made them.
type issuer struct {
	t         *testing.T
	authority *authority.Authority
	id        string
}

// issuerOf reads an authority of the installation, with the rights of an administrator.
func issuerOf(t *testing.T, name string) issuer {
	t.Helper()
	var ca, installation corev1.Secret
	for object, n := range map[*corev1.Secret]string{&ca: name, &installation: "ingot-installation"} {
		if err := admin(t).Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: n}, object); err != nil {
			t.Fatal(err)
		}
	}
	a, err := authority.Parse(ca.Data["tls.crt"], ca.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	return issuer{t, a, string(installation.Data["id"])}
}

// cert signs one certificate.
func (i issuer) cert(l authority.Leaf, at time.Time) *tls.Certificate {
	i.t.Helper()
	k := newKey(i.t)
	der, err := i.authority.Sign(k.Public(), l, at, rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}

// dialBoot connects as a pxe-server does: the authority from a file, the name from the address.
func dialBoot(t *testing.T, addr string, i issuer, cert *tls.Certificate) *grpc.ClientConn {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.EncodeCertificate(i.authority.DER()))
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
