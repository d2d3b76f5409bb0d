//go:build e2e

package main

import (
	"bytes"
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
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"

	"ingot.dev/ingot/boot-assets/initramfs/cpio/cpiotest"
	"ingot.dev/ingot/sfyra-tests/guest/install"
)

const (
	configPath = "/v1/config/rack1-01/BOOT-1/TOKEN"
	signalPath = "/v1/signal/rack1-01/BINDING/TOKEN"
)

// controller plays Ingot's side of docs/claims.md.
type controller struct {
	t     *testing.T
	os    string
	pin   string
	chain tls.Certificate

	mu     sync.Mutex
	seen   map[string]int
	change chan struct{}
}

// newController has an authority and a certificate of it. os is the body of the TestOS document.
func newController(t *testing.T, os string) *controller {
	t.Helper()
	ca, caKey := certificate(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	leaf, key := certificate(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(192, 168, 77, 1)}}, ca, caKey)
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return &controller{
		t: t, os: os, pin: hex.EncodeToString(sum[:]), seen: map[string]int{}, change: make(chan struct{}),
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

func (c *controller) config() string {
	return "machine: {type: worker}\n---\napiVersion: test.ingot.dev/v1\nkind: TestOS\n" + c.os + "---\napiVersion: ingot.dev/v1alpha1\nkind: Callback\n" +
		"url: https://192.168.77.1:7445" + signalPath + "\npin: " + c.pin + "\nboot: BOOT-1\nserver: rack1-01\nproviderID: ingot://rack1-01\n"
}

func (c *controller) serve(address string) {
	c.t.Helper()
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{c.chain}, MinVersion: tls.VersionTLS13})
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
func (c *controller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + r.URL.Path
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1000))
		what += " " + string(body)
	}
	if r.URL.Path == configPath {
		_, _ = io.WriteString(w, c.config())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[what]++
	close(c.change)
	c.change = make(chan struct{})
}

// await waits until a request came so many times.
func (c *controller) await(what string, times int) {
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

// unpack is what the image's initramfs would install.
func unpack(t *testing.T, image []byte) install.System {
	t.Helper()
	r, err := zstd.NewReader(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	archive, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, e := range cpiotest.Read(t, archive) {
		if e.Mode&0o170000 == 0o100000 {
			files[e.Name] = &fstest.MapFile{Data: e.Data}
		}
	}
	system, err := install.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return system
}
