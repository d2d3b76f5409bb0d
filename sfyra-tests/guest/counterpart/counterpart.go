// Package counterpart plays Ingot's side of docs/claims.md for a test OS that QEMU boots without Ingot: it gives the machine config and hears signals.
//
// It is for tests alone, and shares nothing with Ingot's own code for that.
package counterpart

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// Paths of the one server that there is.
const (
	ConfigPath = "/v1/config/rack1-01/BOOT-1/TOKEN"
	SignalPath = "/v1/signal/rack1-01/BINDING/TOKEN"
)

// Counterpart answers one machine. Its Pin is that of its authority.
type Counterpart struct {
	Pin string

	t       *testing.T
	os      string
	address string
	chain   tls.Certificate

	mu     sync.Mutex
	seen   map[string]int
	change chan struct{}
}

// New has an authority and a certificate of it. os is the body of the TestOS document; address is an IPv4 address of ours with the port to serve at.
func New(t *testing.T, address, os string) *Counterpart {
	t.Helper()
	host, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	ca, caKey := certificate(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	leaf, key := certificate(t, &x509.Certificate{IPAddresses: []net.IP{host.Addr().AsSlice()}}, ca, caKey)
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return &Counterpart{
		t: t, os: os, address: address, Pin: hex.EncodeToString(sum[:]), seen: map[string]int{}, change: make(chan struct{}),
		chain: tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.Raw}, PrivateKey: key},
	}
}

func certificate(t *testing.T, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now(), time.Now().Add(time.Hour)
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

// Config is the whole machine config.
func (c *Counterpart) Config() string {
	return "machine: {type: worker}\n---\napiVersion: test.ingot.dev/v1\nkind: TestOS\n" + c.os + "---\napiVersion: ingot.dev/v1alpha1\nkind: Callback\n" +
		"url: https://" + c.address + SignalPath + "\npin: " + c.Pin + "\nboot: BOOT-1\nserver: rack1-01\nproviderID: ingot://rack1-01\n"
}

// Serve answers until the test ends.
func (c *Counterpart) Serve() {
	c.t.Helper()
	listener, err := tls.Listen("tcp", c.address, &tls.Config{Certificates: []tls.Certificate{c.chain}, MinVersion: tls.VersionTLS13})
	if err != nil {
		c.t.Fatal(err)
	}
	server := &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	c.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// ServeHTTP answers and notes.
func (c *Counterpart) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + r.URL.Path
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1000))
		what += " " + string(body)
	}
	if r.URL.Path == ConfigPath {
		_, _ = io.WriteString(w, c.Config())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[what]++
	close(c.change)
	c.change = make(chan struct{})
}

// Await waits until a request came so many times, or for the time of patience.
func (c *Counterpart) Await(patience time.Duration, what string, times int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		c.mu.Lock()
		n, change := c.seen[what], c.change
		c.mu.Unlock()
		if n >= times {
			return
		}
		select {
		case <-change:
		case <-ctx.Done():
			c.t.Fatalf("%q came %d times, want %d; what came: %v", what, n, times, c.seen)
		}
	}
}
