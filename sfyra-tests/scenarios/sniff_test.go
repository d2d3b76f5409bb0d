//go:build e2e

package scenarios

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// TestConfigSniffed: who listens on the switch while two servers get their machine configs reads nothing of the one that goes over HTTPS, and, for the class that
// allows plain HTTP, its config, which left once: exactly what docs/threat-model.md says. That second server is the control.
func TestConfigSniffed(t *testing.T) {
	c := newCluster(t, small("c1", 0x91), small("p1", 0x92))
	c.offer("testos")
	c.open(class, "testos", metal.Requirements{})
	c.create(&metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "readable"}, Spec: metal.ServerClassSpec{
		AllowedNamespaces: &metal.NamespaceSelection{All: true}, EnvironmentRef: &metal.NameRef{Name: "testos"}, ConfigDelivery: metal.DeliverPlainHTTP,
	}})
	canaries := map[string]string{}
	for _, name := range []string{"c1", "p1"} {
		c.register(name)
		c.ingot("accept", name, "--wipe-data", "--yes")
		canaries[name] = "canary-" + rand.Text()
	}
	for _, name := range []string{"c1", "p1"} {
		c.awaitServer(name, "it is Available", wipeLimit, available)
	}
	seen := c.tap(t)
	for _, v := range []struct{ server, class string }{{"c1", class}, {"p1", "readable"}} { // one after the other: what is recorded is whole then
		c.want(v.server, v.class, canaries[v.server])
		c.awaitRunning(v.server)
		if want := fmt.Sprintf("testos: canary sha256=%x", sha256.Sum256([]byte(canaries[v.server]))); !strings.Contains(c.serial(v.server), want) {
			t.Errorf("control: %s did not get its secret", v.server)
		}
	}
	wire := seen.bytes(t)
	if n := strings.Count(wire, canaries["c1"]); n != 0 {
		t.Errorf("the secret that went over HTTPS stands on the wire %d times", n)
	}
	// A busy host sends a segment again now and then, so the wire tells that it went, and the audit how often.
	if !strings.Contains(wire, canaries["p1"]) || !strings.Contains(wire, "GET /v1/config/p1/") {
		t.Error("control: the secret that went over plain HTTP does not stand on the wire")
	}
	for server, plain := range map[string]string{"c1": "plain=false", "p1": "plain=true"} {
		if left := c.audited(t, reasons.ConfigReleased, "server="+server); len(left) != 1 || !strings.HasSuffix(left[0], plain) {
			t.Errorf("the config of %s left %d times, want once with %s: %v", server, len(left), plain, left)
		}
	}
	if strings.Contains(wire, "GET /v1/config/c1/") {
		t.Error("a config that goes over HTTPS alone was asked for over plain HTTP")
	}
}

// want claims that very server, with a secret at the head of its machine config: an answer's first packet holds all of it.
func (c *cluster) want(server, class, canary string) {
	c.t.Helper()
	config := "apiVersion: test.ingot.dev/v1\nkind: TestOS\nsecret: " + canary + "\neverySeconds: 5\n---\nmachine: {type: worker}\n"
	c.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: server}, StringData: map[string]string{"value": config}})
	c.create(&metal.ServerClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: tenant, Name: server}, Spec: metal.ServerClaimSpec{ClassName: class, ServerName: server, ConfigSecret: server},
	})
}
