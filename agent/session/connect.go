package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/agent/protocol"
)

// Bounds of one call, and of what the server may send.
const (
	callTime   = 30 * time.Second
	maxMessage = 1 << 20
)

// errDenied says that the server knows this machine and lets this boot of it not in.
var errDenied = errors.New("this boot is not let in")

// connect makes a connection, with the certificate of this boot if there is one. It dials at the first call.
func (s *Session) connect() (*grpc.ClientConn, error) {
	config := s.Pin.tlsConfig(s.host)
	if cert := s.id.certificate; len(cert.Certificate) > 0 {
		// Given whatever CAs the server names: it has only one for agents.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	conn, err := grpc.NewClient("passthrough:///"+s.address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return s.Dial(ctx, "tcp", address) }),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithUserAgent("ingot-agent/"+s.AgentVersion),
	)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection: %w", err)
	}
	return conn, nil
}

// call runs one request within its bound.
func (s *Session) call(ctx context.Context, f func(context.Context) error) error {
	return s.bounded(ctx, callTime, f)
}

func (s *Session) bounded(ctx context.Context, most time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	expired := s.After(most)
	go func() {
		select {
		case <-expired:
			cancel(errors.New("the server took too long"))
		case <-ctx.Done():
		}
	}()
	err := f(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// enroll gets the first certificate, over a connection without one.
func (s *Session) enroll(ctx context.Context) error {
	s.id.forget()
	conn, err := s.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	return s.call(ctx, func(ctx context.Context) error {
		asked := s.Now()
		r, err := protocol.NewAgentClient(conn).Enroll(ctx, &protocol.EnrollRequest{
			BootId: s.BootID, Evidence: s.Evidence(), Csr: s.id.csr, AgentVersion: s.AgentVersion,
		})
		if status.Code(err) == codes.PermissionDenied {
			return fmt.Errorf("enrolling: %w: %w", errDenied, err)
		}
		if err != nil {
			return fmt.Errorf("enrolling: %w", err)
		}
		// Measured from before the request, so that a slow answer cannot make the certificate look younger than it is.
		if err := s.id.accept(r.GetCertificate(), r.GetValidSeconds(), asked); err != nil {
			return fmt.Errorf("enrolling: %w", err)
		}
		s.Log.Info("enrolled", "server", r.GetServer(), "trust", r.GetTrustLevel())
		return nil
	})
}

// renew replaces the certificate.
func (s *Session) renew(ctx context.Context, client protocol.AgentClient) error {
	return s.call(ctx, func(ctx context.Context) error {
		asked := s.Now()
		r, err := client.Renew(ctx, &protocol.RenewRequest{Csr: s.id.csr})
		if err != nil {
			return fmt.Errorf("renewing the certificate: %w", err)
		}
		return s.id.accept(r.GetCertificate(), r.GetValidSeconds(), asked)
	})
}

// report sends the inventory as it is now.
func (s *Session) report(ctx context.Context, client protocol.AgentClient) error {
	return s.call(ctx, func(ctx context.Context) error {
		if _, err := client.ReportInventory(ctx, &protocol.ReportInventoryRequest{Inventory: s.Inventory()}); err != nil {
			return fmt.Errorf("reporting the inventory: %w", err)
		}
		s.reported = true
		s.Log.Info("reported the inventory")
		return nil
	})
}

// refused says whether the server does not believe our certificate, or does not let it do what was asked.
func refused(err error) bool {
	switch status.Code(unwrapStatus(err)) {
	case codes.Unauthenticated, codes.PermissionDenied:
		return true
	}
	return false
}

// plain shortens an error of gRPC to what a person needs: a failed connection comes wrapped in `desc = "transport: …"`.
func plain(err error) string {
	s, ok := status.FromError(unwrapStatus(err))
	if !ok || s.Code() == codes.Unknown {
		return err.Error()
	}
	message := s.Message()
	if _, inner, wrapped := strings.Cut(message, `desc = "`); wrapped {
		message = strings.TrimPrefix(strings.TrimSuffix(inner, `"`), "transport: ")
	}
	return message
}

// unwrapStatus finds the error of gRPC inside of ours.
func unwrapStatus(err error) error {
	var s interface {
		error
		GRPCStatus() *status.Status
	}
	if errors.As(err, &s) {
		return s
	}
	return err
}
