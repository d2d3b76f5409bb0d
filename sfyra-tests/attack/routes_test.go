package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/boot-assets/cache"
	"ingot.dev/ingot/boot-assets/catalog"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/configserver"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/httpboot"
	pxe "ingot.dev/ingot/pxe-server/setup"
)

// httpCase is the case of one route.
type httpCase struct {
	// who may call it, for people.
	who string
	// rest is what follows the route in a good request.
	rest string
	// code is the answer to that: 403 for a capability, whose control is in the tests.
	code int
	// tests are further ones of the route, where it is.
	tests []string
}

// routeCases are all routes of all ports that speak HTTP, but the Kubernetes API, whose fields have cases of their own.
var routeCases = map[string]map[string]httpCase{
	"boot": {
		catalog.FirstStagePath:                              {who: "anyone", code: 200},
		catalog.ScriptPath:                                  {who: "anyone, limited; the script of an expected boot goes to one address", rest: "?mac=02-00-00-00-33-01&arch=x86_64&platform=efi", code: 200, tests: in(web, "TestSecondSource", "TestScriptRate")},
		catalog.LoaderPath + catalog.AutoExec:               {who: "anyone", code: 200},
		catalog.LoaderPath + catalog.SNPOnly:                {who: "anyone", code: 200},
		catalog.LoaderPath + catalog.IPXE:                   {who: "anyone", code: 200},
		catalog.LoaderPath + catalog.IPXEArm64:              {who: "anyone", code: 200},
		catalog.LoaderPath + catalog.UNDIOnly:               {who: "anyone", code: 200},
		catalog.AgentFile(catalog.AMD64, catalog.Kernel):    {who: "anyone", code: 200},
		catalog.AgentFile(catalog.AMD64, catalog.Initramfs): {who: "anyone", code: 200},
		catalog.AgentFile(catalog.ARM64, catalog.Kernel):    {who: "anyone", code: 200},
		catalog.AgentFile(catalog.ARM64, catalog.Initramfs): {who: "anyone", code: 200},
		catalog.MediaPath:                                   {who: "anyone; a BMC that inserts it as virtual media", code: 200},
		catalog.BlobPath:                                    {who: "anyone, by the digest of a file that an Environment names", rest: digest, code: 200, tests: in(web, "TestBlobs")},
		"/healthz":                                          {who: "anyone", code: 200},
		"/readyz":                                           {who: "anyone", code: 200},
	},
	"config": {
		"GET " + capability.ConfigPrefix: {
			who: "the capability of a server's boot, from one address, in that boot's window", rest: "x/b/", code: 403, tests: in(configs, "TestFetch", "TestContested", "TestClosed", "TestAfterInstalled", "TestCapability", "TestPlain"),
		},
		"POST " + capability.SignalPrefix: {who: "the capability of a binding", rest: "x/b/", code: 403, tests: in(configs, "TestSignals", "TestSignalCapability")},
	},
	"monitor": {
		"/metrics": {who: "anyone who reaches it; loopback by default", code: 200},
		"/healthz": {who: "anyone who reaches it", code: 200},
		"/readyz":  {who: "anyone who reaches it", code: 200},
	},
	"site's monitor": {
		"GET /metrics": {who: "anyone who reaches it; loopback by default", tests: in(site, "TestMetrics")},
		"GET /healthz": {who: "anyone who reaches it", tests: in(web, "TestHealth")},
		"GET /readyz":  {who: "anyone who reaches it", tests: in(web, "TestHealth")},
	},
}

// unprobed are routes without a case, and cases without a route.
func unprobed(routes []string, cases map[string]httpCase) (out []string) {
	left := maps.Clone(cases)
	for _, r := range routes {
		if cases[r].who == "" {
			out = append(out, r)
		}
		delete(left, r)
	}
	return append(out, slices.Sorted(maps.Keys(left))...)
}

// TestRoutes (T25): every route that a port really has is asked as it should be, and in every way in which it should not be.
func TestRoutes(t *testing.T) {
	server := bootServer(t)
	monitor := freeAddress(t)
	w := newWorld(t, func(c *setup.Config) { c.MetricsAddr = monitor })
	known := functions{}
	for port, routes := range map[string][]string{"boot": server.Routes(), "config": configserver.Routes(), "monitor": setup.MonitorRoutes(), "site's monitor": pxe.MonitorRoutes()} {
		if missing := unprobed(routes, routeCases[port]); len(missing) > 0 {
			t.Errorf("the port %s: routes without a case, or cases without a route: %v", port, missing)
		}
		if missing := unprobed(append(routes, "/boot/v1/delete/uuid"), routeCases[port]); !slices.Equal(missing, []string{"/boot/v1/delete/uuid"}) {
			t.Errorf("control: a route that was added to the port %s: %v", port, missing)
		}
		for route, c := range routeCases[port] {
			for _, name := range c.tests {
				if folder, test := split(name); !known.has(t, folder, test) {
					t.Errorf("%s names %s, which does not exist", route, name)
				}
			}
		}
	}
	addresses := map[string]string{"boot": served(t, server), "config": "https://" + w.ConfigAddr, "monitor": "http://" + monitor}
	for port, address := range addresses {
		for route, c := range routeCases[port] {
			probe(t, port, address, route, c)
		}
	}
	w.closedConfigs(addresses["config"], "http://"+w.PlainConfigAddr)
}

