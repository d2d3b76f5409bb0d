//go:build e2e

package scenarios

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ingot.dev/ingot/boot-assets/initramfs"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/source"
)

// awaitEnvironment waits until the Environment is as wanted.
func (c *cluster) awaitEnvironment(what string, cond func(*metal.Environment) bool) *metal.Environment {
	c.t.Helper()
	e := &metal.Environment{}
	c.await(2*bootLimit, "the Environment: "+what, func() bool {
		e = &metal.Environment{}
		return c.client.Get(c.t.Context(), client.ObjectKey{Name: "testos"}, e) == nil && cond(e)
	})
	return e
}

func cached(e *metal.Environment) bool {
	return meta.IsStatusConditionTrue(e.Status.Conditions, reasons.Ready)
}

// failed says that a file cannot be had.
func failed(e *metal.Environment) bool {
	return meta.IsStatusConditionFalse(e.Status.Conditions, reasons.Ready) && slices.ContainsFunc(e.Status.Assets, func(a metal.AssetStatus) bool { return a.State == "Failed" })
}

// fetch asks the pxe-server for a file, as a booting machine does. What it gets is empty, or has the digest that was promised.
func (c *cluster) fetch(t *testing.T, name string) bool {
	t.Helper()
	want := c.files[name].SHA256
	r, err := http.Get("http://" + net.JoinHostPort(c.host(), "7480") + "/boot/v1/blob/" + want)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK || err != nil {
		return false
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
		t.Errorf("%d bytes of a %s that is not the promised one left", len(data), name)
	}
	return true
}

// damage flips a bit of a file in the cache.
func (c *cluster) damage(t *testing.T, name string) {
	t.Helper()
	done := 0
	err := filepath.WalkDir(c.stateDir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasPrefix(entry.Name(), c.files[name].SHA256) || entry.Name() != filepath.Base(path) {
			return err
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer file.Close()
		b := make([]byte, 1)
		if _, err := file.ReadAt(b, c.files[name].Size/2); err != nil {
			return err
		}
		b[0] ^= 1
		done++
		_, err = file.WriteAt(b, c.files[name].Size/2)
		return err
	})
	if err != nil || done != 1 {
		t.Fatalf("%d files in the cache are the %s: %v", done, name, err)
	}
}

// TestTamperedAsset: no machine gets one byte of a file that is not what its digest says, whether its source or the cache was tampered with. The
// controls: the honest file arrives, and an honest source heals the cache.
func TestTamperedAsset(t *testing.T) {
	c := newCluster(t, small("f1", 0x84))
	c.source.Set(source.Fault{Flip: true})
	c.offer("testos")
	e := c.awaitEnvironment("its files are not what they should be", failed)
	for _, a := range e.Status.Assets {
		if a.State == "Cached" {
			t.Errorf("a tampered file is in the cache: %+v", a)
		}
	}
	for _, name := range []string{initramfs.VmlinuzName, initramfs.InitramfsName} {
		if c.fetch(t, name) {
			t.Errorf("the pxe-server hands out %s", name)
		}
	}
	c.source.Set(source.Fault{})
	c.awaitEnvironment("an honest source heals it", cached)
	if !c.fetch(t, initramfs.VmlinuzName) {
		t.Error("control: the kernel cannot be had")
	}
	c.source.Stop()
	c.damage(t, initramfs.VmlinuzName)
	if c.fetch(t, initramfs.VmlinuzName) {
		t.Error("a damaged file was handed out, or its damage was not noticed")
	}
	c.awaitEnvironment("the damage is noticed", func(e *metal.Environment) bool { return !cached(e) })
	if err := c.source.Resume(); err != nil {
		t.Fatal(err)
	}
	c.awaitEnvironment("it is fetched again", cached)
	if !c.fetch(t, initramfs.VmlinuzName) {
		t.Error("the kernel did not come back")
	}
}

// TestSourceDown: an Environment waits for its source, goes on with a transfer that broke off, and needs the source no more once it is cached.
func TestSourceDown(t *testing.T) {
	c := newCluster(t, small("g1", 0x85))
	c.source.Stop()
	c.offer("testos")
	c.awaitEnvironment("it says that its source is away", failed)
	c.source.Set(source.Fault{CutAfter: 4 << 20})
	if err := c.source.Resume(); err != nil {
		t.Fatal(err)
	}
	c.await(2*bootLimit, "a broken transfer goes on where it ended", func() bool {
		return slices.ContainsFunc(c.source.Requests(), func(r source.Request) bool { return strings.HasPrefix(r.Range, "bytes=") && r.Range != "bytes=0-" })
	})
	c.source.Set(source.Fault{})
	c.awaitEnvironment("its files are there", cached)
	c.source.Stop()
	for _, name := range []string{initramfs.VmlinuzName, initramfs.InitramfsName} {
		if !c.fetch(t, name) {
			t.Errorf("without its source %s cannot be had", name)
		}
	}
	if !cached(c.awaitEnvironment("it needs its source no more", func(*metal.Environment) bool { return true })) {
		t.Error("the Environment is not ready any more")
	}
}
