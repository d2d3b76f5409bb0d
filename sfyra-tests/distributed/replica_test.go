package distributed

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

// replica is a metal-controller. Agent, boot and metrics are its addresses on the loopback.
type replica struct {
	*program
	agent, boot, metrics string
}

// replica starts a metal-controller and waits for its readiness probe. Without ports it keeps its defaults.
func (c *cluster) replica(t *testing.T, ports ...string) *replica {
	t.Helper()
	r := &replica{agent: "127.0.0.1:7443", boot: "127.0.0.1:7444", metrics: "127.0.0.1:7490"}
	args := []string{"--kubeconfig", c.kubeconfig, "--agent-url", "https://127.0.0.1:7443", "--boot-san", controllerIP}
	if len(ports) == 3 {
		r.agent, r.boot, r.metrics = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1], "127.0.0.1:"+ports[2]
		args = append(args, "--agent-listen", ":"+ports[0], "--boot-listen", ":"+ports[1], "--metrics-address", r.metrics, "--config-listen", ":0", "--plain-config-listen", ":0", "--events-listen", ":0", "--kernel-log-listen", ":0")
	}
	r.program = start(t, here, "metal-controller", args...)
	await(t, "metal-controller is ready", func() bool {
		select {
		case <-r.ended:
			t.Fatalf("metal-controller ended:\n%s", r.out)
		default:
		}
		status, _ := r.get(t, "/readyz")
		return status == http.StatusOK
	})
	return r
}

// get asks the port for metrics and health.
func (r *replica) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.metrics+path, nil)
	ok(t, err)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(text)
}

// leads is what its metrics say of the election; works is whether it ever reconciled anything.
func (r *replica) leads(t *testing.T) bool {
	_, text := r.get(t, "/metrics")
	return strings.Contains(text, `leader_election_master_status{name="metal-controller"} 1`)
}

func (r *replica) works(t *testing.T) bool {
	_, text := r.get(t, "/metrics")
	return strings.Contains(text, `controller_runtime_reconcile_time_seconds_count{controller="server"`)
}

// enrol registers a machine as the agent does, trusting only the authority that the cluster keeps. It returns the Server's name.
func (c *cluster) enrol(t *testing.T, r *replica, bootID, mac string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	ok(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(c.secret(t, "ingot-agent-ca")[corev1.TLSCertKey]) {
		t.Fatal("the Secret ingot-agent-ca holds no certificate")
	}
	conn, err := grpc.NewClient("passthrough:///"+r.agent, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots})))
	ok(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res, err := agent.NewAgentClient(conn).Enroll(ctx, &agent.EnrollRequest{BootId: bootID, Evidence: &agent.Evidence{Macs: []string{mac}}, Csr: csr})
	ok(t, err)
	return res.GetServer()
}

// secret is the data of a Secret in the system namespace.
func (c *cluster) secret(t *testing.T, name string) map[string][]byte {
	t.Helper()
	var s corev1.Secret
	ok(t, c.Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: name}, &s))
	return s.Data
}
