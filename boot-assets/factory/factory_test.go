package factory_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ingot.dev/ingot/boot-assets/factory"
	fake "ingot.dev/ingot/sfyra-tests/factory"
)

const vanilla = "customization: {}\n"

// bench is a factory behind TLS, and its client.
func bench(t *testing.T) (*fake.Server, *factory.Client) {
	t.Helper()
	s := fake.New("v1.12.5", "v1.13.0")
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	return s, client(t, server.URL, server.Client().Transport)
}

func client(t *testing.T, url string, transport http.RoundTripper) *factory.Client {
	t.Helper()
	c, err := factory.New(factory.Config{URL: url, Agent: "ingot/test", Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// release registers a schematic.
func release(t *testing.T, c *factory.Client, schematic string) factory.Release {
	t.Helper()
	id, err := c.Submit(t.Context(), schematic)
	if err != nil {
		t.Fatal(err)
	}
	return factory.Release{Schematic: id, Version: "v1.13.0", Arch: "amd64"}
}

func read(t *testing.T, c *factory.Client, r factory.Release, k factory.Kind) ([]byte, error) {
	t.Helper()
	f, err := c.Open(t.Context(), r, k)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err == nil && f.Size != int64(len(data)) {
		t.Errorf("%d of %d bytes", len(data), f.Size)
	}
	return data, err
}

// TestRelease: a schematic, its kernel line with its arguments, its files for both architectures, and who asked.
func TestRelease(t *testing.T) {
	s, c := bench(t)
	r := release(t, c, "customization: {extraKernelArgs: [console=ttyS0]}\n")
	if same := release(t, c, "# another text\ncustomization:\n  extraKernelArgs: [console=ttyS0]\n"); same != r {
		t.Errorf("the id is not the factory's: %v and %v", r, same)
	}
	args, err := c.Cmdline(t.Context(), r)
	if err != nil || !slices.Equal(args, []string{"talos.platform=metal", "console=tty0", "init_on_alloc=1", "console=ttyS0"}) {
		t.Errorf("%q, %v", args, err)
	}
	secure := r
	secure.SecureBoot, secure.Arch = true, "arm64"
	if !slices.Equal(r.Kinds(), []factory.Kind{factory.Kernel, factory.Initramfs}) || !slices.Equal(secure.Kinds(), []factory.Kind{factory.UKI}) {
		t.Errorf("%v and %v", r.Kinds(), secure.Kinds())
	}
	for r, kinds := range map[factory.Release][]factory.Kind{r: r.Kinds(), secure: secure.Kinds()} {
		for _, k := range kinds {
			data, err := read(t, c, r, k)
			if want := c.URL(r, k); err != nil || !strings.Contains(string(data), want[strings.LastIndex(want, "/")+1:]) {
				t.Errorf("%s: %q, %v", want, data, err)
			}
		}
	}
	if _, err := c.Cmdline(t.Context(), secure); err != nil {
		t.Error(err)
	}
	versions, err := c.Versions(t.Context())
	if err != nil || !slices.Equal(versions, s.Versions) {
		t.Errorf("%q, %v", versions, err)
	}
	for _, q := range s.Requests() {
		if q.Agent != "ingot/test" {
			t.Errorf("%+v", q)
		}
	}
}

// TestNames are what the factory documents.
func TestNames(t *testing.T) {
	c := client(t, "https://mirror.example.org/talos/", nil)
	plain, secure := factory.Release{Schematic: "id", Version: "v1.13.0", Arch: "arm64"}, factory.Release{Schematic: "id", Version: "v1.13.0", Arch: "amd64", SecureBoot: true}
	for want, got := range map[string]string{
		"https://mirror.example.org/talos/image/id/v1.13.0/kernel-arm64":                   c.URL(plain, factory.Kernel),
		"https://mirror.example.org/talos/image/id/v1.13.0/initramfs-arm64.xz":             c.URL(plain, factory.Initramfs),
		"https://mirror.example.org/talos/image/id/v1.13.0/metal-arm64-uki.efi":            c.URL(plain, factory.UKI),
		"https://mirror.example.org/talos/image/id/v1.13.0/metal-amd64-secureboot-uki.efi": c.URL(secure, factory.UKI),
		"factory.talos.dev/metal-installer/id:v1.13.0":                                     factory.Installer("", plain),
		"factory.talos.dev/metal-installer-secureboot/id:v1.13.0":                          factory.Installer("https://factory.talos.dev/", secure),
		"mirror.example.org:8443/metal-installer/id:v1.13.0":                               factory.Installer("https://Mirror.example.org:8443/talos", plain),
		"": factory.Installer("::", plain),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, bad := range []string{"ftp://x", "https://u:secret@x", "https://x?a=secret", "https://x#secret", "https://169.254.169.254", "::"} {
		if _, err := factory.New(factory.Config{URL: bad}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestTroubles: each kind of trouble has its error, with the next step; after each the honest factory is believed.
func TestTroubles(t *testing.T) {
	s, c := bench(t)
	r := release(t, c, vanilla)
	submit := func() error { _, err := c.Submit(t.Context(), vanilla); return err }
	line := func() error { _, err := c.Cmdline(t.Context(), r); return err }
	list := func() error { _, err := c.Versions(t.Context()); return err }
	kernel := func() error { _, err := read(t, c, r, factory.Kernel); return err }
	other := func(change func(*factory.Release)) func() error {
		r := r
		change(&r)
		return func() error { _, err := read(t, c, r, factory.Kernel); return err }
	}
	for name, tc := range map[string]struct {
		fault fake.Fault
		ask   func() error
		want  error
		says  string
	}{
		"a schematic that is none": {ask: func() error { _, err := c.Submit(t.Context(), "customisation: {}"); return err }, want: factory.ErrSchematic, says: "customisation not found"},
		"it is away":               {fake.Fault{Status: 503}, submit, factory.ErrUnreachable, "503"},
		"too many ask":             {fake.Fault{Status: 429}, kernel, factory.ErrUnreachable, "429"},
		"a licence is wanted":      {fake.Fault{Status: 402}, kernel, factory.ErrForbidden, "402 Payment Required"},
		"a password is wanted":     {fake.Fault{Status: 401}, submit, factory.ErrForbidden, "401"},
		"a portal, asked to take":  {fake.Fault{Junk: true}, submit, factory.ErrAnswer, "no id of a schematic; check spec.talos.factoryURL"},
		"a portal, for the line":   {fake.Fault{Junk: true}, line, factory.ErrAnswer, "does not have talos.platform=metal"},
		"a portal, for a list":     {fake.Fault{Junk: true}, list, factory.ErrAnswer, "no list of versions"},
		"a portal, for a kernel":   {fake.Fault{Junk: true}, kernel, factory.ErrAnswer, "is no kernel; perhaps a proxy"},
		"no such version":          {ask: other(func(r *factory.Release) { r.Version = "v9.9.9" }), want: factory.ErrMissing, says: "404"},
		"no such schematic":        {ask: other(func(r *factory.Release) { r.Schematic = strings.Repeat("0", 64) }), want: factory.ErrMissing, says: "404"},
		"it breaks off":            {fake.Fault{CutAfter: 40}, kernel, factory.ErrUnreachable, "unexpected EOF"},
		"a teapot":                 {fake.Fault{Status: 418}, line, factory.ErrAnswer, "418"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Set(tc.fault)
			err := tc.ask()
			s.Set(fake.Fault{})
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v; want %v with %q", err, tc.want, tc.says)
			}
			for what, honest := range map[string]func() error{"submit": submit, "line": line, "list": list, "kernel": kernel} {
				if err := honest(); err != nil {
					t.Errorf("control: %s: %v", what, err)
				}
			}
		})
	}
}

// TestHostile: answers that no factory gives. The control is the last row.
func TestHostile(t *testing.T) {
	kernel := append([]byte("MZ"), make([]byte, 5000)...)
	raw := func(w http.ResponseWriter, head string) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, head+string(kernel))
	}
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		want   string // empty: it is taken
	}{
		"no length, so half would pass for whole": {func(w http.ResponseWriter, _ *http.Request) { raw(w, "HTTP/1.1 200 OK\r\n\r\n") }, "does not say where the file ends"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) {
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: 3000000000\r\n\r\n")
		}, "at most"},
		"an encoding": {func(w http.ResponseWriter, _ *http.Request) {
			raw(w, "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5002\r\n\r\n")
		}, "encoding"},
		"empty": {func(http.ResponseWriter, *http.Request) {}, "is no kernel"},
		"to the metadata of a cloud": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		}, "address of the link"},
		"to a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/shadow", http.StatusFound)
		}, "neither http nor https"},
		"for ever": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "redirects more than"},
		"control: chunks have an end": {func(w http.ResponseWriter, _ *http.Request) {
			raw(w, "HTTP/1.1 200 OK\r\nContent-Length: 5002\r\n\r\n")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tc.handle)
			t.Cleanup(server.Close)
			c := client(t, server.URL, nil)
			if c.Verified() || c.Host() != strings.TrimPrefix(server.URL, "http://") {
				t.Errorf("%s is verified: %v", c.Host(), c.Verified())
			}
			f, err := c.Open(t.Context(), factory.Release{Schematic: "s", Version: "v1.13.0", Arch: "amd64"}, factory.Kernel)
			if err == nil {
				_, err = io.ReadAll(f)
				_ = f.Close()
			}
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// TestRedirects: a factory may send files from elsewhere, but from https only over https; and what is posted stays where it was posted to.
func TestRedirects(t *testing.T) {
	s := fake.New("v1.13.0")
	plain := httptest.NewServer(s)
	t.Cleanup(plain.Close)
	to := plain.URL
	safe := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("there") {
			s.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, to+r.URL.Path+"?there", http.StatusFound)
	}))
	t.Cleanup(safe.Close)
	r := release(t, client(t, plain.URL, nil), vanilla)
	c := client(t, safe.URL, safe.Client().Transport)
	if _, err := read(t, c, r, factory.Kernel); err == nil || !strings.Contains(err.Error(), "redirects from https to http") {
		t.Errorf("downgraded: %v", err)
	}
	to = safe.URL
	if _, err := read(t, c, r, factory.Kernel); err != nil {
		t.Errorf("control: %v", err)
	}
	if _, err := c.Submit(t.Context(), vanilla); err == nil || !strings.Contains(err.Error(), "redirects what was sent") {
		t.Errorf("a POST: %v", err)
	}
	if strings.Contains(fmt.Sprint(c), "there") {
		t.Error(c)
	}
}

// TestUntrusted: a factory whose certificate nobody vouches for is unreachable, not believed.
func TestUntrusted(t *testing.T) {
	server := httptest.NewTLSServer(fake.New("v1.13.0"))
	t.Cleanup(server.Close)
	_, err := client(t, server.URL, nil).Submit(t.Context(), vanilla)
	if !errors.Is(err, factory.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
	if _, err := client(t, server.URL, server.Client().Transport).Submit(t.Context(), vanilla); err != nil {
		t.Errorf("control: %v", err)
	}
}
