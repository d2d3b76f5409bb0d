package controlplane

import (
	"bytes"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	noon      = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	loopback  = names{dns: []string{"localhost"}, ips: []net.IP{net.IPv4(127, 0, 0, 1)}}
	roots     = []string{"server-ca.pem", "client-ca.pem", "service-accounts.key", "encryption.yaml"}
	leafFiles = []string{"server.pem", "admin.pem", "controller.pem"}
)

func prepared(t *testing.T, dir string, n names, now time.Time) *pki {
	t.Helper()
	p, err := preparePKI(dir, false, n, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func content(t *testing.T, dir, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func all(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, f := range append(append([]string{"client-ca.crt"}, roots...), leafFiles...) {
		m[f] = content(t, dir, f)
	}
	return m
}

func TestAuthoritiesAreApart(t *testing.T) {
	p := prepared(t, t.TempDir(), loopback, noon)
	for name, c := range map[string]struct {
		leaf, ca, other *pair
		usage           x509.ExtKeyUsage
	}{
		"server":     {p.server, p.serverCA, p.clientCA, x509.ExtKeyUsageServerAuth},
		"admin":      {p.admin, p.clientCA, p.serverCA, x509.ExtKeyUsageClientAuth},
		"controller": {p.controller, p.clientCA, p.serverCA, x509.ExtKeyUsageClientAuth},
	} {
		verify := func(ca *pair, usage x509.ExtKeyUsage) error {
			pool := x509.NewCertPool()
			pool.AddCert(ca.cert)
			_, err := c.leaf.cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{usage}})
			return err
		}
		if err := verify(c.ca, c.usage); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if verify(c.other, c.usage) == nil {
			t.Errorf("%s: accepted by the other CA", name)
		}
		opposite := x509.ExtKeyUsageServerAuth + x509.ExtKeyUsageClientAuth - c.usage
		if verify(c.ca, opposite) == nil {
			t.Errorf("%s: may be used the other way too", name)
		}
	}
	if s := p.controller.cert.Subject; s.CommonName != "ingot:controller" || len(s.Organization) != 1 || s.Organization[0] != "ingot:controllers" {
		t.Errorf("controller is %v", s)
	}
}

// The API server publishes this file in a ConfigMap.
func TestPublishedFileHoldsNoKey(t *testing.T) {
	dir := t.TempDir()
	p := prepared(t, dir, loopback, noon)
	if published := content(t, dir, "client-ca.crt"); strings.Contains(published, "KEY") || published != string(p.clientCA.certPEM()) {
		t.Errorf("published: %s", published)
	}
	if whole := content(t, dir, "client-ca.pem"); !strings.Contains(whole, "KEY") {
		t.Error("control: the CA's own file holds no key")
	}
}

func TestOnlyTheOwnerReads(t *testing.T) {
	dir := t.TempDir()
	prepared(t, dir, loopback, noon)
	for f := range all(t, dir) {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
}

func TestNothingChangesWithoutNeed(t *testing.T) {
	dir := t.TempDir()
	prepared(t, dir, loopback, noon)
	before := all(t, dir)
	if _, err := preparePKI(dir, true, loopback, noon.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for f, data := range all(t, dir) {
		if data != before[f] {
			t.Errorf("%s changed", f)
		}
	}
}

func TestLeavesAreRenewed(t *testing.T) {
	elsewhere := names{dns: loopback.dns, ips: []net.IP{net.IPv4(192, 0, 2, 1)}}
	third := leafLife + backdate
	third /= 3
	for name, c := range map[string]struct {
		names   names
		later   time.Duration
		damage  string // a file that is cut short
		renewed []string
	}{
		"a third left":        {names: loopback, later: leafLife - third},
		"less than a third":   {names: loopback, later: leafLife - third + time.Second, renewed: leafFiles},
		"long past":           {names: loopback, later: 3 * leafLife, renewed: leafFiles},
		"another address":     {names: elsewhere, renewed: leafFiles[:1]},
		"damaged server.pem":  {names: loopback, damage: "server.pem", renewed: leafFiles[:1]},
		"damaged admin.pem":   {names: loopback, damage: "admin.pem", renewed: leafFiles[1:2]},
		"damaged public file": {names: loopback, damage: "client-ca.crt"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			prepared(t, dir, loopback, noon)
			before := all(t, dir)
			if c.damage != "" {
				if err := os.WriteFile(filepath.Join(dir, c.damage), []byte(before[c.damage][:40]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := preparePKI(dir, true, c.names, noon.Add(c.later)); err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{}
			for _, f := range c.renewed {
				want[f] = true
			}
			for f, data := range all(t, dir) {
				if changed := data != before[f]; changed != want[f] {
					t.Errorf("%s: changed is %v, want %v", f, changed, want[f])
				}
			}
		})
	}
}

// A crash during the first start leaves any subset of the files; before there is data, the rest is made. With data, what it depends on is not.
func TestMissingRoots(t *testing.T) {
	for _, file := range roots {
		dir := t.TempDir()
		prepared(t, dir, loopback, noon)
		before := all(t, dir)
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		_, err := preparePKI(dir, true, loopback, noon)
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s missing beside data: %v; want an error with the file and the next step", file, err)
		}
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			t.Errorf("%s was made anew beside data", file)
		}
		prepared(t, dir, loopback, noon) // the control: without data
		if content(t, dir, file) == before[file] {
			t.Errorf("%s is not new", file)
		}
	}
}

func TestDamagedRoots(t *testing.T) {
	for _, file := range roots {
		for _, established := range []bool{false, true} {
			dir := t.TempDir()
			prepared(t, dir, loopback, noon)
			cut := []byte(content(t, dir, file)[:60])
			if err := os.WriteFile(filepath.Join(dir, file), cut, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := preparePKI(dir, established, loopback, noon)
			if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("%s damaged: %v", file, err)
			}
			if !bytes.Equal([]byte(content(t, dir, file)), cut) {
				t.Errorf("%s was changed", file)
			}
		}
	}
}

// A new CA makes the leaves of the old one worthless.
func TestLeavesFollowTheirAuthority(t *testing.T) {
	dir := t.TempDir()
	first := prepared(t, dir, loopback, noon)
	if err := os.Remove(filepath.Join(dir, "client-ca.pem")); err != nil {
		t.Fatal(err)
	}
	second := prepared(t, dir, loopback, noon)
	if second.admin.cert.Equal(first.admin.cert) || !second.server.cert.Equal(first.server.cert) {
		t.Error("want a new admin and the old server certificate")
	}
}

func FuzzParsePair(f *testing.F) {
	made, err := sign(serverTemplate(loopback), nil)
	if err != nil {
		f.Fatal(err)
	}
	data, err := made.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := parsePair(data); err == nil && !p.key.PublicKey.Equal(p.cert.PublicKey) {
			t.Error("accepted a certificate with another's key")
		}
	})
}

func TestWrongClock(t *testing.T) {
	dir := t.TempDir()
	prepared(t, dir, loopback, noon)
	before := all(t, dir)
	for _, now := range []time.Time{noon.Add(-2 * backdate), noon.Add(caLife + time.Hour), time.Unix(0, 0)} {
		if _, err := preparePKI(dir, true, loopback, now); err == nil || !strings.Contains(err.Error(), "set the clock") {
			t.Errorf("at %s: %v; want an error that says to set the clock", now, err)
		}
	}
	if after := all(t, dir); after["server-ca.pem"] != before["server-ca.pem"] || after["server.pem"] != before["server.pem"] {
		t.Error("files changed")
	}
	prepared(t, dir, loopback, noon.Add(caLife-time.Hour)) // the control
}
