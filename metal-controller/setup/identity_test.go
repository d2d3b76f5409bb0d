package setup_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/setup"
	pxe "ingot.dev/ingot/pxe-server/protocol"
)

// methods are all calls of a service, from its descriptor: a call that is added later is tested without anybody thinking of it.
func methods(t *testing.T, file protoreflect.FileDescriptor) []protoreflect.MethodDescriptor {
	t.Helper()
	var out []protoreflect.MethodDescriptor
	for i := range file.Services().Len() {
		ms := file.Services().Get(i).Methods()
		for j := range ms.Len() {
			out = append(out, ms.Get(j))
		}
	}
	if len(out) == 0 {
		t.Fatal("the descriptor names no calls: the test sees nothing")
	}
	return out
}

// call makes one call with an empty request, whatever its kind, and returns its error; nil when it got an answer.
func call(t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	name := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	desc := &grpc.StreamDesc{ServerStreams: m.IsStreamingServer(), ClientStreams: m.IsStreamingClient()}
	stream, err := conn.NewStream(ctx, desc, name)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(message(t, m.Input())); err != nil && err != io.EOF {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(message(t, m.Output()))
}

func message(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	typ, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return typ.New().Interface()
}

// issuer makes certificates as the installation could have made them.
type issuer struct {
	t         *testing.T
	authority *authority.Authority
	id        string
}

// issuerOf reads an authority of the installation, with the rights of an administrator.
func issuerOf(t *testing.T, name string) issuer {
	t.Helper()
	var ca, installation corev1.Secret
	for object, n := range map[*corev1.Secret]string{&ca: name, &installation: "ingot-installation"} {
		if err := admin(t).Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: n}, object); err != nil {
			t.Fatal(err)
		}
	}
	a, err := authority.Parse(ca.Data["tls.crt"], ca.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	return issuer{t, a, string(installation.Data["id"])}
}

// cert signs one certificate.
func (i issuer) cert(l authority.Leaf, at time.Time) *tls.Certificate {
	i.t.Helper()
	k := newKey(i.t)
	der, err := i.authority.Sign(k.Public(), l, at, rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}

func stranger(t *testing.T) issuer {
	t.Helper()
	c, k, err := authority.New("stranger", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Parse(c, k)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{t, a, "stranger"}
}

func uri(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestAgentIdentity (T32): every call of the agent's protocol but Enroll is refused without a certificate that is ours, in time, for this use,
// and of a Server that exists. The same calls with a good certificate get through, in the same run.
func TestAgentIdentity(t *testing.T) {
	c := start(t, nil)
	create(t, &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "known"}})
	ours := issuerOf(t, "ingot-agent-ca")
	leaf := func(name string) authority.Leaf {
		return authority.Leaf{CommonName: name, URI: uri(t, "ingot://"+ours.id+"/server/"+name+"/boot/b1"), Usage: x509.ExtKeyUsageClientAuth, Valid: time.Hour}
	}
	foreign, nameless, site, serving := leaf("known"), leaf("known"), leaf("known"), leaf("known")
	foreign.URI = uri(t, "ingot://elsewhere/server/known/boot/b1")
	nameless.URI = nil
	site.URI = uri(t, "ingot://"+ours.id+"/site/known")
	serving.Usage = x509.ExtKeyUsageServerAuth
	now := time.Now()
	bad := map[string]*tls.Certificate{
		"none":                        nil,
		"of another authority":        stranger(t).cert(leaf("known"), now),
		"of the pxe authority":        issuerOf(t, "ingot-pxe-ca").cert(leaf("known"), now),
		"expired":                     ours.cert(leaf("known"), now.Add(-2*time.Hour)),
		"not valid yet":               ours.cert(leaf("known"), now.Add(2*time.Hour)),
		"of another installation":     ours.cert(foreign, now),
		"without a name":              ours.cert(nameless, now),
		"of a site":                   ours.cert(site, now),
		"for servers":                 ours.cert(serving, now),
		"of a Server that is gone":    ours.cert(leaf("gone"), now),
		"signed by itself, as its CA": selfSigned(t, leaf("known")),
	}
	pin := firstView(t, c.Boot).Agent.Pin
	good := dial(t, c.AgentAddr, nextSource(), pin, ours.cert(leaf("known"), now))
	for _, m := range methods(t, agent.File_agent_protocol_agent_proto) {
		if m.Name() == "Enroll" {
			continue
		}
		for name, cert := range bad {
			if err := call(t, dial(t, c.AgentAddr, nextSource(), pin, cert), m); status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s with a certificate %s: %v; want Unauthenticated", m.Name(), name, err)
			}
		}
		if err := call(t, good, m); status.Code(err) != codes.OK && status.Code(err) != codes.InvalidArgument {
			t.Errorf("control: %s with a good certificate: %v", m.Name(), err)
		}
	}
}

func selfSigned(t *testing.T, l authority.Leaf) *tls.Certificate {
	t.Helper()
	i := stranger(t)
	cert := i.cert(l, time.Now())
	cert.Certificate = append(cert.Certificate, i.authority.DER())
	return cert
}

// TestSiteIdentity: every call of the boot protocol over the network needs the certificate of a site of this installation.
func TestSiteIdentity(t *testing.T) {
	c := start(t, func(c *setup.Config) { c.BootListen = "127.0.0.1:0" })
	ours := issuerOf(t, "ingot-pxe-ca")
	leaf := func(u string) authority.Leaf {
		return authority.Leaf{CommonName: "site:r1", URI: uri(t, u), Usage: x509.ExtKeyUsageClientAuth, Valid: time.Hour}
	}
	here := "ingot://" + ours.id + "/site/r1"
	now := time.Now()
	bad := map[string]*tls.Certificate{
		"none":                    nil,
		"of another authority":    stranger(t).cert(leaf(here), now),
		"of the agent authority":  issuerOf(t, "ingot-agent-ca").cert(leaf(here), now),
		"expired":                 ours.cert(leaf(here), now.Add(-2*time.Hour)),
		"of another installation": ours.cert(leaf("ingot://elsewhere/site/r1"), now),
		"of a server":             ours.cert(leaf("ingot://"+ours.id+"/server/s/boot/b"), now),
		"of no site":              ours.cert(leaf("ingot://"+ours.id+"/site/"), now),
	}
	good := dialBoot(t, c.BootAddr, ours, ours.cert(leaf(here), now))
	for _, m := range methods(t, pxe.File_pxe_server_protocol_pxe_proto) {
		for name, cert := range bad {
			if err := call(t, dialBoot(t, c.BootAddr, ours, cert), m); status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s with a certificate %s: %v; want Unauthenticated", m.Name(), name, err)
			}
		}
		if err := call(t, good, m); err != nil {
			t.Errorf("control: %s with a good certificate: %v", m.Name(), err)
		}
	}
}

// dialBoot connects as a pxe-server does: the authority from a file, the name from the address.
func dialBoot(t *testing.T, addr string, i issuer, cert *tls.Certificate) *grpc.ClientConn {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.EncodeCertificate(i.authority.DER()))
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
