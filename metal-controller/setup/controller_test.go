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
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// patience is how long a condition may take on a loaded machine. No test measures time. Others' controllers have waits of their own: Talos' control plane provider asks a
// control plane that does not answer for up to half a minute, and meanwhile does not see that it is being deleted; then Cluster API looks again.
const patience = 3 * time.Minute

// controller is a running setup.Run.
type controller struct {
	setup.Services
}

// config is a Config that works, changed.
func config(t *testing.T, change func(*setup.Config)) setup.Config {
	t.Helper()
	cfg := setup.Config{
		REST: rest.CopyConfig(testapi.Config(t).ControllerConfig), AgentListen: "127.0.0.1:0", AgentURL: "https://127.0.0.1:8443", Log: testLogger(t),
	}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

// start runs a controller until the test ends.
func start(t *testing.T, change func(*setup.Config)) *controller {
	t.Helper()
	c, _ := startUntil(t, change)
	return c
}

// startUntil runs a controller until the test ends or stop is called.
func startUntil(t *testing.T, change func(*setup.Config)) (c *controller, stop func()) {
	t.Helper()
	ready := make(chan setup.Services, 1)
	cfg := config(t, change)
	cfg.Ready = func(s setup.Services) { ready <- s }
	t.Cleanup(func() { clearAPI(t) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- setup.Run(ctx, cfg) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case s := <-ready:
		return &controller{Services: s}, stop
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the controller did not become ready")
	}
	return nil, nil
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

// clearAPI deletes what a test left behind, so that tests do not meet.
func clearAPI(t *testing.T) {
	var servers metal.ServerList
	if err := admin(t).List(context.Background(), &servers); err != nil {
		t.Errorf("listing: %v", err)
	}
	for i := range servers.Items { // a claimed one is locked
		unlock := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"metal.ingot.dev/lock":null}}}`))
		if err := admin(t).Patch(context.Background(), &servers.Items[i], unlock); client.IgnoreNotFound(err) != nil {
			t.Errorf("unlocking: %v", err)
		}
	}
	for _, kind := range []client.Object{&metal.Server{}, &metal.ServerInventory{}} {
		if err := admin(t).DeleteAllOf(context.Background(), kind); err != nil {
			t.Errorf("deleting: %v", err)
		}
	}
}

// create makes objects and deletes them at the end, so that tests do not meet.
func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	a := admin(t)
	for _, o := range objects {
		if err := a.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Delete(context.Background(), o) })
	}
}

// eventually waits until check holds for the Server, and returns it. It looks at every change, and at nothing in between.
func eventually(t *testing.T, name string, check func(*metal.Server) bool) *metal.Server {
	t.Helper()
	return eventuallyAny(t, func(s *metal.Server) bool { return s.Name == name && check(s) })
}

// eventuallyAny is eventually for a Server whose name the test does not know.
func eventuallyAny(t *testing.T, check func(*metal.Server) bool) *metal.Server {
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
		if !ok {
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
	cert   *tls.Certificate
	server string
	trust  int32
	client agent.AgentClient
}

// sources counts addresses on the loopback, so that each machine has its own, as on a real network.
var sources atomic.Uint32

func nextSource() string {
	n := sources.Add(1) + 1
	return fmt.Sprintf("127.0.%d.%d", 1+n/250, 1+n%250)
}

// boots enrols a machine as the agent does: without a certificate first, then with the one it got. The pin is checked as the agent checks it.
func boots(t *testing.T, c *controller, bootID string, e *agent.Evidence) (*machine, error) {
	t.Helper()
	return bootsFrom(t, c, nextSource(), bootID, e)
}

// bootsFrom is boots with a source address of its own choice.
func bootsFrom(t *testing.T, c *controller, source, bootID string, e *agent.Evidence) (*machine, error) {
	t.Helper()
	m := &machine{key: newKey(t)}
	pin := firstView(t, c.Boot).Agent.Pin
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, m.key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := agent.NewAgentClient(dial(t, c.AgentAddr, source, pin, nil)).Enroll(t.Context(), &agent.EnrollRequest{BootId: bootID, Evidence: e, Csr: csr})
	if err != nil {
		return nil, err
	}
	m.server, m.trust = r.Server, r.TrustLevel
	m.cert = &tls.Certificate{Certificate: [][]byte{r.Certificate}, PrivateKey: m.key}
	m.client = agent.NewAgentClient(dial(t, c.AgentAddr, source, pin, m.cert))
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

// dial connects to the agent port from a source address, trusting the pin alone.
func dial(t *testing.T, addr, source, pin string, cert *tls.Certificate) *grpc.ClientConn {
	t.Helper()
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error { return pinned(s, pin) }}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(cfg)),
		grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) { return d.DialContext(ctx, "tcp", to) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
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
	hints int // shutdowns and boot orders
	read  int // of its power
}

func (f *fakeBMC) Power(context.Context) (bmc.PowerState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read++
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

func (f *fakeBMC) Shutdown(context.Context) error             { return f.hint() }
func (f *fakeBMC) SetBootNetwork(context.Context, bool) error { return f.hint() }
func (f *fakeBMC) Close(context.Context) error                { return nil }

func (f *fakeBMC) hint() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hints++
	return nil
}

func (f *fakeBMC) set(state bmc.PowerState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = state == bmc.On
}

func (f *fakeBMC) orders() []bmc.PowerState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]bmc.PowerState(nil), f.calls...)
}

// polls counts the readings of its power.
func (f *fakeBMC) polls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read
}

func clientKey(m metav1.ObjectMeta) client.ObjectKey {
	return client.ObjectKey{Namespace: m.Namespace, Name: m.Name}
}
