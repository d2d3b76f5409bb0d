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

// TestTelling: a Talos learns where it tells how it fares, as far as that fits and the Environment does not say so itself; no other system does.
func TestTelling(t *testing.T) {
	l := capability.Links{Key: key(t, canary), HTTPS: "https://192.0.2.1:7445", Plain: "http://192.0.2.1:7446", Events: "192.0.2.1:7447", KernelLog: "192.0.2.1:7448"}
	const events, kernel = "talos.events.sink=192.0.2.1:7447", "talos.logging.kernel=tcp://192.0.2.1:7448"
	said := func(l capability.Links, plain bool, more ...string) string {
		var out []string
		line := l.Args(append([]string{"talos.config={config}"}, more...), "s", "b9", plain, "PIN")
		for _, a := range line {
			if strings.HasPrefix(a, "talos.events") || strings.HasPrefix(a, "talos.logging") {
				out = append(out, a)
			}
		}
		if all := strings.Join(line, " "); !strings.Contains(all, l.Early) || !strings.Contains(all, "ingot.boot=b9") {
			t.Errorf("without what must be on it: %s", all)
		}
		return strings.Join(out, " ")
	}
	told := func(l capability.Links, more ...string) string { return said(l, true, more...) }
	secret, bare := l, l
	secret.Early, bare.Events, bare.KernelLog = "talos.config.early=AAAA", "", ""
	free := capability.MaxLine - len(strings.Join(bare.Args([]string{"talos.config={config}"}, "s", "b9", true, ""), " ")) - len(" "+events+" "+kernel)
	fill := func(n int) string { return strings.Repeat("x", free-n-1) }
	for name, c := range map[string]struct{ got, want string }{
		"both":                      {told(l), events + " " + kernel},
		"none offered":              {told(bare), ""},
		"over HTTPS":                {said(secret, false), events},
		"the Environment's sink":    {told(l, "talos.events.sink=a:1"), "talos.events.sink=a:1 " + kernel},
		"the Environment's log":     {told(l, "talos.logging.kernel=udp://a:1"), "talos.logging.kernel=udp://a:1 " + events},
		"just enough room":          {told(l, fill(0)), events + " " + kernel},
		"one byte less":             {told(l, fill(-1)), events},
		"no room":                   {told(l, fill(-len(events)-len(kernel)-2)), ""},
		"room for the shorter only": {told(l, fill(-len(kernel))), events},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
	if got := strings.Join(l.Args([]string{"console=ttyS0"}, "s", "b9", false, "PIN"), " "); strings.Contains(got, "talos") {
		t.Errorf("another system gets %s", got)
	}
}

// TestTalosLineFits: the longest address that is allowed, our trust and the arguments that Talos' own factory gives leave room below the limit of 1,920 bytes.
func TestTalosLineFits(t *testing.T) {
	early, err := capability.EarlyTrust(root(t).DER())
	if err != nil {
		t.Fatal(err)
	}
	const host = "[2001:db8:1234:5678:9abc:def0:1234:5678]"
	l := capability.Links{Key: key(t, canary), HTTPS: "https://" + host + ":7445", Early: early, Events: host + ":7447", KernelLog: host + ":7448"}
	args := strings.Fields("talos.platform=metal console=ttyS0 console=tty0 consoleblank=0 nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 module.sig_enforce=1 proc_mem.force_override=never init_on_alloc=1 slab_nomerge= pti=on talos.config={config}")
	line := strings.Join(l.Args(args, strings.Repeat("s", 63), strings.Repeat("b", 32), false, ""), " ")
	if len(line) > 1560 || !strings.Contains(line, "talos.events.sink=") {
		t.Errorf("the line has %d bytes: %s", len(line), line)
	}
}
