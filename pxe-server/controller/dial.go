package controller

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// maxMessage bounds a view: 50,000 servers with a few MACs each.
const maxMessage = 64 << 20

// Keepalive finds a controller that is gone without a word, within 20 seconds: so long machines are still answered as if it were there. The controller must
// allow pings this often (keepalive.EnforcementPolicy).
const (
	KeepaliveTime    = 15 * time.Second
	keepaliveTimeout = 5 * time.Second
)

// idleAfter ends a connection on which no call is open. While the controller is there, its stream of views is; when it refuses us, the next
// call makes a new handshake, which reads the certificate again: an expired one can be replaced without a restart.
const idleAfter = time.Second

// TLS names the files of a stand-alone pxe-server.
type TLS struct {
	// Certificate and Key are the pxe-server's own, CA the authority of the controller: PEM files.
	Certificate, Key, CA string
}

// Dial prepares a connection to the controller at host:port with mutual TLS 1.3. It does not connect yet. The files are read at every
// handshake, so that a renewed certificate is used without a restart. The caller closes the connection.
func Dial(address string, files TLS) (*grpc.ClientConn, error) {
	config, err := files.config()
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithIdleTimeout(idleAfter),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: KeepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the controller at %s: %w", address, err)
	}
	return conn, nil
}

func (f TLS) config() (*tls.Config, error) {
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("reading the controller's CA (--ca): %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading the controller's CA (--ca): %s holds no certificate", f.CA)
	}
	if _, err := f.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		RootCAs:              roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.load() },
	}, nil
}

// Origin names the installation and the site that the certificate is for: ingot://INSTALLATION/site/SITE, which is the same after it was renewed.
func (f TLS) Origin() (string, error) {
	c, err := f.load()
	if err != nil {
		return "", err
	}
	if len(c.Leaf.URIs) != 1 {
		return "", fmt.Errorf("reading the pxe-server's certificate (--cert): %s names no site; `metal-controller issue-pxe-certificate` writes one that does", f.Certificate)
	}
	return c.Leaf.URIs[0].String(), nil
}

func (f TLS) load() (*tls.Certificate, error) {
	if f.Certificate == "" || f.Key == "" {
		return nil, errors.New("a certificate and its key are needed (--cert, --key)")
	}
	c, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the pxe-server's certificate (--cert, --key): %w", err)
	}
	return &c, nil
}
