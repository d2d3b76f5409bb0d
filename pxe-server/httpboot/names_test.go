package httpboot_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/limits"
)

// raw sends a request line as it is, which no client library would.
func (s *site) raw(t *testing.T, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp4", s.cfg.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return nil, "" // refused while we were still writing
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil && !reset(err) { // a server that stops reading a request resets the connection
		t.Fatal(err)
	}
	return res, string(body)
}

// TestT25Names: nothing but the exact names exists, in whatever spelling a file outside or inside the catalog is asked for.
func TestT25Names(t *testing.T) {
	s := newSite(t, nil)
	if err := os.WriteFile(filepath.Join(s.dir, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	line := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" }
	if res, body := s.raw(t, line(catalog.AgentPath+"vmlinuz")); res == nil || res.StatusCode != http.StatusOK || body != string(s.kernel) {
		t.Fatalf("control: %v", res)
	}
	for _, path := range []string{
		"/", "/boot", "/boot/", "/boot/v1/agent", "/boot/v1/agent/", "/boot/v1/agent/secret", "/boot/v1/agent/../agent/vmlinuz", "/boot/v1/agent/./vmlinuz",
		"//boot/v1/agent/vmlinuz", "/boot/v1//agent/vmlinuz", "/boot/v1/agent/vmlinuz/", "/boot/v1/agent/VMLINUZ", "/boot/v1/agent/%76mlinuz", "/boot/v1/agent%2fvmlinuz",
		"/boot/v1/agent/%2e%2e/secret", "/boot/v1/agent/..%2f..%2fetc/passwd", "/boot/v1/agent\\vmlinuz", "/boot/v1/agent/..\\secret", "/boot/v1/agent/vmlinuz%00", "/boot/v1/agent/vmlinuz;x",
		"/boot/v1/agent/vmlinuz#x", "/../../../etc/passwd", "http://x/boot/v1/agent/vmlinuz", "http://169.254.169.254/latest", "*", "boot/v1/agent/vmlinuz", "/boot/v1/script/", "/boot/v1/agent/manifest.json",
	} {
		res, body := s.raw(t, line(path))
		if res != nil && res.StatusCode < 400 || strings.Contains(body, "kernel!") || strings.Contains(body, "secret") {
			t.Errorf("%s: %v %.40q", path, res, body)
		}
	}
	for name, request := range map[string]string{
		"NUL":           line("/boot/v1/agent/vmlinuz\x00"),
		"64 KiB":        line("/" + strings.Repeat("a", 64<<10)),
		"header 1 MiB":  "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"many headers":  "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 10_000) + "\r\n",
		"CONNECT":       "CONNECT x:22 HTTP/1.1\r\nHost: x\r\n\r\n",
		"HTTP/2":        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"garbage":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"two lengths":   "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"chunked body":  "GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"body with GET": "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
	} {
		if res, _ := s.raw(t, request); res != nil && res.StatusCode < 400 {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
	}
}

func TestMethods(t *testing.T) {
	s := newSite(t, nil)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
		if res, _ := s.do(t, method, catalog.AgentPath+"vmlinuz"); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %v", method, res)
		}
	}
	for _, path := range []string{catalog.AgentPath + "vmlinuz", catalog.FirstStagePath, catalog.LoaderPath + catalog.SNPOnly, ask} {
		get, body := s.get(t, path)
		head, none := s.do(t, http.MethodHead, path)
		if none != "" || head.StatusCode != http.StatusOK || head.ContentLength != int64(len(body)) || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: HEAD gives %v of %d bytes, GET %d bytes", path, head.Status, head.ContentLength, len(body))
		}
	}
}

// TestHTTPBootHeaders: what UEFI firmware and a download that goes on need.
func TestHTTPBootHeaders(t *testing.T) {
	s := newSite(t, nil)
	res, _ := s.get(t, catalog.LoaderPath+catalog.SNPOnly)
	if got := res.Header.Get("Content-Type"); got != "application/efi" {
		t.Errorf("type %q", got)
	}
	want := fmt.Sprintf("%q", digest([]byte("MZ snponly")).SHA256)
	if got := res.Header.Get("ETag"); got != want || res.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("ETag %s, want %s; %v", got, want, res.Header)
	}
}

