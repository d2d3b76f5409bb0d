package setup_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	agent "ingot.dev/ingot/agent/protocol"
	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/bootserver"
	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/pxe-server/protocol"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const docs = "../../docs"

// documented are the metrics of docs/metrics.md.
func documented(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	if len(names) < 20 {
		t.Fatalf("docs/metrics.md lists %q", names)
	}
	return names
}

// scrape reads metrics as a monitor does: the sum of each.
func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	res, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:len(strings.TrimRight(line, "\n"))], 64)
		if err == nil && strings.HasPrefix(name, "metal_") {
			sums[name] += v
		}
	}
	return sums
}

// TestMetricsOfTheControllers: each documented metric of the controllers grows by what it counts, and none is there that is not documented.
func TestMetricsOfTheControllers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	c := start(t, func(c *setup.Config) {
		c.MetricsAddr, c.BootListen, c.ConfigListen, c.EventsListen, c.KernelLogListen = address, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	})
	before := scrape(t, address)
	drive(t, c)
	after := scrape(t, address)
	var known []string
	for _, name := range documented(t) {
		if strings.HasPrefix(name, "metal_") {
			if known = append(known, name); after[name] <= before[name] {
				t.Errorf("%s was %v and is %v", name, before[name], after[name])
			}
		}
	}
	for name := range after {
		if !slices.Contains(known, name) {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
}

// drive makes happen what is counted.
func drive(t *testing.T, c *controller) {
	t.Helper()
	const name = "counted"
	create(t,
		&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{Location: &metal.Location{Site: "r1"}}},
		&metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Name: "counted", Namespace: testapi.Namespace(t)}, Spec: metal.ServerClaimSpec{ClassName: "none"}},
	)
	eventually(t, name, func(s *metal.Server) bool {
		return s.Status.State != "" && s.Spec.Record != nil && s.Spec.Record.ManagedBy != nil
	})
	if _, err := boots(t, c, "b", &agent.Evidence{Macs: []string{"02:00:00:00:40:01"}}); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		if err == nil {
			t.Errorf("%s: it was let in", what)
		}
	}
	_, err := agent.NewAgentClient(dial(t, c.AgentAddr, nextSource(), firstView(t, c.Boot).Agent.Pin, nil)).Renew(t.Context(), &agent.RenewRequest{})
	refused("an agent without a certificate", err)
	sites := issuerOf(t, "ingot-pxe-ca")
	_, err = protocol.NewBootClient(dialBoot(t, c.BootAddr, sites, nil)).Report(t.Context(), &protocol.ReportRequest{})
	refused("a site without a certificate", err)
	elsewhere := sites.cert(authority.Leaf{CommonName: "site:r2", URI: bootserver.SiteURI(sites.id, "r2"), Usage: x509.ExtKeyUsageClientAuth, Valid: time.Hour}, time.Now())
	if _, err := protocol.NewBootClient(dialBoot(t, c.BootAddr, sites, elsewhere)).Report(t.Context(), &protocol.ReportRequest{
		Events:   []*protocol.BootEvent{{BootId: "b1", Server: name}},
		Networks: []*protocol.Network{{Interface: "eth0", Trouble: reasons.OtherDHCPServer, Servers: []string{"192.0.2.77"}}},
	}); err != nil {
		t.Errorf("a report: %v", err)
	}
	guess(t, "https://"+c.ConfigAddr+capability.ConfigPrefix+name+"/b1/"+strings.Repeat("a", capability.TokenSize))
	released(t, name, "127.0.0.2")
	refused("events of a stranger", publishFrom(t, "127.0.0.3", c.EventsAddr, &agent.WatchRequest{}))
	kernel := dialFrom(t, "127.0.0.2", c.KernelLogAddr)
	if _, err := io.WriteString(kernel, `{"msg":"hello","clock":1}`+"\n"); err != nil {
		t.Fatal(err)
	}
	keptLines(t, name, 1)
}

// guess asks for a machine config with a token that is none.
func guess(t *testing.T, url string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}}}
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusForbidden {
		t.Errorf("a guess: %s", res.Status)
	}
}

// TestMonitoring: what the dashboard and the alerting rules ask for is there: metrics of docs/metrics.md, states and reasons of Ingot's.
func TestMonitoring(t *testing.T) {
	known := documented(t)
	names := regexp.MustCompile(`\b(?:metal|ingot_pxe)_[a-z_]+`)
	words := reasonWords(t)
	seen := map[string]bool{}
	for where, expressions := range map[string][]string{"alerts.yaml": alertExpressions(t), "dashboard.json": panelExpressions(t)} {
		if len(expressions) < 8 {
			t.Errorf("%s has only %d expressions", where, len(expressions))
		}
		for _, e := range expressions {
			for _, name := range names.FindAllString(e, -1) {
				if seen[name] = true; !slices.Contains(known, name) {
					t.Errorf("%s asks for %s, which docs/metrics.md does not have", where, name)
				}
			}
			if len(names.FindAllString(e, -1)) == 0 && !strings.Contains(e, "controller_runtime_reconcile_total") && !strings.Contains(e, "workqueue_depth") {
				t.Errorf("%s: %q asks for nothing that is known", where, e)
			}
			for _, m := range regexp.MustCompile(`metal_[a-z_]+\{([^}]*)\}`).FindAllStringSubmatch(e, -1) {
				for _, v := range regexp.MustCompile(`(?:type|reason)!?="([^"]*)"`).FindAllStringSubmatch(m[1], -1) {
					if !words[v[1]] {
						t.Errorf("%s: %q names %s, which is no word of crds/reasons", where, e, v[1])
					}
				}
			}
		}
	}
	for _, name := range known {
		if !seen[name] && !strings.Contains("ingot_pxe_controller_heard_timestamp_seconds ingot_pxe_view_servers ingot_pxe_dhcp_packets_total ingot_pxe_dhcp_probes_total ingot_pxe_dhcp_probe_conflicts_total ingot_pxe_router_answers_total ingot_pxe_tftp_requests_total metal_site_reports_total", name) {
			t.Errorf("neither dashboard nor alerts show %s", name)
		}
	}
}

// reasonWords are the values of the constants in crds/reasons.
func reasonWords(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../crds/reasons/*.go")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`= "([A-Za-z]+)"`).FindAllStringSubmatch(string(text), -1) {
			words[m[1]] = true
		}
	}
	if !words[reasons.IdentityConflict] || words["NoSuchReason"] {
		t.Error("control: the words of crds/reasons were not read")
	}
	return words
}

func alertExpressions(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../config/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["runbook"] == "" {
				t.Errorf("an alert lacks its name, severity, summary or runbook: %+v", r)
			}
			all = append(all, r.Expr)
		}
	}
	return all
}

func panelExpressions(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../config/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	return all
}
