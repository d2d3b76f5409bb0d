package capability_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.yaml.in/yaml/v3"

	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/capability"
)

// root is an authority as installations make it.
func root(t *testing.T) *authority.Authority {
	t.Helper()
	cert, key, err := authority.New("Ingot agents 0123456789abcdef0123456789abcdef", time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Parse(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestEarlyTrust reads the argument as Talos does: all values joined, base64, zstd, one document with the certificate as PEM.
func TestEarlyTrust(t *testing.T) {
	a := root(t)
	arg, err := capability.EarlyTrust(a.DER())
	if err != nil {
		t.Fatal(err)
	}
	value, ok := strings.CutPrefix(arg, "talos.config.early=")
	if !ok || len(arg) > 900 {
		t.Errorf("%d bytes: %s", len(arg), arg)
	}
	packed, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	text, err := d.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]string
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode([]byte(doc["certificates"]))
	if len(doc) != 4 || doc["apiVersion"] != "v1alpha1" || doc["kind"] != "TrustedRootsConfig" || doc["name"] != "ingot" || block == nil || string(block.Bytes) != string(a.DER()) || len(rest) != 0 {
		t.Errorf("the document is %q", text)
	}
	if again, _ := capability.EarlyTrust(a.DER()); again != arg {
		t.Error("the same certificate gives another argument")
	}
	if other, _ := capability.EarlyTrust(root(t).DER()); other == arg {
		t.Error("control: another certificate gives the same argument")
	}
}

// TestArgs: a Talos gets trust and the name of its boot, any other system the pin.
func TestArgs(t *testing.T) {
	l := capability.Links{Key: key(t, canary), HTTPS: "https://192.0.2.1:7445", Plain: "http://192.0.2.1:7446", Early: "talos.config.early=AAAA"}
	config, plain := l.ConfigURL("s", "b9", false), l.ConfigURL("s", "b9", true)
	for _, c := range []struct {
		what  string
		links capability.Links
		args  []string
		plain bool
		want  []string
	}{
		{"another system", l, []string{"console=ttyS0"}, false, []string{"console=ttyS0", "ingot.config=" + config, "ingot.pin=PIN"}},
		{"one that names its config", l, []string{"c={config}"}, false, []string{"c=" + config, "ingot.pin=PIN"}},
		{"Talos", l, []string{"talos.platform=metal", "talos.config={config}"}, false, []string{"talos.platform=metal", "talos.config=" + config, l.Early, "ingot.boot=b9"}},
		{"Talos over plain HTTP", l, []string{"talos.config={config}"}, true, []string{"talos.config=" + plain, "ingot.boot=b9"}},
		{"Talos with an early config", l, []string{"talos.config.early=BB", "talos.config={config}"}, false, []string{"talos.config.early=BB", "talos.config=" + config, "ingot.boot=b9"}},
		{"plain HTTP that is not offered", capability.Links{Key: l.Key, HTTPS: l.HTTPS, Early: l.Early}, []string{"talos.config={config}"}, true, []string{"talos.config=" + config, l.Early, "ingot.boot=b9"}},
	} {
		if got := c.links.Args(c.args, "s", "b9", c.plain, "PIN"); strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// TestTalosLineFits: the longest address that is allowed, our trust and the arguments that Talos' own factory gives leave room below the limit of 1,920 bytes.
func TestTalosLineFits(t *testing.T) {
	early, err := capability.EarlyTrust(root(t).DER())
	if err != nil {
		t.Fatal(err)
	}
	l := capability.Links{Key: key(t, canary), HTTPS: "https://[2001:db8:1234:5678:9abc:def0:1234:5678]:7445", Early: early}
	args := strings.Fields("talos.platform=metal console=ttyS0 console=tty0 consoleblank=0 nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 module.sig_enforce=1 proc_mem.force_override=never init_on_alloc=1 slab_nomerge= pti=on talos.config={config}")
	line := strings.Join(l.Args(args, strings.Repeat("s", 63), strings.Repeat("b", 32), false, ""), " ")
	if len(line) > 1500 {
		t.Errorf("the line has %d bytes: %s", len(line), line)
	}
}
