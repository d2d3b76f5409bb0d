package setup_test

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
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// patience is how long a condition may take on a loaded machine. No test measures time.
const patience = 60 * time.Second

// controller is a running setup.Run.
type controller struct {
	setup.Services
	pin string
}

// start runs a controller until the test ends.
func start(t *testing.T, change func(*setup.Config)) *controller {
	t.Helper()
	ready := make(chan setup.Services, 1)
	cfg := setup.Config{
		REST: testapi.Config(t).ControllerConfig, AgentListen: "127.0.0.1:0", AgentURL: "https://127.0.0.1:8443",
		Log: testLogger(t), Ready: func(s setup.Services) { ready <- s },
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- setup.Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case s := <-ready:
		return &controller{Services: s}
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the controller did not become ready")
	}
	return nil
}

// admin is a client with all rights.
func admin(t *testing.T) client.WithWatch {
	t.Helper()
	scheme, err := setup.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(testapi.Config(t).AdminConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits until check holds for the Server, and returns it. It looks at every change, and at nothing in between.
func eventually(t *testing.T, name string, check func(*metal.Server) bool) *metal.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := admin(t).Watch(ctx, &metal.ServerList{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	var last *metal.Server
	for e := range w.ResultChan() {
		s, ok := e.Object.(*metal.Server)
		if !ok || s.Name != name {
			continue
		}
		if last = s; check(s) {
			return s
		}
	}
	t.Fatalf("the Server did not get there; last seen: %+v", last)
	return nil
}

// machine is an agent's side of a connection.
type machine struct {
	key    *ecdsa.PrivateKey
	server string
	client agent.AgentClient
}

// boots enrols a machine as the agent does: without a certificate first, then with the one it got. The pin is checked as the agent checks it.
func boots(t *testing.T, c *controller, bootID string, e *agent.Evidence) (*machine, error) {
	t.Helper()
	m := &machine{key: newKey(t)}
	view := firstView(t, c.Boot)
	m.client = dial(t, c.AgentAddr, view.Agent.Pin, nil)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, m.key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.client.Enroll(t.Context(), &agent.EnrollRequest{BootId: bootID, Evidence: e, Csr: csr})
	if err != nil {
		return nil, err
	}
	m.server = r.Server
	m.client = dial(t, c.AgentAddr, view.Agent.Pin, &tls.Certificate{Certificate: [][]byte{r.Certificate}, PrivateKey: m.key})
	return m, nil
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// dial connects to the agent port, trusting the pin alone.
func dial(t *testing.T, addr, pin string, cert *tls.Certificate) agent.AgentClient {
	t.Helper()
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error { return pinned(s, pin) }}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return agent.NewAgentClient(conn)
}

// pinned checks that the chain ends in the pinned authority and holds for our address.
func pinned(s tls.ConnectionState, pin string) error {
	for _, ca := range s.PeerCertificates[1:] {
		sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
		if hex.EncodeToString(sum[:]) != pin {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1"})
		return err
	}
	return errors.New("the pinned authority is not in the chain")
}

// firstView is the view that a pxe-server gets when it connects.
func firstView(t *testing.T, c protocol.BootClient) *protocol.View {
	t.Helper()
	return viewWhere(t, c, func(*protocol.View) bool { return true })
}

// viewWhere waits for a view that check holds for.
func viewWhere(t *testing.T, c protocol.BootClient, check func(*protocol.View) bool) *protocol.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := c.WatchView(ctx, &protocol.WatchViewRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		v, err := stream.Recv()
		if err != nil {
			t.Fatalf("waiting for a view: %v", err)
		}
		if check(v) {
			return v
		}
	}
}

// fakeBMC is a machine behind the port of the BMC plane.
type fakeBMC struct {
	mu    sync.Mutex
	on    bool
	calls []bmc.PowerState
}

func (f *fakeBMC) Power(context.Context) (bmc.PowerState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on {
		return bmc.On, nil
	}
	return bmc.Off, nil
}

func (f *fakeBMC) SetPower(_ context.Context, want bmc.PowerState) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, want)
	f.on = want == bmc.On
	return nil
}

func (f *fakeBMC) SetBootNetwork(context.Context, bool) error { return nil }
func (f *fakeBMC) Close(context.Context) error                { return nil }

func (f *fakeBMC) orders() []bmc.PowerState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]bmc.PowerState(nil), f.calls...)
}

func key(name string) types.NamespacedName { return types.NamespacedName{Name: name} }
