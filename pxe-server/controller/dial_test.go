package controller_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/protocol"
)

// authority signs certificates for 127.0.0.1 and writes them as files.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca")
	return a
}

func (a authority) issue(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: a.cert == nil, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	fatal(t, err)
	cert, err := x509.ParseCertificate(der)
	fatal(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	fatal(t, err)
	a.write(t, name+".crt", "CERTIFICATE", der)
	a.write(t, name+".key", "PRIVATE KEY", keyDER)
	return cert, key
}

func (a authority) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	fatal(t, os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (a authority) path(name string) string { return filepath.Join(a.dir, name) }

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve runs a controller that wants certificates of a.
func (a authority) serve(t *testing.T) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.path("server.crt"), a.path("server.key"))
	fatal(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	srv := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	})))
	protocol.RegisterBootServer(srv, &fake{})
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	fatal(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		<-done
	})
	return l.Addr().String()
}

func report(t *testing.T, address string, files controller.TLS) error {
	t.Helper()
	conn, err := controller.Dial(address, files)
	fatal(t, err)
	defer conn.Close()
	_, err = protocol.NewBootClient(conn).Report(context.Background(), &protocol.ReportRequest{})
	return err
}

// TestDial: both sides must show a certificate of the right CA; a renewed certificate is used without dialling anew.
func TestDial(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	for _, ca := range []authority{a, other} {
		ca.issue(t, "server")
		ca.issue(t, "pxe")
	}
	address := a.serve(t)
	good := controller.TLS{Certificate: a.path("pxe.crt"), Key: a.path("pxe.key"), CA: a.path("ca.crt")}
	if err := report(t, address, good); err != nil {
		t.Errorf("control: %v", err)
	}
	for name, bad := range map[string]controller.TLS{
		"server of another CA": {Certificate: good.Certificate, Key: good.Key, CA: other.path("ca.crt")},
		"client of another CA": {Certificate: other.path("pxe.crt"), Key: other.path("pxe.key"), CA: good.CA},
	} {
		if err := report(t, address, bad); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDialFiles: what is wrong with the files is said at the start, with the flag that names them.
func TestDialFiles(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "pxe")
	good := controller.TLS{Certificate: a.path("pxe.crt"), Key: a.path("pxe.key"), CA: a.path("ca.crt")}
	for want, change := range map[string]func(*controller.TLS){
		"(--ca): open":           func(f *controller.TLS) { f.CA = a.path("none") },
		"holds no certificate":   func(f *controller.TLS) { f.CA = f.Key },
		"are needed (--cert":     func(f *controller.TLS) { f.Certificate = "" },
		"(--cert, --key): open":  func(f *controller.TLS) { f.Key = a.path("none") },
		"(--cert, --key): tls: ": func(f *controller.TLS) { f.Key = a.path("ca.key") },
	} {
		files := good
		change(&files)
		if _, err := controller.Dial("127.0.0.1:1", files); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	conn, err := controller.Dial("127.0.0.1:1", good)
	if err != nil {
		t.Fatalf("control: %v", err)
	}
	conn.Close()
}
