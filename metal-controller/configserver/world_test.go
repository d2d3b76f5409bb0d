package configserver_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/configserver"
	"ingot.dev/ingot/metal-controller/sightings"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const (
	here = "0123456789abcdef0123456789abcdef"
	// canary is in the machine config, and must be nowhere else.
	canary = "canary-5f0c2a"
	base   = "machine:\n  token: " + canary + "\n  install: {disk: /dev/sda}\n"
)

var epoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// world is a config server with both ports on a real API server, as the controllers' identity, with a clock that only tests move.
type world struct {
	t            *testing.T
	admin, ingot client.Client
	live         *counting
	elected      chan struct{}
	authority    *authority.Authority
	sightings    *sightings.Store
	links        capability.Links
	maker        configserver.Maker
	name         string // of the Server
	namespace    string
	https, plain string // addresses
	log          lockedBuffer
	mu           sync.Mutex
	now          time.Time
	events       []string
	source       string // that the machine calls from
}

// Event remembers what was told.
func (w *world) Event(server string, warning bool, reason, message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if warning {
		reason = "Warning " + reason
	}
	w.events = append(w.events, server+" "+reason+" "+message)
}

// told are the reasons of the events so far.
func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, e := range w.events {
		words := strings.Fields(e)[1:]
		if words[0] == "Warning" {
			words = words[1:]
		}
		all = append(all, words[0])
	}
	return strings.Join(all, " ")
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// counting counts reads of the API server, and lets somebody else act before one of a kind.
type counting struct {
	client.Reader
	reads  atomic.Int64
	before func(client.Object)
	fail   func(client.Object) error
}

func (c *counting) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	c.reads.Add(1)
	if c.before != nil {
		c.before(o)
	}
	if c.fail != nil && c.fail(o) != nil {
		return c.fail(o)
	}
	return c.Reader.Get(ctx, key, o, opts...)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld has a Server whose operating system boots for a claim, changed. The replica leads.
func newWorld(t *testing.T, change func(*metal.ServerRecord)) *world {
	t.Helper()
	w := newReplica(t, change)
	close(w.elected)
	return w
}

// newReplica is newWorld of a replica that does not lead yet.
func newReplica(t *testing.T, change func(*metal.ServerRecord)) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(metal.AddToScheme(scheme), clientgoscheme.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(testapi.Config(t).AdminConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ingot, err := client.New(testapi.Config(t).ControllerConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, admin: admin, ingot: ingot, live: &counting{Reader: ingot}, now: epoch, source: "127.0.0.2", namespace: testapi.Namespace(t), elected: make(chan struct{})}
	w.declare(change)
	w.serve()
	return w
}

// declare makes class, Environment, claim, Secret and Server.
func (w *world) declare(change func(*metal.ServerRecord)) {
	digest := strings.Repeat("0", 64)
	asset := func(name string) *metal.Asset {
		return &metal.Asset{URL: "http://files.example/" + name, SHA256: digest}
	}
	class := &metal.ServerClass{ObjectMeta: w.named(), Spec: metal.ServerClassSpec{Patches: []string{"machine: {sysctls: {a: 1}}"}}}
	env := &metal.Environment{ObjectMeta: w.named(), Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{Arch: "amd64", Kernel: asset("k"), Initramfs: asset("i")}}}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"}, Data: map[string][]byte{"value": []byte(base)}}
	server := &metal.Server{ObjectMeta: w.named(), Spec: metal.ServerSpec{Patches: []string{"machine: {install: {disk: /dev/sdz}}"}}}
	inventory := &metal.ServerInventory{ObjectMeta: w.named(), Spec: metal.ServerInventorySpec{Arch: "amd64"}}
	claim := &metal.ServerClaim{ObjectMeta: secret.ObjectMeta, Spec: metal.ServerClaimSpec{
		ClassName: class.Name, ConfigSecret: secret.Name, Binding: &metal.Binding{Server: server.Name, BindingID: "bind1"},
	}}
	server.Spec.Record = booting(claim, class.Name)
	if change != nil {
		change(server.Spec.Record)
	}
	w.name = server.Name
	w.create(w.admin, class, env, secret)
	w.create(w.ingot, server, inventory, claim)
}

