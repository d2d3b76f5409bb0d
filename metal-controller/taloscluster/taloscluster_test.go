package taloscluster_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"k8s.io/client-go/tools/clientcmd"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/talos"
	"ingot.dev/ingot/metal-controller/taloscheck"
	"ingot.dev/ingot/metal-controller/taloscluster"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

var lab = taloscluster.Cluster{Name: "lab", Endpoint: "https://192.0.2.10:6443", TalosVersion: "v1.13.0", KubernetesVersion: "1.36.2"}

func secrets(t *testing.T) taloscluster.Secrets {
	t.Helper()
	s, err := taloscluster.New(lab, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func config(t *testing.T, s taloscluster.Secrets, role taloscluster.Role) []byte {
	t.Helper()
	data, err := s.Config(lab, role)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestConfigs: Talos' own code takes both configs once a disk is chosen, and a worker's holds no authority's key.
func TestConfigs(t *testing.T) {
	s := secrets(t)
	for role, keys := range map[taloscluster.Role]bool{taloscluster.ControlPlane: true, taloscluster.Worker: false} {
		data := config(t, s, role)
		provider, err := configloader.NewFromBytes(data)
		if err != nil {
			t.Fatal(err)
		}
		c := provider.RawV1Alpha1()
		if got := c.MachineConfig.MachineType; (got == "controlplane") != keys || c.ClusterConfig.ControlPlane.Endpoint.String() != lab.Endpoint || !strings.HasSuffix(c.MachineConfig.MachineInstall.InstallImage, ":v1.13.0") {
			t.Errorf("%s: type %s, endpoint %s, installer %s", role, got, c.ClusterConfig.ControlPlane.Endpoint, c.MachineConfig.MachineInstall.InstallImage)
		}
		if has := len(c.MachineConfig.MachineCA.Key) > 0; has != keys {
			t.Errorf("%s: the key of Talos' authority is in it: %t", role, has)
		}
		if ca := c.ClusterConfig.ClusterCA; (ca != nil && len(ca.Key) > 0) != keys {
			t.Errorf("%s: the key of Kubernetes' authority is in it: %t", role, !keys)
		}
		if bytes.Contains(data, []byte("PRIVATE KEY")) {
			t.Errorf("%s: a key is in it as it is, not as base64", role)
		}
		disk := bytes.Replace(data, []byte("install:\n"), []byte("install:\n        disk: /dev/vda\n"), 1)
		inventory := &metal.ServerInventorySpec{Disks: []metal.Disk{{Name: "vda", WWID: "w1"}}}
		own := &metal.Server{Status: metal.ServerStatus{Disks: []metal.DiskStatus{{DiskID: metal.DiskID{WWID: "w1"}, Name: "vda", Verdict: metal.DiskOwn}}}}
		if err := taloscheck.Check(taloscheck.Request{Config: disk, Version: lab.TalosVersion, Server: own, Inventory: inventory}); err != nil {
			t.Errorf("%s: Talos would not take it: %v", role, err)
		}
	}
}

// TestParse: what was kept makes the same configs and certificates of the same authorities; what is broken is refused without a word of it.
func TestParse(t *testing.T) {
	s := secrets(t)
	kept, err := s.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := taloscluster.Parse(kept, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []taloscluster.Role{taloscluster.ControlPlane, taloscluster.Worker} {
		if !bytes.Equal(config(t, s, role), config(t, again, role)) {
			t.Errorf("%s: another config", role)
		}
	}
	if bytes.Equal(config(t, s, taloscluster.Worker), config(t, secrets(t), taloscluster.Worker)) {
		t.Error("two clusters have the same config")
	}
	half := kept[:len(kept)/2]
	for name, broken := range map[string][]byte{"nothing": nil, "half": half, "text": []byte("canary"), "no maps": []byte("certs: canary\ncluster: canary")} {
		if _, err := taloscluster.Parse(broken, now); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTalosconfig: Ingot itself takes it, and so does Talos, whose authority signed it, as an admin's.
func TestTalosconfig(t *testing.T) {
	s := secrets(t)
	file, err := s.Talosconfig(lab, []string{"192.0.2.11"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := talos.ParseTalosconfig(file); err != nil {
		t.Error(err)
	}
	if !bytes.Contains(file, []byte("192.0.2.11")) {
		t.Error("it names no endpoint")
	}
	if _, err := talos.FromMachineConfig(config(t, s, taloscluster.ControlPlane), talos.Reader, now, rand.Reader); err != nil {
		t.Errorf("a control plane's config makes no certificate: %v", err)
	}
	if _, err := talos.FromMachineConfig(config(t, s, taloscluster.Worker), talos.Reader, now, rand.Reader); err == nil {
		t.Error("control: a worker's does")
	}
}

// TestKubeconfig: the certificate is an admin's, of the cluster's authority, and holds as long as it was asked to, within the authority's own life.
func TestKubeconfig(t *testing.T) {
	s := secrets(t)
	for life, want := range map[time.Duration]time.Duration{time.Hour: time.Hour, 100 * 365 * 24 * time.Hour: 87600 * time.Hour} {
		file, err := s.Kubeconfig(lab, life, now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		got, err := clientcmd.RESTConfigFromKubeConfig(file)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(got.CertData, got.KeyData)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(got.CAData)
		check := func(at time.Time) error {
			_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			return err
		}
		if err := check(now); err != nil || got.Host != lab.Endpoint || pair.Leaf.Subject.Organization[0] != "system:masters" {
			t.Errorf("%s: %v, host %s, subject %s", life, err, got.Host, pair.Leaf.Subject)
		}
		if check(now.Add(life+time.Second)) == nil || pair.Leaf.NotAfter.Sub(now).Round(time.Hour) != want {
			t.Errorf("%s: it holds until %s", life, pair.Leaf.NotAfter)
		}
	}
}

// TestRedacted: secrets that are printed by mistake show nothing.
func TestRedacted(t *testing.T) {
	s := secrets(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, struct{ S taloscluster.Secrets }{s}); strings.Contains(got, "Token") || !strings.Contains(got, "REDACTED") {
			t.Errorf("%s: %.80s", verb, got)
		}
	}
}

// TestCheck: what is no cluster is said with what to write.
func TestCheck(t *testing.T) {
	if err := lab.Check(); err != nil {
		t.Fatalf("control: %v", err)
	}
	for name, change := range map[string]func(*taloscluster.Cluster){
		"such as v1.13.0":          func(c *taloscluster.Cluster) { c.TalosVersion = "latest" },
		"such as 1.36.2":           func(c *taloscluster.Cluster) { c.KubernetesVersion = "v1.36" },
		"write https://HOST:6443":  func(c *taloscluster.Cluster) { c.Endpoint = "http://192.0.2.1:6443" },
		"write https://HOST:6443 ": func(c *taloscluster.Cluster) { c.Endpoint = "https://192.0.2.1/?a=b" },
		"its port is none":         func(c *taloscluster.Cluster) { c.Endpoint = "https://192.0.2.1:70000" },
	} {
		c := lab
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for text, want := range map[string]string{"192.0.2.1": "https://192.0.2.1:6443", "2001:db8::1": "https://[2001:db8::1]:6443"} {
		if got := taloscluster.Endpoint(netip.MustParseAddr(text)); got != want || taloscluster.CheckEndpoint(got) != nil {
			t.Errorf("%s: %s", text, got)
		}
	}
}