func TestRanges(t *testing.T) {
	s := newSite(t, nil)
	path, etag := catalog.AgentPath+"vmlinuz", `"`+digest(nil).SHA256+`"`
	full, _ := s.get(t, path)
	size := len(s.kernel)
	for name, tc := range map[string]struct {
		header []string
		status int
		want   string
	}{
		"first bytes":       {[]string{"Range", "bytes=0-6"}, 206, "kernel!"},
		"from the middle":   {[]string{"Range", fmt.Sprintf("bytes=%d-", size-8)}, 206, "kernel!\n"},
		"last bytes":        {[]string{"Range", "bytes=-8"}, 206, "kernel!\n"},
		"same digest":       {[]string{"Range", "bytes=0-6", "If-Range", full.Header.Get("ETag")}, 206, "kernel!"},
		"other digest":      {[]string{"Range", "bytes=0-6", "If-Range", etag}, 200, string(s.kernel)},
		"known already":     {[]string{"If-None-Match", full.Header.Get("ETag")}, 304, ""},
		"beyond the end":    {[]string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, "invalid range: failed to overlap\n"},
		"many ranges":       {[]string{"Range", "bytes=0-0" + strings.Repeat(",0-0", 500)}, 200, string(s.kernel)},
		"two range headers": {[]string{"Range", "bytes=0-0", "Range", "bytes=1-1"}, 200, string(s.kernel)},
	} {
		if res, body := s.get(t, path, tc.header...); res.StatusCode != tc.status || body != tc.want {
			t.Errorf("%s: status %d, %d bytes; want %d, %d bytes", name, res.StatusCode, len(body), tc.status, len(tc.want))
		}
	}
}

// TestT30FlippedByte: not one byte of a changed file is served, and the answer names no path of this machine.
func TestT30FlippedByte(t *testing.T) {
	s := newSite(t, nil)
	if res, _ := s.get(t, catalog.AgentPath+"vmlinuz"); res.StatusCode != http.StatusOK {
		t.Fatalf("control: %v", res.Status)
	}
	bad := append([]byte{}, s.kernel...)
	bad[len(bad)/2] ^= 0x10
	if err := os.WriteFile(filepath.Join(s.dir, catalog.Kernel), bad, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, header := range [][]string{nil, {"Range", "bytes=0-6"}} {
		res, body := s.get(t, catalog.AgentPath+"vmlinuz", header...)
		if res.StatusCode != http.StatusInternalServerError || strings.Contains(body, "kernel!") || strings.Contains(body, s.dir) {
			t.Errorf("status %d: %.80q", res.StatusCode, body)
		}
	}
	if err := os.Remove(filepath.Join(s.dir, catalog.Kernel)); err != nil {
		t.Fatal(err)
	}
	if res, body := s.get(t, catalog.AgentPath+"vmlinuz"); res.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, s.dir) {
		t.Errorf("gone: status %d: %q", res.StatusCode, body)
	}
}

func TestHealth(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"/healthz", "/readyz"} {
		if res, _ := s.get(t, path); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	s.noView = true
	if res, _ := s.get(t, "/readyz"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz without a view: %s", res.Status)
	}
	if res, _ := s.get(t, "/healthz"); res.StatusCode != http.StatusOK {
		t.Errorf("/healthz without a view: %s", res.Status)
	}
}

// TestT29Query: whatever a machine says of itself, the script has the same commands in the same order.
func TestT29Query(t *testing.T) {
	s := newSite(t, func(s *site) { s.cfg.Limits.Scripts = limits.Rate{PerSecond: 1, Burst: 1000} })
	commands := func(script string) (list string) {
		for _, line := range strings.Split(script, "\n") {
			word, _, _ := strings.Cut(line, " ")
			list += word + "\n"
		}
		return list
	}
	_, control := s.get(t, ask)
	for _, evil := range []string{"a\nshell", "a\r\nshell", "${net0/mac}", "|| shell", "&& shell", "; shell", "# x", "\x00", "ü\u2028", strings.Repeat("a", 128), `"`, "--help", "%24%7buuid%7d"} {
		for _, field := range []string{"serial", "manufacturer", "product", "uuid", "platform", "try"} {
			path := catalog.ScriptPath + "?mac=52-54-00-78-00-01&arch=x86_64&" + field + "=" + url.PathEscape(evil)
			res, body := s.get(t, path)
			if res.StatusCode != http.StatusOK || commands(body) != commands(control) {
				t.Errorf("%s=%q: status %d:\n%s", field, evil, res.StatusCode, body)
			}
		}
	}
}
