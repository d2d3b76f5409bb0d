//go:build e2e

package scenarios

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/guest/install"
)

// TestClaimToRunning: a server's life with a workload: claims that wait and say why, two that want the same server, the way to Running, the secret of the
// machine config, and the release, after which the host finds nothing of the workload on the disk.
func TestClaimToRunning(t *testing.T) {
	c := newCluster(t, small("c1", 0x81))
	c.offer("testos")
	tebibyte := resource.MustParse("1Ti")
	c.open(class, "testos", metal.Requirements{})
	c.open("large", "testos", metal.Requirements{Memory: &metal.QuantityRange{Min: &tebibyte}})
	canary := "canary-" + rand.Text()
	testOS := "everySeconds: 5\nmarks: true\nsecret: " + canary + "\n"
	c.register("c1")
	c.claim("first", class, testOS)
	c.claim("second", class, testOS)
	c.step("TestWhyNotPlaced", func(t *testing.T) { c.whyNotPlaced(t) })

	c.ingot("accept", "c1", "--wipe-data", "--yes")
	var winner string
	c.step("TestTwoClaimsOneServer", func(t *testing.T) { winner = c.oneWins(t) })
	seen := c.tap(t)
	c.step("Running", func(t *testing.T) {
		v := c.awaitRunning(winner)
		if r := v.Spec.Record.Installed; r == nil || r.RunningAt == nil || r.BindingID != v.Spec.Record.Claim.BindingID || r.EverySeconds != 5 || r.Config == nil {
			t.Errorf("the record of the installation is %+v", r)
		}
		if c.machine("c1").PID() == 0 {
			t.Error("the server is Running, and QEMU is not")
		}
		c.await(bootLimit, "the system says so on its console", func() bool { return strings.Contains(c.serial("c1"), "testos: running server=c1 from disk") })
		if n := c.countIn("c1", install.Mark); n < 100 {
			t.Errorf("the workload's disk has %d marks", n)
		}
	})
	c.step("TestCanarySecrets", func(t *testing.T) { c.canaryIsNowhere(t, canary, winner, seen) })
	c.step("TestReleaseWipes", func(t *testing.T) { c.releaseWipes(t, winner) })
}

// whyNotPlaced: claims that wait name each server's obstacle, and who ends it.
func (c *cluster) whyNotPlaced(t *testing.T) {
	c.claim("huge", "large", "")
	c.claim("nowhere", "no-such-class", "")
	wants := func(reason, text string) func(*metal.ServerClaim) bool {
		return func(v *metal.ServerClaim) bool {
			u := unfit(v, reason)
			return says(v, reasons.Bound) == reasons.NoMatchingServer && u != nil && u.Count == 1 && slices.Equal(u.Servers, []string{"c1"}) && strings.Contains(u.Message, text)
		}
	}
	c.awaitClaim("first", "it names who must accept", bootLimit, wants(reasons.NotAccepted, "ingot accept c1"))
	c.awaitClaim("huge", "it names the memory", bootLimit, wants(reasons.RequirementUnmet, "memory"))
	c.awaitClaim("nowhere", "it names the class", bootLimit, func(v *metal.ServerClaim) bool { return says(v, reasons.Bound) == reasons.ClassMissing })
	if why := c.ingot("why", "claim/first"); !strings.Contains(why, "ingot accept c1") {
		t.Errorf("`ingot why claim/first` does not say what to do:\n%s", why)
	}
}

