package setup

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/signals"
)

// collectTime bounds how long a look into the cache may take.
const collectTime = 5 * time.Second

// register registers collectors. The registry is one for the whole process: of two controllers in one, as in tests, the later one is seen.
func register(all ...prometheus.Collector) error {
	for _, c := range all {
		err := metrics.Registry.Register(c)
		if again := (prometheus.AlreadyRegisteredError{}); errors.As(err, &again) {
			metrics.Registry.Unregister(again.ExistingCollector)
			err = metrics.Registry.Register(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fleet counts Servers in this replica's cache. Names, addresses and serial numbers are no labels: a thousand servers are not a thousand series.
type fleet struct {
	reader client.Reader
	// one looks at a time: whoever scrapes without end costs no more than one processor's share.
	one *sync.Mutex
}

var (
	serversDesc    = prometheus.NewDesc("metal_servers", "Servers by the state that people see.", []string{"state"}, nil)
	conditionsDesc = prometheus.NewDesc("metal_server_conditions", "Servers with a condition that is not true, by its type and reason.", []string{"type", "reason"}, nil)
	claimsDesc     = prometheus.NewDesc("metal_claims", "ServerClaims by whether they are bound.", []string{"bound"}, nil)
)

// Describe tells the metrics' names.
func (fleet) Describe(to chan<- *prometheus.Desc) {
	to <- serversDesc
	to <- conditionsDesc
	to <- claimsDesc
}

var states = []metal.ServerState{
	metal.StateUnverified, metal.StateDiscovered, metal.StateWiping, metal.StateAvailable, metal.StateAwaitingPower, metal.StateProvisioning, metal.StateRunning, metal.StateReleasing,
}

// Collect counts. While the cache cannot be read there are no series, which an alert can tell from zero.
func (f fleet) Collect(to chan<- prometheus.Metric) {
	f.one.Lock()
	defer f.one.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), collectTime)
	defer cancel()
	var servers metal.ServerList
	var claims metal.ServerClaimList
	if f.reader.List(ctx, &servers, client.UnsafeDisableDeepCopy) != nil || f.reader.List(ctx, &claims, client.UnsafeDisableDeepCopy) != nil {
		return
	}
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	byState, byReason := count(servers.Items)
	for _, s := range states {
		gauge(serversDesc, byState[s], string(s))
	}
	for c, n := range byReason {
		gauge(conditionsDesc, n, c[0], c[1])
	}
	bound := len(slices.DeleteFunc(claims.Items, func(c metal.ServerClaim) bool { return c.Spec.Binding == nil }))
	gauge(claimsDesc, bound, "true")
	gauge(claimsDesc, len(claims.Items)-bound, "false")
}

// count counts Servers by state, and by type and reason of the conditions that are not true; both are from lists of Ingot's.
func count(servers []metal.Server) (byState map[metal.ServerState]int, byReason map[[2]string]int) {
	byState, byReason = map[metal.ServerState]int{}, map[[2]string]int{}
	for i := range servers {
		byState[servers[i].Status.State]++
		for _, c := range servers[i].Status.Conditions {
			if c.Status != metav1.ConditionTrue {
				byReason[[2]string{c.Type, c.Reason}]++
			}
		}
	}
	return byState, byReason
}

// hearing counts what machines say of themselves, and what of it is dropped.
type hearing struct{ counts func() signals.Counts }

var (
	heardDesc   = prometheus.NewDesc("metal_signals_heard_total", "What Talos machines said and was heard: events, and lines of the kernel's log.", []string{"what"}, nil)
	droppedDesc = prometheus.NewDesc("metal_signals_dropped_total", "What was said at the ports for Talos' signals and was dropped: by nobody that is known, not in Talos' form, or beyond a limit.", []string{"reason"}, nil)
)

// Describe tells the metrics' names.
func (hearing) Describe(to chan<- *prometheus.Desc) {
	to <- heardDesc
	to <- droppedDesc
}

// Collect reads the counts.
func (h hearing) Collect(to chan<- prometheus.Metric) {
	c := h.counts()
	for what, n := range map[string]int64{"event": c.Events, "line": c.Lines} {
		to <- prometheus.MustNewConstMetric(heardDesc, prometheus.CounterValue, float64(n), what)
	}
	for reason, n := range map[string]int64{"unknown": c.Unknown, "unreadable": c.Unreadable, "refused": c.Refused} {
		to <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(n), reason)
	}
}
