//go:build bench

package storm

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"ingot.dev/ingot/sfyra-tests/island"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// The second boot server, and how both share the network.
const (
	secondIP   = "10.77.0.2"
	firstPool  = "10.77.2.0-10.77.8.255"
	secondPool = "10.77.9.0-10.77.15.250"
)

// TestBenchReplicaKilled is TestBenchStorm on a switch that two boot servers serve: that of `ingot up`, and a pxe-server of its own. When a twentieth of the machines
// boots through the pxe-server at once it is killed with SIGKILL, and stays dead. It fails when one machine does not come up all the same; survivor_test.go says what machines do on
// their own for that. Its control: those machines had a lease of the killed server, and had not loaded the agent.
func TestBenchReplicaKilled(t *testing.T) {
	if !island.Inside(t, "-test.timeout=18m") {
		return
	}
	log.SetLogger(logr.Discard())
	n := number(t, "INGOT_STORM", 1000)
	c, image := laySwitch(t), agentImage(t)
	state := filepath.Join(t.TempDir(), "state")
	first := serveIn(t, state, "--interface", cableName, "--dhcp-pool", firstPool, "--agent-image", image, "--metrics-address", "", "--boot-port", "7444")
	second := serveSecond(t, first, image)
	k := api(t, first.dir)
	declare(t, k, n)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	registered := watch(ctx, t, k, n)
	row("load", load())
	machines := stubborn(n, c)
	ended, begin := boots(ctx, t, machines, registered), time.Now()
	hit := 0
	until(t, patience, "a twentieth of the machines boots through the second server at once", func() bool {
		hit = withSecond(machines)
		return hit >= max(1, n/20)
	})
	second.Kill()
	row("killed after, with so many of its machines under way", fmt.Sprintf("%s, %d of %d", seconds(begin), hit, n))
	registered.await(ctx, t)
	row("all that came up, after", fmt.Sprintf("%d of %d, %s", registered.count(), n, seconds(begin)))
	if missing := n - registered.count(); missing > 0 {
		t.Errorf("%d machines did not come up", missing)
	}
	cancel()
	ended.Wait()
	tell(machines)
}

// laySwitch puts a switch between the program, which has its address on it, and the machines.
func laySwitch(t *testing.T) *cable {
	t.Helper()
	check(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: cableName, TxQLen: 10_000}}))
	plug(t, "port1", "far")
	return connect(t)
}

// plug makes a cable from the switch.
func plug(t *testing.T, port, far string) {
	t.Helper()
	here := &netlink.Handle{}
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port, TxQLen: 10_000}, PeerName: far}))
	bridge, err := netlink.LinkByName(cableName)
	check(t, err)
	check(t, netlink.LinkSetMaster(up(t, port, here.LinkByName, here), bridge))
}

// serveSecond starts a pxe-server as a machine of its own on the switch, over which it reaches the controllers too.
func serveSecond(t *testing.T, first program, image string) *testapi.Process {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-o", dir+"/", "ingot.dev/ingot/metal-controller", "ingot.dev/ingot/pxe-server").CombinedOutput()
	if err != nil {
		t.Fatalf("building the programs: %v\n%s", err, out)
	}
	issue := exec.Command(filepath.Join(dir, "metal-controller"), "issue-pxe-certificate", "--kubeconfig", first.kubeconfig(), "--site", "storm", "--out", filepath.Join(dir, "certificate"))
	if out, err := issue.CombinedOutput(); err != nil {
		t.Fatalf("issuing a certificate: %v\n%s", err, out)
	}
	plug(t, "port2", "second")
	host := island.NewHost(t)
	end, err := netlink.LinkByName("second")
	check(t, err)
	check(t, netlink.LinkSetNsFd(end, host.FD()))
	at := func(name string) string { return filepath.Join(dir, "certificate", name) }
	cmd := exec.Command(filepath.Join(dir, "pxe-server"), "--interface", "second", "--dhcp-pool", secondPool, "--state-dir", filepath.Join(dir, "state"), "--agent-image", image,
		"--controller", net.JoinHostPort(serverIP, "7444"), "--cert", at("tls.crt"), "--key", at("tls.key"), "--ca", at("ca.crt"), "--metrics-address", "")
	host.Do(t, func() {
		here := &netlink.Handle{}
		up(t, "lo", netlink.LinkByName, here)
		addr, e := netlink.ParseAddr(secondIP + "/20")
		check(t, e)
		check(t, netlink.AddrAdd(up(t, "second", netlink.LinkByName, here), addr))
	})
	p, err := testapi.SpawnFrom(cmd, host.Enter)
	check(t, err)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the pxe-server said at last: %s", p.Stderr()[max(0, len(p.Stderr())-4000):])
		}
	})
	until(t, 2*time.Minute, "the pxe-server has heard its controller", func() bool { return readyz(t) })
	return p
}

// readyz asks the second server, as everybody on the network may.
func readyz(t *testing.T) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+secondIP+":7480/readyz", nil)
	check(t, err)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return err == nil && strings.HasPrefix(string(text), "ok")
}

func stubborn(n int, c *cable) []*machine {
	all := make([]*machine, n)
	for i := range all {
		all[i] = newMachine(i, c)
		all[i].stubborn, all[i].collects = true, collecting
	}
	return all
}

// withSecond counts the machines that the second server boots at the moment.
func withSecond(machines []*machine) (n int) {
	for _, m := range machines {
		m.mu.Lock()
		if m.server == secondIP {
			n++
		}
		m.mu.Unlock()
	}
	return n
}

// tell sums up what machines had to do again.
func tell(machines []*machine) {
	times, who := map[string]int{}, map[string]int{}
	for _, m := range machines {
		for what, n := range m.again {
			if n > 0 {
				times[what] += n
				who[what]++
			}
		}
	}
	row("done again, by how many machines", who)
	row("done again, times", times)
}
