package setup

import (
	"context"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	tftpclient "github.com/pin/tftp/v3"

	"ingot.dev/ingot/boot-assets/catalog"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/island"
)

// drivenElsewhere are metrics that TestMetricsOfASite cannot drive with one machine, each with the test of what it counts.
var drivenElsewhere = map[string]string{
	"ingot_pxe_boot_events_waiting":        "TestMetrics",
	"ingot_pxe_boot_events_dropped_total":  "TestEventsAreBounded in httpboot",
	"ingot_pxe_dhcp_probe_conflicts_total": "TestProbesTaken in dhcp",
	"ingot_pxe_router_answers_total":       "TestServe in solicit",
}

// TestMetricsOfASite: a real machine's packets move each documented metric of a site, and none is there that is not documented.
func TestMetricsOfASite(t *testing.T) {
	if !island.Inside(t) {
		return
	}
	r := run(t)
	ok(t, r.stop())
	r.cfg.MetricsAddr = serverIP + ":7491"
	r.controller.view.Assets = []*protocol.Asset{{Sha256: strings.Repeat("0a", 32), Url: "http://192.0.2.9:1/none"}}
	r.controller.view.Servers = []*protocol.Server{{Name: "s", Macs: []string{"02:00:00:00:00:99"}}}
	r.start(t)
	before := r.samples(t)
	r.boot(t)
	var after map[string]float64
	for deadline := time.Now().Add(time.Minute); ; { // a view and its files take a moment
		if after = r.samples(t); after["ingot_pxe_files"] > 0 || time.Now().After(deadline) {
			break
		}
	}
	text, err := os.ReadFile("../../docs/metrics.md")
	ok(t, err)
	var known []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(ingot_pxe_[a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		name := m[1]
		known = append(known, name)
		if moved := after[name] > before[name] || after[name] > 0 && !strings.HasSuffix(name, "_total"); !moved && drivenElsewhere[name] == "" {
			t.Errorf("%s was %v and is %v", name, before[name], after[name])
		}
		delete(drivenElsewhere, name)
	}
	for name := range after {
		if !slices.Contains(known, name) {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
	if len(known) < 15 || len(drivenElsewhere) > 0 {
		t.Errorf("docs/metrics.md lists %q, and lacks %v", known, drivenElsewhere)
	}
	ok(t, r.stop())
}

// samples reads the metrics as a monitor does: the sum of each.
func (r *running) samples(t *testing.T) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for line := range strings.Lines(string(r.http(t, "http://"+serverIP+":7491/metrics"))) {
		words := strings.Fields(line)
		if len(words) != 2 || !strings.HasPrefix(line, "ingot_") {
			continue
		}
		name, _, _ := strings.Cut(words[0], "{")
		v, err := strconv.ParseFloat(words[1], 64)
		ok(t, err)
		sums[name] += v
	}
	return sums
}

// boot takes an address, chooses another server, fetches a loader and one that is not there, and asks for a script.
func (r *running) boot(t *testing.T) {
	t.Helper()
	r.do(t, func() {
		c, err := nclient4.New("eth0", nclient4.WithTimeout(3*time.Second), nclient4.WithRetry(3))
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		lease, err := c.Request(context.Background(), dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient")))
		if err != nil {
			t.Error(err)
			return
		}
		other, err := dhcpv4.NewRequestFromOffer(lease.Offer, dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 77))))
		if err != nil {
			t.Error(err)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if answer, err := c.SendAndRead(ctx, c.RemoteAddr(), other, nil); err == nil {
			t.Errorf("whoever chose another server is answered %v", answer)
		}
		none, err := tftpclient.NewClient(net.JoinHostPort(serverIP, "69"))
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := none.Receive("none", "octet"); err == nil {
			t.Error("a file that is not there was sent")
		}
	})
	proven(t, catalog.SNPOnly, r.tftp(t, serverIP, catalog.SNPOnly))
	r.http(t, "http://"+serverIP+":7480"+catalog.ScriptPath+"?mac=02-00-00-00-00-98&arch=x86_64&platform=efi")
}
