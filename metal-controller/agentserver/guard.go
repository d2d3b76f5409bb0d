package agentserver

import (
	"context"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/agentserver/claims"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// caller is who a certificate says the agent is, with the key that it proved to hold.
type caller struct {
	lifecycle.Caller
	server   string
	notAfter time.Time
}

// callerOf is the caller that the guard let in.
func callerOf(ctx context.Context) caller {
	if a := admissionOf(ctx); a != nil {
		return a.caller
	}
	return caller{}
}

func (s *Server) guardUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	a := admissionOf(ctx)
	a.arrived()
	if err := s.guard(ctx, a, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (s *Server) guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	a := admissionOf(stream.Context())
	if err := s.guard(stream.Context(), a, info.FullMethod); err != nil {
		return err
	}
	return next(srv, &guardedStream{stream, a})
}

// guardedStream notices when the request is there.
type guardedStream struct {
	grpc.ServerStream
	admission *admission
}

// RecvMsg receives the request.
func (g *guardedStream) RecvMsg(m any) error {
	err := g.ServerStream.RecvMsg(m)
	g.admission.arrived()
	return err
}

// guard lets in what the tap admitted, if the caller still counts for its Server: acceptance ends every unproven certificate, a second claimant or
// another boot ends a proven one. A call that the tap did not see is refused.
func (s *Server) guard(ctx context.Context, a *admission, method string) error {
	switch {
	case a == nil:
		return refuse(codeUnauthenticated, "", "no connection")
	case a.refused != nil:
		return a.refused
	case method == protocol.Agent_Enroll_FullMethodName:
		return nil
	}
	return s.answer(ctx, method, a.caller.server, s.desk.Admit(ctx, a.caller.Caller, a.caller.server))
}

// audit logs a refusal. Log lines are limited too: a flood of refusals must not fill a disk.
func (s *Server) audit(method, source string, err error) {
	s.counts.refuse(err)
	if s.limits.auditLine() {
		s.cfg.Log.Info("Refusing an agent call", "method", method, "source", source, "code", status.Code(err).String(), "reason", status.Convert(err).Message())
	}
}

// authenticate checks the certificate of the connection. It waits for nothing.
func (s *Server) authenticate(ctx context.Context) (caller, error) {
	leaf := leafOf(ctx)
	if leaf == nil {
		return caller{}, refuse(codeUnauthenticated, "", "no client certificate: enrol first")
	}
	if err := s.cfg.Authority.Verify(leaf, x509.ExtKeyUsageClientAuth, s.cfg.Now()); err != nil {
		return caller{}, refuse(codeUnauthenticated, "", "the client certificate is not valid: enrol again: "+verifyMessage(err))
	}
	c, ok := s.parseSubject(leaf)
	if !ok {
		return caller{}, refuse(codeUnauthenticated, "", "the client certificate is not an agent's of this installation: enrol again")
	}
	return c, nil
}

// getServer reads the cache first and the API server when the cache does not know it: a Server that was just created may be missing there.
func (s *Server) getServer(ctx context.Context, name string, into *metal.Server) error {
	err := s.cfg.Client.Get(ctx, types.NamespacedName{Name: name}, into)
	if apierrors.IsNotFound(err) {
		err = s.cfg.Live.Get(ctx, types.NamespacedName{Name: name}, into)
	}
	return err
}

// parseSubject reads ingot://<installation>/server/<name>/boot/<bootid>.
func (s *Server) parseSubject(leaf *x509.Certificate) (caller, bool) {
	if len(leaf.URIs) != 1 {
		return caller{}, false
	}
	u := leaf.URIs[0]
	parts := strings.Split(u.Path, "/")
	ok := u.Scheme == "ingot" && u.Host == s.cfg.Installation && len(parts) == 5 && parts[1] == "server" && parts[3] == "boot" &&
		parts[2] == leaf.Subject.CommonName && parts[2] != ""
	if !ok {
		return caller{}, false
	}
	return caller{Caller: lifecycle.Caller{BootID: parts[4], Key: claims.Fingerprint(leaf.RawSubjectPublicKeyInfo)}, server: parts[2], notAfter: leaf.NotAfter}, true
}

// subject is the URI that parseSubject reads.
func (s *Server) subject(server, bootID string) *url.URL {
	return &url.URL{Scheme: "ingot", Host: s.cfg.Installation, Path: "/server/" + server + "/boot/" + bootID}
}

// leafOf is the certificate that the caller proved to hold the key of, nil without one. Intermediates are not looked at: ours has none.
func leafOf(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return nil
	}
	return info.State.PeerCertificates[0]
}

// verifyMessage says why in a few words, without what the certificate holds.
func verifyMessage(err error) string {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return "it is not in its time of validity"
	}
	return "it is not signed by this installation for this use"
}
