package session

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/agent/protocol"
)

// epoch is when the certificates of the tests are valid: long before the test runs, so that trusting the clock would fail.
var epoch = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// authority is a CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	return authority{sign(t, template, template, &key.PublicKey, key), key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, public any, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (a authority) pin() Pin { return sha256.Sum256(a.cert.RawSubjectPublicKeyInfo) }

// leaf issues a certificate.
func (a authority) leaf(t *testing.T, public any, usage x509.ExtKeyUsage, host string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		NotBefore: epoch.Add(-time.Hour), NotAfter: epoch.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	return sign(t, template, a.cert, public, a.key)
}

// server is a controller's agent port. It tells what it was asked over calls.
type server struct {
	protocol.UnimplementedAgentServer
	t       *testing.T
	ca      authority
	host    string
	seconds int64
	calls   chan string
	// directives are sent to each watcher.
	directives chan *protocol.Directive

	mu sync.Mutex
	// refuse makes every call but Enroll fail as if the certificate were unknown.
	refuse bool
	// deny makes Enroll fail, and task is what ReportTask answers.
	deny, task error
	// restart is what AcknowledgeRestart and ReportBMCAccount answer.
	restart error
	// slow lets progress hang.
	slow bool
	// keys are the public keys that enrolled.
	keys []*ecdsa.PublicKey
	// stream is the newest one.
	stream chan struct{}
	grpc   *grpc.Server
}

// set changes how the server answers.
func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func newServer(t *testing.T) *server {
	return &server{
		t: t, ca: newAuthority(t), host: "127.0.0.1", seconds: 3600,
		calls: make(chan string, 100), directives: make(chan *protocol.Directive, 10),
	}
}

// start listens on address and returns the one in use. The server ends with the test.
func (s *server) start(address string) string {
	s.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	key := newKey(s.t)
	chain := tls.Certificate{PrivateKey: key, Certificate: [][]byte{
		s.ca.leaf(s.t, &key.PublicKey, x509.ExtKeyUsageServerAuth, s.host).Raw, s.ca.cert.Raw,
	}}
	config := &tls.Config{Certificates: []tls.Certificate{chain}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	protocol.RegisterAgentServer(g, s)
	s.mu.Lock()
	s.grpc = g
	s.mu.Unlock()
	go func() { _ = g.Serve(l) }()
	s.t.Cleanup(g.Stop)
	return l.Addr().String()
}

// stop cuts all connections.
func (s *server) stop() {
	s.mu.Lock()
	g := s.grpc
	s.mu.Unlock()
	g.Stop()
}

func (s *server) issue(der []byte) ([]byte, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil {
		return nil, status.Error(codes.InvalidArgument, "bad request")
	}
	return s.ca.leaf(s.t, csr.PublicKey, x509.ExtKeyUsageClientAuth, "").Raw, nil
}

// known checks that the caller has a certificate of ours.
func (s *server) known(ctx context.Context) error {
	p, _ := peer.FromContext(ctx)
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ok || len(info.State.PeerCertificates) == 0 || s.refuse {
		return status.Error(codes.Unauthenticated, "who are you?")
	}
	if err := info.State.PeerCertificates[0].CheckSignatureFrom(s.ca.cert); err != nil {
		return status.Error(codes.Unauthenticated, err.Error())
	}
	return nil
}

func (s *server) Enroll(_ context.Context, r *protocol.EnrollRequest) (*protocol.EnrollResponse, error) {
	cert, err := s.issue(r.GetCsr())
	s.mu.Lock()
	s.refuse = false
	if csr, bad := x509.ParseCertificateRequest(r.GetCsr()); bad == nil {
		s.keys = append(s.keys, csr.PublicKey.(*ecdsa.PublicKey))
	}
	if s.deny != nil {
		err = s.deny
	}
	s.mu.Unlock()
	s.calls <- fmt.Sprintf("enroll %s %s", r.GetBootId(), r.GetEvidence().GetSerial())
	return &protocol.EnrollResponse{Server: "srv-1", Certificate: cert, Ca: s.ca.cert.Raw, ValidSeconds: s.seconds}, err
}

func (s *server) Renew(ctx context.Context, r *protocol.RenewRequest) (*protocol.RenewResponse, error) {
	if err := s.known(ctx); err != nil {
		return nil, err
	}
	cert, err := s.issue(r.GetCsr())
	s.calls <- "renew"
	return &protocol.RenewResponse{Certificate: cert, ValidSeconds: s.seconds}, err
}

func (s *server) ReportInventory(ctx context.Context, r *protocol.ReportInventoryRequest) (*protocol.ReportInventoryResponse, error) {
	if err := s.known(ctx); err != nil {
		return nil, err
	}
	s.calls <- "report " + r.GetInventory().GetKernel()
	return &protocol.ReportInventoryResponse{}, nil
}

// latest returns a channel that closes when another stream is opened: an agent that has come back does not hear the old one.
func (s *server) latest() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil {
		close(s.stream)
	}
	s.stream = make(chan struct{})
	return s.stream
}

func older(stream chan struct{}) bool {
	select {
	case <-stream:
		return true
	default:
		return false
	}
}

func (s *server) Watch(_ *protocol.WatchRequest, stream grpc.ServerStreamingServer[protocol.Directive]) error {
	if err := s.known(stream.Context()); err != nil {
		return err
	}
	mine := s.latest()
	s.calls <- "watch"
	for {
		select {
		case <-mine:
			return nil
		case d := <-s.directives:
			if older(mine) {
				s.directives <- d
				return nil
			}
			if err := stream.Send(d); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

// ReportTask notes a receipt with its first disk's error, and progress with its first disk's phase.
func (s *server) ReportTask(ctx context.Context, r *protocol.ReportTaskRequest) (*protocol.ReportTaskResponse, error) {
	if err := s.known(ctx); err != nil {
		return nil, err
	}
	what := "progress"
	for _, d := range r.GetProgress() {
		what += fmt.Sprintf(" %s %d%%", d.GetPhase(), d.GetPercent())
	}
	if r.GetReceipt() != nil {
		what = "receipt"
	}
	s.mu.Lock()
	err, slow := s.task, s.slow && r.GetReceipt() == nil
	s.mu.Unlock()
	s.calls <- fmt.Sprintf("%s %s/%d", what, r.GetId(), r.GetGeneration())
	if slow {
		<-ctx.Done()
	}
	return &protocol.ReportTaskResponse{}, err
}

func (s *server) AcknowledgeRestart(ctx context.Context, r *protocol.AcknowledgeRestartRequest) (*protocol.AcknowledgeRestartResponse, error) {
	if err := s.known(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls <- "acknowledge " + r.GetBootId()
	return &protocol.AcknowledgeRestartResponse{}, s.restart
}

func (s *server) ReportBMCAccount(ctx context.Context, r *protocol.ReportBMCAccountRequest) (*protocol.ReportBMCAccountResponse, error) {
	if err := s.known(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls <- fmt.Sprintf("account %s/%d dropped=%v slot=%d %s", r.GetId(), r.GetGeneration(), r.GetDropped(), r.GetSlot(), r.GetError())
	return &protocol.ReportBMCAccountResponse{}, s.restart
}

// expect waits for the next call.
func (s *server) expect(want string) {
	s.t.Helper()
	select {
	case got := <-s.calls:
		if got != want {
			s.t.Fatalf("the agent called %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		s.t.Fatalf("the agent did not call %q", want)
	}
}
