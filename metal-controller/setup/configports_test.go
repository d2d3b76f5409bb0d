package setup_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/setup"
)

// TestConfigPorts: both ports answer, under the authority that agents pin, and know capabilities of the key that the installation keeps.
func TestConfigPorts(t *testing.T) {
	c := start(t, func(c *setup.Config) { c.ConfigListen, c.PlainConfigListen = "127.0.0.1:0", "127.0.0.1:0" })
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "config-ports"}}
	create(t, server)
	links := linksOf(t, c)
	for _, plain := range []bool{false, true} {
		url := links.ConfigURL(server.Name, "boot1", plain)
		if code, text := callPort(t, c, http.MethodGet, url, ""); code != http.StatusForbidden || !strings.HasPrefix(text, "refused") {
			t.Errorf("plain %v: %d %s", plain, code, text)
		}
	}
	if code, _ := callPort(t, c, http.MethodGet, links.HTTPS+"/", ""); code != http.StatusNotFound {
		t.Errorf("control: another path: %d", code)
	}
}

// linksOf makes the capabilities of a controller's ports, with the key that the installation keeps.
func linksOf(t *testing.T, c *controller) capability.Links {
	t.Helper()
	key, err := capability.NewKey(secretOf(t, "ingot-config-key").Data["key"])
	if err != nil {
		t.Fatal(err)
	}
	return capability.Links{Key: key, HTTPS: "https://" + c.ConfigAddr, Plain: "http://" + c.PlainConfigAddr}
}

// callPort is one call of a machine that trusts the pin of a controller's agent port alone.
func callPort(t *testing.T, c *controller, method, url, body string) (code int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	pin := firstView(t, c.Boot).Agent.Pin
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error { return pinned(s, pin) },
	}}}
	a, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	all, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(all)
}

// TestNoConfigPorts: a controller that gives out no configs opens no port for them.
func TestNoConfigPorts(t *testing.T) {
	if c := start(t, func(c *setup.Config) { c.PlainConfigListen = "127.0.0.1:0" }); c.ConfigAddr != "" || c.PlainConfigAddr != "" {
		t.Errorf("%q, %q", c.ConfigAddr, c.PlainConfigAddr)
	}
}