// talos makes the Environment one of Talos; without a line it is not resolved.
func (w *world) talos(line []string) {
	w.t.Helper()
	e := &metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	if err := w.ingot.Get(w.t.Context(), nameOf(e), e); err != nil {
		w.t.Fatal(err)
	}
	boots := e.Spec.Boot
	e.Spec = metal.EnvironmentSpec{Talos: &metal.TalosSource{Version: "v1.13.0"}}
	if err := w.admin.Update(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
	if line == nil {
		return
	}
	boots[0].Args = line
	e.Status.Talos = &metal.TalosPin{Source: e.Spec.Talos.Source(), PinnedAt: metav1.NewTime(epoch), Boot: boots}
	if err := w.ingot.Status().Update(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

// booting is the record of a server whose boot is open until an hour after the epoch.
func booting(claim *metal.ServerClaim, class string) *metal.ServerRecord {
	at := metav1.NewTime(epoch.Add(-time.Minute))
	return &metal.ServerRecord{
		ManagedBy: &metal.ManagedBy{Installation: here, Epoch: 1},
		Claim: &metal.ClaimRecord{
			Namespace: claim.Namespace, Name: claim.Name, BindingID: "bind1", Class: class, Environment: class, At: at, BoundAt: &at,
		},
		Boot: &metal.BootRecord{
			ID: "boot1", Phase: metal.BootBooting, Target: metal.BootTargetOS, BindingID: "bind1", StartedAt: at, At: at, Deadline: metav1.NewTime(epoch.Add(time.Hour)),
		},
	}
}

// named is a name of this test's, for what has no namespace.
func (w *world) named() metav1.ObjectMeta { return metav1.ObjectMeta{Name: w.namespace + "-x"} }

func (w *world) create(c client.Client, objects ...client.Object) {
	w.t.Helper()
	for _, o := range objects {
		if err := c.Create(w.t.Context(), o); err != nil {
			w.t.Fatalf("%T: %v", o, err)
		}
		w.t.Cleanup(func() { _ = c.Delete(context.Background(), o) })
	}
}

// serve opens both ports.
func (w *world) serve() {
	w.t.Helper()
	cert, key, err := authority.New("test", epoch, rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.authority, err = authority.Parse(cert, key); err != nil {
		w.t.Fatal(err)
	}
	k, err := capability.NewKey(bytes.Repeat([]byte{7}, capability.KeySize))
	if err != nil {
		w.t.Fatal(err)
	}
	w.sightings = sightings.New(w.clock)
	ports := [2]net.Listener{listen(w.t), listen(w.t)}
	w.https, w.plain = "https://"+ports[0].Addr().String(), "http://"+ports[1].Addr().String()
	w.links = capability.Links{Key: k, HTTPS: w.https, Plain: w.plain}
	s := configserver.New(configserver.Config{
		Client: w.ingot, Live: w.live, Authority: w.authority, Names: []string{"127.0.0.1"}, Installation: here, Links: w.links, Sightings: w.sightings, Elected: w.elected,
		Events: w, Now: w.clock, Random: rand.Reader, Log: logr.FromSlogHandler(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.Level(-10)})),
	})
	w.maker = s.Maker()
	https, plain := s.HTTPS(), s.Plain()
	go func() { _ = https.ServeTLS(ports[0], "", "") }()
	go func() { _ = plain.Serve(ports[1]) }()
	w.t.Cleanup(func() { _, _ = https.Close(), plain.Close() })
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// reply is what a call got.
type reply struct {
	code   int
	body   string
	header http.Header
}

// call is one call from the machine's address, which trusts the pin alone.
func (w *world) call(method, url, body string) reply {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(w.source)}}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: w.pinned(), DisableKeepAlives: true}
	c := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirected") }}
	got, err := c.Do(r)
	if err != nil {
		w.t.Fatalf("%s: %v", method, err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{got.StatusCode, string(text), got.Header}
}

func (w *world) pinned() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		root := s.PeerCertificates[len(s.PeerCertificates)-1]
		if sum := sha256.Sum256(root.RawSubjectPublicKeyInfo); hex.EncodeToString(sum[:]) != w.authority.Pin() {
			return fmt.Errorf("another authority: %s", root.Subject)
		}
		return s.PeerCertificates[0].VerifyHostname("127.0.0.1")
	}}
}

// fetch asks for the config of the open boot.
func (w *world) fetch() reply {
	w.t.Helper()
	return w.call(http.MethodGet, w.links.ConfigURL(w.name, "boot1", false), "")
}

// signal tells something with the right capability.
func (w *world) signal(body string) reply {
	w.t.Helper()
	return w.call(http.MethodPost, w.links.SignalURL(w.name, "bind1"), body)
}

// server is the Server as it is stored.
func (w *world) server() *metal.Server {
	w.t.Helper()
	var s metal.Server
	if err := w.ingot.Get(w.t.Context(), client.ObjectKey{Name: w.name}, &s); err != nil {
		w.t.Fatal(err)
	}
	return &s
}

// edit changes the record as the reconciler does.
func (w *world) edit(change func(*metal.ServerRecord)) {
	w.t.Helper()
	s := w.server()
	change(s.Spec.Record)
	if err := w.ingot.Update(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

// secret writes another machine config.
func (w *world) secret(value string) {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"}, Data: map[string][]byte{"value": []byte(value)}}
	if err := w.admin.Update(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

// unchanged runs f and reports a Server that is not as it was before.
func (w *world) unchanged(what string, f func()) {
	w.t.Helper()
	before := w.server().ResourceVersion
	f()
	if after := w.server().ResourceVersion; after != before {
		w.t.Errorf("%s: the Server was written", what)
	}
}

func nameOf(o client.Object) client.ObjectKey { return client.ObjectKeyFromObject(o) }

// forbid takes the right to fetch Secrets back, as in a namespace whose owner did not give it.
func (w *world) forbid() {
	w.live.fail = func(o client.Object) error {
		if _, ok := o.(*corev1.Secret); ok {
			return apierrors.NewForbidden(corev1.Resource("secrets"), "web", errors.New("no binding"))
		}
		return nil
	}
}
