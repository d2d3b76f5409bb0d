package blobs_test

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"ingot.dev/ingot/boot-assets/blobs"
)

// TestHostileSources: each is told and nothing of it is kept; the control is that the same cache then takes the file from a good one.
func TestHostileSources(t *testing.T) {
	data := content(50_000)
	good := newSource(t, whole(data))
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
	}
	for name, tc := range map[string]struct {
		handle http.HandlerFunc
		url    string // in place of the source's
		want   string
	}{
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(data); err != nil {
					return
				}
			}
		}, "", "larger than"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000000000000") }, "", "larger than"},
		"shorter":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data[:49_999]) }, "", "another file"},
		"longer":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(append(data, 'x')) }, "", "another file"},
		"empty":    {func(http.ResponseWriter, *http.Request) {}, "", "another file"},
		"gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(data)
			_ = z.Close()
		}, "", "an encoding that was not asked for"},
		"unasked range": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-49999/50000")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data)
		}, "", "206"},
		"not there":            {http.NotFound, "", "404 Not Found"},
		"metadata":             {redirect("http://169.254.169.254/latest/meta-data/"), "", "address of the link"},
		"metadata, mapped":     {redirect("http://[::ffff:169.254.169.254]/"), "", "address of the link"},
		"metadata over IPv6":   {redirect("http://[fd00:ec2::254]/"), "", "address of the link"},
		"link-local over IPv6": {redirect("http://[fe80::1]/"), "", "address of the link"},
		"to a file":            {redirect("file:///etc/passwd"), "", "neither http nor https"},
		"for ever":             {redirect("/again"), "", "redirects more than"},
		"a file":               {nil, "file:///etc/passwd", "neither http nor https"},
		"no scheme":            {nil, "//host/x", "neither http nor https"},
		"no host":              {nil, "http:///x", "neither http nor https"},
		"malformed":            {nil, "http://[::1/x", "malformed"},
		"metadata at once":     {nil, "http://169.254.169.254/", "address of the link"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(t, tc.handle)
			url := s.URL
			if tc.url != "" {
				url = tc.url
			}
			k := open(t, t.TempDir(), func(c *blobs.Config) { c.MaxFile = 200_000 })
			k.run(t, blobs.Wanted{SHA256: sha(data), URL: url})
			if state := k.untilPhase(t, blobs.Failed); !strings.Contains(state.Message, tc.want) || state.OtherBytes != (tc.want == "another file") {
				t.Errorf("message %q, want %q", state.Message, tc.want)
			}
			k.Want(nil)
			k.Want([]blobs.Wanted{{SHA256: sha(data), URL: good.URL}})
			k.untilPhase(t, blobs.Cached)
			if k.names(t) != sha(data) {
				t.Errorf("the folder has %s", k.names(t))
			}
		})
	}
}

// TestRedirects: another place is fine, from https only over https.
func TestRedirects(t *testing.T) {
	data := content(1000)
	plain := newSource(t, whole(data))
	var referer atomic.Value
	safe := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/plain":
			http.Redirect(w, r, plain.URL, http.StatusTemporaryRedirect)
		case "/safe":
			http.Redirect(w, r, "/file", http.StatusTemporaryRedirect)
		default:
			referer.Store(r.Referer())
			whole(data)(w, r)
		}
	}))
	t.Cleanup(safe.Close)
	secure := func(c *blobs.Config) { c.Transport = safe.Client().Transport }
	k := open(t, t.TempDir(), secure)
	k.run(t, blobs.Wanted{SHA256: sha(data), URL: safe.URL + "/plain?signature=secret"})
	if state := k.untilPhase(t, blobs.Failed); !strings.Contains(state.Message, "redirects from https to http") {
		t.Errorf("message %q", state.Message)
	}
	k.Want(nil)
	k.Want([]blobs.Wanted{{SHA256: sha(data), URL: safe.URL + "/safe?signature=secret"}})
	k.untilPhase(t, blobs.Cached)
	if got := referer.Load(); got != "" {
		t.Errorf("the second place learnt of %q", got)
	}
	k = open(t, t.TempDir(), secure)
	up := newSource(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, safe.URL+"/file", http.StatusFound) })
	k.run(t, blobs.Wanted{SHA256: sha(data), URL: up.URL})
	k.untilPhase(t, blobs.Cached)
}

// TestSecrets: what a URL holds besides host and path is told to the source only.
func TestSecrets(t *testing.T) {
	s := newSource(t, http.NotFound)
	url := strings.Replace(s.URL, "http://", "http://user:pass"+"word@", 1) + "/vmlinuz?signature=hidden#fragment"
	k := started(t, blobs.Wanted{SHA256: strings.Repeat("0", 64), URL: url})
	state := k.untilPhase(t, blobs.Failed)
	if !strings.Contains(state.Message, s.URL+"/vmlinuz: ") || !strings.Contains(k.log.text(), "/vmlinuz") {
		t.Errorf("control: message %q, log\n%s", state.Message, k.log.text())
	}
	for _, secret := range []string{"password", "hidden", "fragment", "signature"} {
		if strings.Contains(fmt.Sprint(k.States())+k.log.text(), secret) {
			t.Errorf("%q is told: %q\n%s", secret, state.Message, k.log.text())
		}
	}
	s.Close()
	k.until(t, "refused", func(st blobs.State) bool { return strings.Contains(st.Message, "refused") })
	if strings.Contains(fmt.Sprint(k.States())+k.log.text(), "hidden") {
		t.Error("the error of a connection tells it")
	}
}
