//go:build e2e

package scenarios

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/factory"
)

// foundry is a site with an Image Factory.
type foundry struct {
	*site
	factory *factory.Server
}

func newFoundry(t *testing.T) *foundry {
	t.Helper()
	s := newSite(t, small("h1", 0x86)) // a rack has a server; this one stays off
	f, err := factory.Start(s.host()+":0", "v1.13.0", "v1.13.1", "v1.13.2")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return &foundry{site: s, factory: f}
}

// offer makes an Environment of Talos.
func (f *foundry) offer(name string, source metal.TalosSource) {
	f.t.Helper()
	source.FactoryURL = f.factory.URL()
	e := &metal.Environment{}
	e.Name, e.Spec.Talos = name, &source
	f.create(e)
}

// until waits until the Environment's condition Ready has a reason.
func (f *foundry) until(name, reason string) *metal.Environment {
	f.t.Helper()
	e := &metal.Environment{}
	f.await(2*bootLimit, "the Environment "+name+": "+reason, func() bool {
		e = &metal.Environment{}
		if f.client.Get(f.t.Context(), client.ObjectKey{Name: name}, e) != nil {
			return false
		}
		c := meta.FindStatusCondition(e.Status.Conditions, reasons.Ready)
		return c != nil && c.Reason == reason && (c.Status == metav1.ConditionTrue) == (reason == reasons.AssetsCached)
	})
	return e
}

// served says whether a booting machine gets the file. What it gets is the promised one.
func (f *foundry) served(a *metal.Asset) bool {
	f.t.Helper()
	r, err := http.Get("http://" + net.JoinHostPort(f.host(), "7480") + "/boot/v1/blob/" + a.SHA256)
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK || err != nil {
		return false
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != a.SHA256 || int64(len(data)) != a.SizeBytes {
		f.t.Errorf("%d bytes left that are not what was pinned: %+v", len(data), a)
	}
	return true
}

// asked counts the requests for a file.
func (f *foundry) asked(suffix string) (n int) {
	for _, r := range f.factory.Requests() {
		if strings.HasSuffix(r.Path, suffix) {
			n++
		}
	}
	return n
}

// wish claims a server with an Environment, and waits for the reason for which it waits.
func (f *foundry) wish(name, environment, reason string) {
	f.t.Helper()
	f.create(&metal.ServerClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: name}, Spec: metal.ServerClaimSpec{ClassName: class, EnvironmentName: environment},
	})
	f.await(bootLimit, "the claim "+name+" waits: "+reason, func() bool {
		v := &metal.ServerClaim{}
		return f.client.Get(f.t.Context(), client.ObjectKey{Namespace: tenant, Name: name}, v) == nil && says(v, reasons.Bound) == reason
	})
}

// TestFactoryDown: what was resolved is served without the factory, by the same program and by its successor; what was not says so, and goes on by itself
// when the factory is back; other bytes than the pinned ones leave to nobody until a person says so; and files put there by hand need no factory.
func TestFactoryDown(t *testing.T) {
	f := newFoundry(t)
	f.create(&metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Spec: metal.ServerClassSpec{
		AllowedNamespaces: &metal.NamespaceSelection{All: true}, AllowedEnvironments: []string{"*"},
	}})
	var edge *metal.Environment
	f.step("control: it is up", func(t *testing.T) {
		f.offer("edge", metal.TalosSource{Version: "v1.13.0", Schematic: "customization: {extraKernelArgs: [console=ttyS0]}\n"})
		edge = f.until("edge", reasons.AssetsCached)
		b := edge.Boots()[0]
		if line := strings.Join(b.Args, " "); !strings.HasPrefix(line, "talos.platform=metal ") || !strings.HasSuffix(line, " console=ttyS0 talos.config={config}") {
			t.Errorf("the kernel line is %q", line)
		}
		if !f.served(b.Kernel) || !f.served(b.Initramfs) {
			t.Error("its files cannot be had")
		}
		if n := f.asked("/v1.13.0/initramfs-amd64.xz"); n != 1 {
			t.Errorf("the initramfs was fetched %d times", n)
		}
	})
	f.factory.Stop()
	f.step("it is down", func(t *testing.T) {
		f.offer("later", metal.TalosSource{Version: "v1.13.1"})
		f.until("later", reasons.FactoryUnreachable)
		if out := f.ingot("get", "environments", "-o", "wide"); !strings.Contains(out, "FactoryUnreachable") || !strings.Contains(out, "connection refused") {
			t.Errorf("it shows\n%s", out)
		}
		f.wish("patient", "later", reasons.FactoryUnreachable)
		f.wish("control", "edge", reasons.NoMatchingServer)
		f.stopUp(syscall.SIGTERM)
		f.startUp()
		if again := f.until("edge", reasons.AssetsCached); again.Status.Talos.PinnedAt != edge.Status.Talos.PinnedAt || !f.served(again.Boots()[0].Kernel) {
			t.Errorf("after a restart it is %+v", again.Status.Talos)
		}
	})
	f.step("files put there by hand", f.byHand)
	if err := f.factory.Resume(); err != nil {
		t.Fatal(err)
	}
	f.step("it is back", func(t *testing.T) {
		f.served(f.until("later", reasons.AssetsCached).Boots()[0].Kernel)
		f.await(bootLimit, "the claim goes on", func() bool {
			v := &metal.ServerClaim{}
			return f.client.Get(t.Context(), client.ObjectKey{Namespace: tenant, Name: "patient"}, v) == nil && says(v, reasons.Bound) == reasons.NoMatchingServer
		})
	})
	f.step("it has other bytes", f.otherBytes)
}

