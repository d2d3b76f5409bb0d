//go:build e2e

package scenarios

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/guest/client"
	"ingot.dev/ingot/sfyra-tests/guest/config"
)

// steal asks for a machine config from the switch, as somebody who read the capability on the console.
func (c *cluster) steal(t *testing.T, url, pin string) error {
	t.Helper()
	thief, err := client.New(url, pin)
	if err != nil {
		t.Fatal(err)
	}
	text, err := thief.Get(t.Context(), config.MaxBytes)
	if err == nil {
		t.Errorf("a thief got %d bytes", len(text))
	}
	return err
}

// refusedTo wants a 403 for the thief, at each of the addresses.
func (c *cluster) refusedTo(t *testing.T, what string, urls []string) {
	t.Helper()
	for _, url := range urls {
		if err := c.steal(t, url, pinOf(t, url)); !errors.Is(err, client.ErrStatus) || !strings.Contains(err.Error(), "status=403") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestConfigCapability: who reads the capability gets nothing with it: from another address it only ends the boot, in another boot and after the
// installation it is refused, and each is told. The controls: the machine itself, whose first answer is cut, gets its config and runs.
func TestConfigCapability(t *testing.T) {
	c := newCluster(t, small("d1", 0x82))
	c.offer("testos", "testos.truncate=100")
	c.open(class, "testos", metal.Requirements{})
	c.tap(t)
	c.register("d1")
	c.claim("web", class, "everySeconds: 5\nholdSeconds: 20\n")
	c.ingot("accept", "d1", "--wipe-data", "--yes")
	var first *metal.BootRecord
	var stolen []string
	c.step("another address", func(t *testing.T) {
		v := c.awaitServer("d1", "its config left", wipeLimit+runLimit, func(v *metal.Server) bool { return v.Spec.Record.Boot != nil && v.Spec.Record.Boot.Config != nil })
		first = v.Spec.Record.Boot
		if first.Config.Source == c.host() {
			t.Fatalf("it left for %s, the thief's address", first.Config.Source)
		}
		stolen = c.capabilities("d1", first.ID)
		c.refusedTo(t, "another address in the window", stolen)
		v = c.awaitServer("d1", "the boot is void", bootLimit, func(v *metal.Server) bool { return v.Spec.Record.Boot.Phase == metal.BootVoid })
		if b := v.Spec.Record.Boot; b.ID != first.ID || b.Reason != reasons.ConfigContested || v.Spec.Record.Installed != nil {
			t.Errorf("the contested boot is %+v, installed %+v", b, v.Spec.Record.Installed)
		}
		c.await(bootLimit, "the theft is told", func() bool { return c.told("d1", reasons.ConfigContested, first.ID) })
		if !strings.Contains(c.serial("d1"), "testos: broke the first fetch off after 100 bytes") {
			t.Error("the machine's first answer was not cut")
		}
	})
	c.ingot("power", "cycle", "d1", "--yes") // a person looked, and lets it go on
	c.step("another boot", func(t *testing.T) {
		v := c.awaitServer("d1", "another boot is open", runLimit, func(v *metal.Server) bool {
			return v.Spec.Record.Boot.ID != first.ID && v.Spec.Record.Boot.Target == metal.BootTargetOS && v.Spec.Record.Boot.Phase == metal.BootBooting
		})
		c.refusedTo(t, "the address of an earlier boot", stolen)
		var moved []string
		for _, url := range stolen {
			moved = append(moved, strings.Replace(url, first.ID, v.Spec.Record.Boot.ID, 1))
		}
		c.refusedTo(t, "its token for this boot", moved)
	})
	c.step("after the installation", func(t *testing.T) { c.afterInstallation(t, first, stolen) })
}

// afterInstallation: the machine runs, and what its console showed is worth nothing.
func (c *cluster) afterInstallation(t *testing.T, first *metal.BootRecord, stolen []string) {
	v := c.awaitRunning("web")
	r := v.Spec.Record
	if r.Installed.BootID == first.ID || r.Installed.Config == nil || !strings.Contains(c.serial("d1"), "testos: config fetched sha256="+r.Installed.Config.SHA256) {
		t.Errorf("the record of the installation is %+v", r.Installed)
	}
	replay := c.capabilities("d1", r.Installed.BootID)
	for _, url := range replay {
		if slices.ContainsFunc(stolen, func(s string) bool { return filepath.Base(s) == filepath.Base(url) }) {
			t.Fatal("two boots had the same capability")
		}
	}
	c.refusedTo(t, "an older replay", stolen)
	last := time.Time{}
	c.await(2*time.Minute, "the replay raises an alarm", func() bool { // one a minute, and an earlier theft may have taken it
		if time.Since(last) > 5*time.Second {
			c.refusedTo(t, "a replay", replay)
			last = time.Now()
		}
		return c.told("d1", reasons.ConfigRefused, r.Installed.BootID)
	})
	now := c.awaitServer("d1", "it runs on", bootLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
	if now.Spec.Record.Installed.BootID != r.Installed.BootID || c.machine("d1").PID() == 0 {
		t.Error("a replay changed something")
	}
	if n := strings.Count(c.serial("d1"), "testos: broke the first fetch off after 100 bytes"); n < 2 {
		t.Errorf("%d first answers were cut, want one in each boot", n)
	}
}
