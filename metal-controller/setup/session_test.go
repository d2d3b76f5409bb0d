package setup_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// TestRenew: a renewed certificate names the same Server, boot and key, and works; another key gets none.
func TestRenew(t *testing.T) {
	c := start(t, nil)
	m, err := boots(t, c, "boot-renew", &agent.Evidence{Macs: []string{"02:00:00:00:0b:01"}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(key *ecdsa.PrivateKey) (*agent.RenewResponse, error) {
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		return m.client.Renew(t.Context(), &agent.RenewRequest{Csr: csr})
	}
	if _, err := ask(newKey(t)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("for another key: %v; want InvalidArgument", err)
	}
	r, err := ask(m.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if old, _ := x509.ParseCertificate(m.cert.Certificate[0]); cert.URIs[0].String() != old.URIs[0].String() || !m.key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("renewed for %v", cert.URIs)
	}
	conn := dial(t, c.AgentAddr, nextSource(), firstView(t, c.Boot).Agent.Pin, &tls.Certificate{Certificate: [][]byte{r.Certificate}, PrivateKey: m.key})
	m.client = agent.NewAgentClient(conn)
	if err := report(t, m, "02:00:00:00:0b:01"); err != nil {
		t.Errorf("with the renewed certificate: %v", err)
	}
}

// TestDeletedServer: deleting a Server ends its agent's sessions and voids its certificate; the machine may enrol again.
func TestDeletedServer(t *testing.T) {
	c := start(t, nil)
	e := &agent.Evidence{Macs: []string{"02:00:00:00:0c:01"}}
	m, err := boots(t, c, "boot-deleted", e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var streams []agent.Agent_WatchClient
	for range 3 {
		s, err := m.client.Watch(ctx, &agent.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	if s, err := m.client.Watch(ctx, &agent.WatchRequest{}); err != nil {
		t.Fatal(err)
	} else if _, err := s.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one session too many: %v; want ResourceExhausted", err)
	}
	if err := admin(t).Delete(ctx, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: m.server}}); err != nil {
		t.Fatal(err)
	}
	for _, s := range streams {
		err := error(nil)
		for err == nil {
			_, err = s.Recv()
		}
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("a session of a deleted Server ended with %v; want Unauthenticated", err)
		}
	}
	if err := report(t, m, "02:00:00:00:0c:01"); status.Code(err) != codes.Unauthenticated {
		t.Errorf("reporting to a deleted Server: %v; want Unauthenticated", err)
	}
	again, err := insist(t, c, "boot-deleted", e)
	if err != nil || again.server == m.server {
		t.Errorf("enrolling again: %v %v", again, err)
	}
}
