package distributed

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/bootserver"
	pxe "ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/protocol"
)

// TestWrongCertificates: the port for pxe-servers opens for the issued certificate, and for none that another authority signed with the same
// name and site; a pxe-server with another CA refuses the controller.
func TestWrongCertificates(t *testing.T) {
	c := newCluster(t)
	r := c.replica(t)
	right := c.issue(t, "s1")
	ca, key, err := authority.New("stranger", time.Now(), rand.Reader)
	ok(t, err)
	agentCA := c.secret(t, "ingot-agent-ca")
	installation := string(c.secret(t, "ingot-installation")["id"])
	stranger := forge(t, installation, ca, key)
	agents := forge(t, installation, agentCA[corev1.TLSCertKey], agentCA[corev1.TLSPrivateKeyKey])
	pxeCA := c.secret(t, "ingot-pxe-ca")
	foreign := forge(t, "00000000000000000000000000000000", pxeCA[corev1.TLSCertKey], pxeCA[corev1.TLSPrivateKeyKey])
	for _, test := range []struct {
		what, cert, ca string
		in             bool
	}{
		{"the issued certificate", right, right, true},
		{"a certificate of another authority", stranger, right, false},
		{"a certificate of the agents' authority", agents, right, false},
		{"a certificate of another installation", foreign, right, false},
		{"another CA for the controller", right, stranger, false},
		{"the issued certificate, at the end", right, right, true},
	} {
		view, err := firstView(t, r.boot, test.cert, test.ca)
		if (err == nil) != test.in {
			t.Errorf("%s: got %v, %v; want in: %v", test.what, view, err, test.in)
		}
	}
}

// TestPXEServerIsRefused: a pxe-server with a wrong certificate says so, gives machines no agent, and goes on asking.
func TestPXEServerIsRefused(t *testing.T) {
	c := newCluster(t)
	s := newSite(t, declaredMAC)
	c.replica(t)
	right := c.issue(t, "s1")
	agentCA := c.secret(t, "ingot-agent-ca")
	wrong := forge(t, string(c.secret(t, "ingot-installation")["id"]), agentCA[corev1.TLSCertKey], agentCA[corev1.TLSPrivateKeyKey])
	copyFile(t, filepath.Join(right, "ca.crt"), filepath.Join(wrong, "ca.crt"))
	p := s.pxeServer(t, wrong)
	await(t, "the pxe-server is refused", func() bool { return strings.Contains(p.out.String(), "controller is away") })
	if script := s.script(t, unknownMAC.String()); strings.Contains(script, "vmlinuz") {
		t.Errorf("without a view a machine got\n%s", script)
	}
	for _, name := range []string{"tls.key", "tls.crt"} { // control: the right files, read at the next handshake
		copyFile(t, filepath.Join(right, name), filepath.Join(wrong, name))
	}
	await(t, "the pxe-server with the right certificate has a view", func() bool { return s.status(t, "/readyz") == 200 })
}

// forge makes the folder of a pxe-server that another authority signed.
func forge(t *testing.T, installation string, caPEM, keyPEM []byte) (folder string) {
	t.Helper()
	a, err := authority.Parse(caPEM, keyPEM)
	ok(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	leaf := authority.Leaf{CommonName: "site:s1", URI: bootserver.SiteURI(installation, "s1"), Usage: x509.ExtKeyUsageClientAuth, Valid: time.Hour}
	der, err := a.Sign(key.Public(), leaf, time.Now(), rand.Reader)
	ok(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ok(t, err)
	folder = t.TempDir()
	for name, text := range map[string][]byte{
		"ca.crt": caPEM, "tls.crt": authority.EncodeCertificate(der), "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		ok(t, os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	return folder
}

// firstView connects as the program pxe-server does.
func firstView(t *testing.T, address, cert, ca string) (*protocol.View, error) {
	t.Helper()
	conn, err := pxe.Dial(address, pxe.TLS{Certificate: filepath.Join(cert, "tls.crt"), Key: filepath.Join(cert, "tls.key"), CA: filepath.Join(ca, "ca.crt")})
	ok(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := protocol.NewBootClient(conn).WatchView(ctx, &protocol.WatchViewRequest{})
	if err != nil {
		return nil, err
	}
	return stream.Recv()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	ok(t, err)
	ok(t, os.WriteFile(to, text, 0o600))
}
