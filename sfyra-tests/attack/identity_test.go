package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/authority"
)

// machine is an agent's side of a connection.
type machine struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	cert   *tls.Certificate
	conn   *grpc.ClientConn
	client agent.AgentClient
	server string
	trust  int32
}

// must takes the answer to a call that has to work.
func (m *machine) must(_ any, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// enrol is a machine that boots the agent.
func (w *world) enrol(boot, mac string) *machine {
	w.Helper()
	m := &machine{t: w.T, key: newKey(w.T)}
	r, err := agent.NewAgentClient(w.dialAgent(nil)).Enroll(w.Context(), &agent.EnrollRequest{BootId: boot, Evidence: &agent.Evidence{Macs: []string{mac}}, Csr: csr(w.T, m.key)})
	if err != nil {
		w.Fatal(err)
	}
	m.server, m.trust, m.cert = r.Server, r.TrustLevel, &tls.Certificate{Certificate: [][]byte{r.Certificate}, PrivateKey: m.key}
	m.conn = w.dialAgent(m.cert)
	m.client = agent.NewAgentClient(m.conn)
	return m
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func csr(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// sources counts addresses on the loopback, so that each caller has its own, as on a real network.
var sources atomic.Uint32

func nextSource() string {
	n := sources.Add(1) + 1
	return fmt.Sprintf("127.0.%d.%d", 1+n/250, 1+n%250)
}

// dialAgent connects to the agent port as an agent does, trusting the pin alone.
func (w *world) dialAgent(cert *tls.Certificate) *grpc.ClientConn {
	w.Helper()
	pin := w.pin()
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		for _, ca := range s.PeerCertificates {
			if sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo); hex.EncodeToString(sum[:]) == pin {
				return s.PeerCertificates[0].CheckSignatureFrom(ca)
			}
		}
		return errors.New("the pinned authority is not in the chain")
	}}
	return w.dial(w.AgentAddr, cfg, cert)
}

// dialBoot connects to the boot port as a pxe-server does.
func (w *world) dialBoot(cert *tls.Certificate) *grpc.ClientConn {
	w.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.EncodeCertificate(w.issuer("ingot-pxe-ca").authority.DER()))
	return w.dial(w.BootAddr, &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "127.0.0.1"}, cert)
}

func (w *world) dial(addr string, cfg *tls.Config, cert *tls.Certificate) *grpc.ClientConn {
	w.Helper()
	if cert != nil {
		// Whatever the server asks for: a client of ours would hold back a certificate of an authority that the server does not name.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return w.dialWith(addr, nextSource(), credentials.NewTLS(cfg))
}

func (w *world) dialWith(addr, source string, creds credentials.TransportCredentials) *grpc.ClientConn {
	w.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) { return d.DialContext(ctx, "tcp", to) }))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close() })
	return conn
}

// issuer makes certificates as the installation could have made them.
type issuer struct {
	t         *testing.T
	authority *authority.Authority
	id        string
}

// issuer reads an authority of the installation, with the rights of an administrator.
func (w *world) issuer(name string) issuer {
	w.Helper()
	var ca, installation corev1.Secret
	for object, n := range map[*corev1.Secret]string{&ca: name, &installation: "ingot-installation"} {
		if err := w.admin.Get(w.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: n}, object); err != nil {
			w.Fatal(err)
		}
	}
	a, err := authority.Parse(ca.Data["tls.crt"], ca.Data["tls.key"])
	if err != nil {
		w.Fatal(err)
	}
	return issuer{w.T, a, string(installation.Data["id"])}
}

func stranger(t *testing.T) issuer {
	t.Helper()
	c, k, err := authority.New("stranger", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Parse(c, k)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{t, a, "stranger"}
}

// leaf is a client certificate under a name, for what the path says of this installation, or of the one that elsewhere names.
func (i issuer) leaf(name, elsewhere, path string, at time.Time, use x509.ExtKeyUsage) *tls.Certificate {
	i.t.Helper()
	l := authority.Leaf{CommonName: name, Usage: use, Valid: time.Hour}
	if path != "" {
		l.URI = &url.URL{Scheme: "ingot", Host: i.id, Path: path}
	}
	if elsewhere != "" {
		l.URI.Host = elsewhere
	}
	k := newKey(i.t)
	der, err := i.authority.Sign(k.Public(), l, at, rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, i.authority.DER()}, PrivateKey: k}
}

// strangers are certificates of an agent, or of a site, that are worth nothing: none, of other authorities, of another time, use, name or installation.
func (w *world) strangers(ours, others, name, path, foreign string) map[string]*tls.Certificate {
	now, own, s := time.Now(), w.issuer(ours), stranger(w.T)
	s.id = own.id
	other := w.issuer(others)
	const forClients, forServers = x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	return map[string]*tls.Certificate{
		"none":                            nil,
		"of another authority":            s.leaf(name, "", path, now, forClients),
		"of the other port's authority":   other.leaf(name, "", path, now, forClients),
		"expired":                         own.leaf(name, "", path, now.Add(-2*time.Hour), forClients),
		"not valid yet":                   own.leaf(name, "", path, now.Add(2*time.Hour), forClients),
		"of another installation":         own.leaf(name, "elsewhere", path, now, forClients),
		"without a name":                  own.leaf(name, "", "", now, forClients),
		"of the other kind":               own.leaf(name, "", foreign, now, forClients),
		"for servers":                     own.leaf(name, "", path, now, forServers),
		"with a path that goes on":        own.leaf(name, "", path+"/x", now, forClients),
		"of this machine's API authority": apiCertificate(w.T, now),
	}
}
