package setup_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/setup"
)

// TestConfigPorts: both ports answer, under the authority that agents pin, and know capabilities of the key that the installation keeps.
func TestConfigPorts(t *testing.T) {
	c := start(t, func(c *setup.Config) { c.ConfigListen, c.PlainConfigListen = "127.0.0.1:0", "127.0.0.1:0" })
	var kept corev1.Secret
	if err := admin(t).Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: "ingot-config-key"}, &kept); err != nil {
		t.Fatal(err)
	}
	key, err := capability.NewKey(kept.Data["key"])
	if err != nil {
		t.Fatal(err)
	}
	server := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "config-ports"}}
	create(t, server)
	pin := firstView(t, c.Boot).Agent.Pin
	get := func(url string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error { return pinned(s, pin) },
		}}}
		a, err := h.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, string(text)
	}
	links := capability.Links{Key: key, HTTPS: "https://" + c.ConfigAddr, Plain: "http://" + c.PlainConfigAddr}
	for _, plain := range []bool{false, true} {
		url := links.ConfigURL(server.Name, "boot1", plain)
		if code, text := get(url); code != http.StatusForbidden || !strings.HasPrefix(text, "refused") {
			t.Errorf("plain %v: %d %s", plain, code, text)
		}
	}
	if code, _ := get(links.HTTPS + "/"); code != http.StatusNotFound {
		t.Errorf("control: another path: %d", code)
	}
}

// TestNoConfigPorts: a controller that gives out no configs opens no port for them.
func TestNoConfigPorts(t *testing.T) {
	if c := start(t, func(c *setup.Config) { c.PlainConfigListen = "127.0.0.1:0" }); c.ConfigAddr != "" || c.PlainConfigAddr != "" {
		t.Errorf("%q, %q", c.ConfigAddr, c.PlainConfigAddr)
	}
}
