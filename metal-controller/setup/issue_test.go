package setup_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingot.dev/ingot/metal-controller/setup"
	pxeclient "ingot.dev/ingot/pxe-server/controller"
	"ingot.dev/ingot/pxe-server/protocol"
)

// TestIssueSite: what is written lets a stand-alone pxe-server in, through the real program's own dialling code.
func TestIssueSite(t *testing.T) {
	c := start(t, func(c *setup.Config) { c.BootListen = "127.0.0.1:0" })
	dir := filepath.Join(t.TempDir(), "r1")
	if err := setup.IssueSite(t.Context(), config(t, nil), "r1", dir); err != nil {
		t.Fatal(err)
	}
	files := pxeclient.TLS{Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")}
	conn, err := pxeclient.Dial(c.BootAddr, files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if v := firstView(t, protocol.NewBootClient(conn)); v.Agent.GetPin() == "" {
		t.Errorf("view %v", v)
	}
	if info, err := os.Stat(files.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info.Mode(), err)
	}
	if _, err := tls.LoadX509KeyPair(files.Certificate, files.Key); err != nil {
		t.Error(err)
	}
	if err := setup.IssueSite(t.Context(), config(t, nil), "r1", dir); err == nil || !strings.Contains(err.Error(), "--out") {
		t.Errorf("overwriting: %v", err)
	}
	for _, bad := range []string{"", "Rack 1", "../x", strings.Repeat("a", 64)} {
		if err := setup.IssueSite(t.Context(), config(t, nil), bad, t.TempDir()+"/x"); err == nil {
			t.Errorf("the site %q was taken", bad)
		}
	}
}

// TestConfigErrors: what cannot work is said before anything starts.
func TestConfigErrors(t *testing.T) {
	for name, change := range map[string]func(*setup.Config){
		"--agent-listen":        func(c *setup.Config) { c.AgentListen = "" },
		"--agent-url":           func(c *setup.Config) { c.AgentURL = "http://192.0.2.1" },
		"--unknown-policy":      func(c *setup.Config) { c.UnknownPolicy = "capture" },
		"--config-url":          func(c *setup.Config) { c.ConfigListen, c.ConfigURL = ":0", "http://192.0.2.1:7445" },
		"--config-url and":      func(c *setup.Config) { c.ConfigURL = "https://192.0.2.1:7445" },
		"without a path":        func(c *setup.Config) { c.ConfigListen, c.ConfigURL = ":0", "https://192.0.2.1:7445/" },
		"--plain-config-url":    func(c *setup.Config) { c.ConfigListen, c.PlainConfigURL = ":0", "http://192.0.2.1:7446" },
		"--config-listen":       func(c *setup.Config) { c.ConfigListen = "192.0.2.1:1" },
		"--plain-config-listen": func(c *setup.Config) { c.ConfigListen, c.PlainConfigListen = "127.0.0.1:0", "192.0.2.1:1" },
		"listening for --":      func(c *setup.Config) { c.AgentListen = "192.0.2.1:1" },
		"--kubeconfig":          func(c *setup.Config) { c.REST.Host = "https://127.0.0.1:1" },
	} {
		if err := setup.Run(t.Context(), config(t, change)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error about %s, got %v", name, err)
		}
	}
}