// probe asks for one route.
func probe(t *testing.T, port, address, route string, c httpCase) {
	t.Helper()
	method, path, ok := strings.Cut(route, " ")
	if !ok {
		method, path = http.MethodGet, route
	}
	good := path + c.rest
	if code, text := ask(t, method, address+good, ""); code != c.code || code == 200 && text == "" {
		t.Errorf("control: %s of the port %s: %d, want %d: %s", route, port, code, c.code, text)
	}
	for _, other := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, "TRACE", "CONNECT", "PROPFIND"} {
		if code, _ := ask(t, other, address+good, ""); other != method && port != "monitor" && (code < 400 || code >= 500) {
			t.Errorf("%s %s: %d, want a refusal", other, good, code)
		}
	}
	for _, spelt := range []string{
		path + "../../../etc/passwd", path + "/..%2f..%2fetc/passwd", "/." + path, "/x/.." + path, "/" + path, strings.Replace(path, "/", "//", 1), strings.Replace(path, "/", "/%2e/", 1),
		strings.ToUpper(path), path + "%00", path + `\`, path + "/", path + strings.Repeat("a", 3000),
	} {
		if code, text := ask(t, method, address+spelt, ""); (code < 400 || code >= 500) && !(port == "monitor" && (code == 200 || code == 301 || code == 307)) || strings.Contains(text, "root:") {
			t.Errorf("%s spelt %.80q: %d", route, spelt, code)
		}
	}
}

// ask asks exactly as it is spelt; Go's client would tidy a path. The code is 400 where the server ends the connection without an answer.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	scheme, rest, _ := strings.Cut(url, "://")
	host, path, _ := strings.Cut(rest, "/")
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(nextSource())}, Timeout: patience}
	conn, err := dialer.DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if scheme == "https" {
		conn = tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true})
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, method+" /"+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"+body); err != nil {
		return http.StatusBadRequest, ""
	}
	answer, err := io.ReadAll(conn)
	head, text, ok := bytes.Cut(answer, []byte("\r\n\r\n"))
	if words := strings.Fields(string(head)); ok && len(words) > 1 && len(words[1]) == 3 {
		return int(words[1][0]-'0')*100 + int(words[1][1]-'0')*10 + int(words[1][2]-'0'), string(text)
	}
	_ = err
	return http.StatusBadRequest, ""
}

// closedConfigs asks for machine configs with capabilities that Ingot itself would have made, for boots and bindings that are not open, and with those of another
// key. Nothing is given out, and nothing is written.
func (w *world) closedConfigs(https, plain string) {
	w.Helper()
	v := w.newVictim("config", "02:00:00:00:33:02")
	var secret corev1.Secret
	if err := w.admin.Get(w.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: "ingot-config-key"}, &secret); err != nil {
		w.Fatal(err)
	}
	before := w.record(v.name)
	for what, bytes := range map[string][]byte{"the installation's key": secret.Data["key"], "another key": []byte(strings.Repeat("k", capability.KeySize))} {
		key, err := capability.NewKey(bytes)
		if err != nil {
			w.Fatalf("%s: %v", what, err)
		}
		links := capability.Links{Key: key, HTTPS: https, Plain: plain}
		for _, url := range []string{links.ConfigURL(v.name, v.boot, false), links.ConfigURL(v.name, v.boot, true), links.ConfigURL("gone", "b", false)} {
			if code, text := ask(w.T, http.MethodGet, url, ""); code != http.StatusForbidden || strings.Contains(text, "machine:") {
				w.Errorf("a config with %s: %d %s", what, code, text)
			}
		}
		if code, _ := ask(w.T, http.MethodPost, links.SignalURL(v.name, "bind1"), ""); code < 400 || code >= 500 {
			w.Errorf("a signal with %s: %d", what, code)
		}
	}
	if after := w.record(v.name); after != before {
		w.Errorf("the server was\n%s\nand is\n%s", before, after)
	}
}

// bootServer has all loaders, and agent images for two architectures.
func bootServer(t *testing.T) *httpboot.Server {
	t.Helper()
	images := map[string]httpboot.Image{}
	for _, arch := range catalog.Archs() {
		images[arch] = httpboot.Image{Files: store(catalog.Kernel, catalog.Initramfs)}
	}
	view := boot.View{Policy: boot.RegisterOnce, AgentURL: "https://127.0.0.1:7443", AgentPin: digest, Files: map[string]boot.File{digest: {}}, AtHand: map[string]string{digest: boot.FileCached}}
	s, err := httpboot.New(httpboot.Config{
		Addr: netip.MustParseAddrPort("192.0.2.1:7480"), Loaders: store(catalog.Loaders()...), Images: images, View: func() (boot.View, bool) { return view, true },
		Blobs:  func(string) (*cache.Asset, error) { return store("blob").Open("blob") },
		Events: httpboot.NewEvents(time.Now), Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// store has files with some bytes.
func store(names ...string) *cache.Store {
	files, digests := fstest.MapFS{}, map[string]cache.Digest{}
	for _, n := range names {
		data := []byte("the file " + n)
		sum := sha256.Sum256(data)
		files[n], digests[n] = &fstest.MapFile{Data: data}, cache.Digest{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}
	}
	return cache.New(files, digests)
}

func served(t *testing.T, s *httpboot.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// freeAddress is one that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