// byHand: a site without a network gets its files by hand, and names them by their digests.
func (f *foundry) byHand(t *testing.T) {
	dir := t.TempDir()
	boot := metal.BootAssets{Arch: "amd64"}
	for name, c := range map[string]struct {
		data  string
		asset **metal.Asset
	}{"kernel-amd64": {"MZ a kernel", &boot.Kernel}, "initramfs-amd64.xz": {"\xfd7zXZ an initramfs", &boot.Initramfs}} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(c.data))
		*c.asset = &metal.Asset{URL: f.factory.URL() + "/image/" + name, SHA256: hex.EncodeToString(sum[:]), SizeBytes: int64(len(c.data))}
	}
	f.offer("island", metal.TalosSource{Version: "v1.13.0", SchematicID: strings.Repeat("ab", 32), Boot: []metal.BootAssets{boot}})
	f.until("island", reasons.AssetsFailed)
	f.ingotAlone("assets", "import", filepath.Join(dir, "kernel-amd64"), filepath.Join(dir, "initramfs-amd64.xz"), "--state-dir", f.stateDir())
	e := f.until("island", reasons.AssetsCached)
	if b := e.Boots()[0]; !f.served(b.Kernel) || !f.served(b.Initramfs) || !strings.HasSuffix(e.Status.Talos.Installer, ":v1.13.0") {
		t.Errorf("%+v", e.Status.Talos)
	}
}

// otherBytes: the cache lost a file, and the factory has another one in its place.
func (f *foundry) otherBytes(t *testing.T) {
	f.factory.Set(factory.Fault{Change: true})
	pin := f.until("edge", reasons.AssetsCached).Status.Talos
	kernel := pin.Boot[0].Kernel
	if err := os.Remove(filepath.Join(f.stateDir(), "pxe-server", "assets", kernel.SHA256)); err != nil {
		t.Fatal(err)
	}
	if f.served(kernel) {
		t.Error("a file that is gone is served")
	}
	changed := f.until("edge", reasons.AssetsChanged)
	if f.served(kernel) || changed.Status.Talos.Boot[0].Kernel.SHA256 != kernel.SHA256 {
		t.Error("other bytes took the place of the pinned ones")
	}
	message := meta.FindStatusCondition(changed.Status.Conditions, reasons.Ready).Message
	_, command, ok := strings.Cut(message, "`kubectl annotate environment edge ")
	annotation, _, ok2 := strings.Cut(command, " --overwrite`")
	name, value, ok3 := strings.Cut(annotation, "=")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("it does not say how to take them: %s", message)
	}
	f.await(bootLimit, "a person's word is written", func() bool {
		e := &metal.Environment{}
		if f.client.Get(t.Context(), client.ObjectKey{Name: "edge"}, e) != nil {
			return false
		}
		e.Annotations = map[string]string{name: value}
		return f.client.Update(t.Context(), e) == nil
	})
	f.await(2*bootLimit, "it is pinned anew", func() bool {
		e := &metal.Environment{}
		return f.client.Get(t.Context(), client.ObjectKey{Name: "edge"}, e) == nil && len(e.Boots()) == 1 && e.Boots()[0].Kernel.SHA256 != kernel.SHA256
	})
	if e := f.until("edge", reasons.AssetsCached); !f.served(e.Boots()[0].Kernel) || f.served(kernel) {
		t.Error("what the person accepted cannot be had, or what was before still can")
	}
}