// oneWins: as soon as the server is Available one of two claims has it, and the other says who.
func (c *cluster) oneWins(t *testing.T) string {
	var winner, loser string
	c.await(wipeLimit, "one claim is bound", func() bool {
		for _, name := range []string{"first", "second"} {
			if c.look(name).Spec.Binding != nil {
				winner = name
			}
		}
		return winner != ""
	})
	loser = map[string]string{"first": "second", "second": "first"}[winner]
	v := c.awaitServer("c1", "both sides are seen", bootLimit, func(v *metal.Server) bool { return v.Spec.Record.Claim != nil && v.Spec.Record.Claim.BoundAt != nil })
	if b := c.look(winner).Spec.Binding; b.Server != "c1" || b.BindingID != v.Spec.Record.Claim.BindingID || v.Spec.Record.Claim.Name != winner {
		t.Errorf("the claim's side is %+v, the server's %+v", b, v.Spec.Record.Claim)
	}
	waits := c.awaitClaim(loser, "it says who has the server", bootLimit, func(v *metal.ServerClaim) bool { return unfit(v, reasons.Claimed) != nil })
	if u := unfit(waits, reasons.Claimed); waits.Spec.Binding != nil || !strings.Contains(u.Message, tenant+"/"+winner) {
		t.Errorf("%s has the binding %+v and says %+v", loser, waits.Spec.Binding, u)
	}
	for _, name := range []string{loser, "huge", "nowhere"} {
		if err := c.client.Delete(t.Context(), c.look(name)); err != nil {
			t.Fatal(err)
		}
		c.awaitGone(name)
	}
	if now := c.awaitServer("c1", "a claim that had nothing took nothing away", bootLimit, func(*metal.Server) bool { return true }); now.Spec.Record.Claim == nil || now.Spec.Record.Release != nil {
		t.Errorf("the record is %+v", now.Spec.Record)
	}
	return winner
}

// releaseWipes: the system is shut down politely, its marks are gone, and the server may be taken again.
func (c *cluster) releaseWipes(t *testing.T, claim string) {
	before := c.awaitServer("c1", "it runs", bootLimit, func(v *metal.Server) bool { return v.Status.State == metal.StateRunning })
	c.ingot("release", claim, "--yes")
	c.awaitGone(claim)
	if n := strings.Count(c.serial("c1"), "testos: the power button was pressed"); n != 1 {
		t.Errorf("the system was asked %d times to switch off", n)
	}
	v := c.awaitServer("c1", "it is Available again", wipeLimit, available)
	r := v.Spec.Record
	if r.Claim != nil || r.Release != nil || r.Installed != nil || r.Wipe.ID == before.Spec.Record.Wipe.ID || r.Wipe.VerifiedAt == nil {
		t.Errorf("the record is %+v", r)
	}
	if c.machine("c1").PID() != 0 {
		t.Error("the server is Available, and QEMU still runs")
	}
	if n := c.countIn("c1", install.Mark); n != 0 {
		t.Errorf("%d marks of the workload are left", n)
	}
}

// canaryIsNowhere: a secret of the machine config, and the capabilities, reach the machine and no other place. The control: the console shows the secret's
// digest, and the same search finds the secret where it belongs.
func (c *cluster) canaryIsNowhere(t *testing.T, canary, claim string, seen *wiretap) {
	console := c.serial("c1")
	if want := fmt.Sprintf("testos: canary sha256=%x", sha256.Sum256([]byte(canary))); strings.Count(console, want) != 2 {
		t.Errorf("the console shows %q %d times, want twice: netbooted, and from the disk", want, strings.Count(console, want))
	}
	v := c.awaitServer("c1", "it is installed", bootLimit, func(v *metal.Server) bool { return v.Spec.Record.Installed != nil })
	tokens := c.capabilities("c1", v.Spec.Record.Installed.BootID)
	places := c.everythingToldOf(t)
	places["what went over the wire"] = seen.bytes(t)
	for place, text := range places {
		if strings.Contains(text, canary) {
			t.Errorf("the secret stands in %s", place)
		}
		for _, token := range tokens {
			if place != "what went over the wire" && strings.Contains(text, filepath.Base(token)) { // the boot script is plain text: a capability is worth something only within its boot, and to one address
				t.Errorf("the capability stands in %s", place)
			}
		}
	}
	if strings.Contains(console, canary) {
		t.Error("the secret stands on the console")
	}
	if !strings.Contains(places["what went over the wire"], "/boot/v1/") || !strings.Contains(places["up.log"], "Ingot is ready") {
		t.Error("control: what was looked through is not what it should be")
	}
	secret := c.secret(claim)
	if !strings.Contains(secret, canary) {
		t.Error("control: the claim's Secret does not hold the secret")
	}
}

// secret is a claim's machine config, as its owner wrote it.
func (c *cluster) secret(claim string) string {
	c.t.Helper()
	v := &corev1.Secret{}
	if err := c.client.Get(c.t.Context(), client.ObjectKey{Namespace: tenant, Name: claim}, v); err != nil {
		c.t.Fatal(err)
	}
	return string(v.Data["value"])
}
