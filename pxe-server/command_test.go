package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes one self-signed certificate that serves as CA, certificate and key.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{{Scheme: "ingot", Host: "x", Path: "/site/s1"}}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	fatal(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	fatal(t, err)
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	return write(t, "all.pem", string(text))
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	fatal(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := command()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.ExecuteContext(context.Background())
	return out.String(), err
}

func file(t *testing.T, pem string) string {
	t.Helper()
	return write(t, "pxe.yaml", `apiVersion: pxe.ingot.dev/v1alpha1
kind: PXEServerConfig
interface: eth1
stateDir: /var/lib/ingot
agentImage: /usr/share/ingot
controller: {address: "ingot.example.org:7444", certificate: `+pem+`, key: `+pem+`, ca: `+pem+`}
dhcp: {network: {pools: ["192.0.2.100-192.0.2.199"]}}
`)
}

// TestCheck: a good file passes, flags alone pass, a flag wins over the file, and nothing is opened.
func TestCheck(t *testing.T) {
	pem := certificate(t)
	config := file(t, pem)
	flags := []string{"check", "--interface", "eth1", "--agent-image", "i", "--controller", "h:1", "--cert", pem, "--key", pem, "--ca", pem, "--dhcp-pool", "192.0.2.1-192.0.2.9"}
	for name, args := range map[string][]string{
		"file":          {"check", "--config", config},
		"flags":         flags,
		"two images":    append(flags[:len(flags):len(flags)], "--agent-image", "j"),
		"DHCP disabled": append(flags[:len(flags)-2:len(flags)-2], "--no-dhcp"),
	} {
		if out, err := run(t, args...); err != nil || !strings.Contains(out, "The configuration is good.") {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	for want, args := range map[string][]string{
		"--address":                {"--address", "here"},
		"address: ::1 is neither":  {"--address", "::1"},
		"HOST:PORT":                {"--controller", "nowhere"},
		"FIRST-LAST":               {"--dhcp-pool", "192.0.2.9"},
		"httpPort: 99999":          {"--http-port", "99999"},
		"(--ca)":                   {"--ca", "none"},
		"(--cert, --key)":          {"--key", "none"},
		"certificate, key and ca":  {"--cert", ""},
		"it is disabled, so pools": {"--no-dhcp"},
		"interface: name":          {"--interface", ""},
		"stateDir: name":           {"--state-dir", ""},
		"agentImage: name":         {"--agent-image", ""},
		"moreImages: one":          {"--agent-image", "i", "--agent-image", ""},
	} {
		if _, err := run(t, append([]string{"check", "--config", config}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
	for want, text := range map[string]string{"unknown field": "a: b", "want kind": "kind: X", "no such file": ""} {
		path := "none.yaml"
		if text != "" {
			path = write(t, "bad.yaml", text)
		}
		if _, err := run(t, "check", "--config", path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", want, err)
		}
	}
}

// TestServeStopsAtTheStart: mistakes end the program before it opens anything.
func TestServeStopsAtTheStart(t *testing.T) {
	config := file(t, certificate(t))
	for want, args := range map[string][]string{
		"pxe-server --help": {},
		"--log-level":       {"--config", config, "--log-level", "loud"},
		"`ip link`":         {"--config", config, "--interface", "none0", "--state-dir", t.TempDir()},
		"unknown command":   {"serve"},
		"unknown flag":      {"--interfaces", "x"},
	} {
		if _, err := run(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}

// TestHelp: the file in the help text is one that works, and every flag is described.
func TestHelp(t *testing.T) {
	out, err := run(t, "--help")
	fatal(t, err)
	_, text, ok := strings.Cut(out, "The file:\n\n")
	text, _, end := strings.Cut(text, "\n\nUsage:")
	if !ok || !end {
		t.Fatalf("help has no file:\n%s", out)
	}
	pem := certificate(t)
	path := write(t, "help.yaml", strings.ReplaceAll(text, "\n  ", "\n")[2:])
	if _, err := run(t, "check", "--config", path, "--cert", pem, "--key", pem, "--ca", pem); err != nil {
		t.Errorf("the file in the help text: %v", err)
	}
	if out, err := run(t, "--version"); err != nil || !strings.Contains(out, "pxe-server version ") {
		t.Errorf("version: %q, %v", out, err)
	}
}

// TestAssets: files go into the folder of the configuration, and a configuration that cannot be read is not passed over.
func TestAssets(t *testing.T) {
	kernel, state := write(t, "vmlinuz", "MZ a kernel"), t.TempDir()
	out, err := run(t, "assets", "import", kernel, "--state-dir", state)
	if err != nil || !strings.Contains(out, "sha256: ") {
		t.Fatalf("%q, %v", out, err)
	}
	_, digest, _ := strings.Cut(strings.TrimSpace(out), "sha256: ")
	if out, err := run(t, "assets", "list", "--state-dir", state); err != nil || !strings.Contains(out, digest) {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := run(t, "assets", "import", kernel, "--config", state+"/none.yaml"); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("a configuration that is not there: %v", err)
	}
	if _, err := run(t, "assets", "import"); err == nil {
		t.Error("nothing to import is taken")
	}
}
