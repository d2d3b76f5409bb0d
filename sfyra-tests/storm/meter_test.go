//go:build bench

package storm

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// controllerMetrics is where the controllers tell how much they did.
const controllerMetrics = "127.0.0.1:7490"

// meter reads the program's own counters.
type meter struct {
	api *kubernetes.Clientset
}

func newMeter(t *testing.T, p program) meter {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig())
	check(t, err)
	cfg.QPS = -1
	api, err := kubernetes.NewForConfig(cfg)
	check(t, err)
	return meter{api}
}

// calls are the requests that the API server has answered, by what was done to what. Watches are left out: they are not asked again and again.
func (m meter) calls(ctx context.Context) (map[string]float64, error) {
	text, err := m.api.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]float64{}
	err = samples(strings.NewReader(string(text)), "apiserver_request_total", func(labels map[string]string, value float64) {
		if labels["verb"] != "WATCH" {
			what := strings.Join([]string{labels["verb"], labels["group"] + "/" + labels["resource"], labels["subresource"]}, " ")
			all[strings.TrimSpace(what)] += value
		}
	})
	return all, err
}

// isWrite says so of a key of calls.
func isWrite(call string) bool {
	verb, _, _ := strings.Cut(call, " ")
	return slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}, verb)
}

// difference is what was called between two readings, without the reading itself.
func difference(before, after map[string]float64) (all, writes float64, by []string) {
	type row struct {
		what string
		n    float64
	}
	var rows []row
	for what, n := range after {
		if n -= before[what]; what == "GET /" {
			n-- // the first of the two readings
		}
		if n <= 0 {
			continue
		}
		rows = append(rows, row{what, n})
		if all += n; isWrite(what) {
			writes += n
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.n, a.n), strings.Compare(a.what, b.what)) })
	for _, r := range rows[:min(len(rows), 8)] {
		by = append(by, fmt.Sprintf("%s: %.0f", r.what, r.n))
	}
	return all, writes, by
}

// reconciled is how often Servers were looked at in this run, and how many wait for it now.
func (meter) reconciled(ctx context.Context) (done, waiting float64, err error) {
	text, err := controllers(ctx)
	if err != nil {
		return 0, 0, err
	}
	sum := func(name, label string) (total float64) {
		err = cmp.Or(err, samples(strings.NewReader(text), name, func(labels map[string]string, value float64) {
			if labels[label] == "server" {
				total += value
			}
		}))
		return total
	}
	done = sum("controller_runtime_reconcile_total", "controller")
	waiting = sum("workqueue_depth", "name") + sum("controller_runtime_active_workers", "controller")
	return done, waiting, err
}

// controllers is what the controllers' port for metrics says.
func controllers(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+controllerMetrics+"/metrics", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(answer.Body)
	return string(text), errors.Join(err, answer.Body.Close())
}

// heap says what Go's runtime holds of the memory. What is alive is by the last collection.
func (meter) heap(ctx context.Context) (string, error) {
	text, err := controllers(ctx)
	if err != nil {
		return "", err
	}
	kept := map[string]float64{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "go_memstats_") {
			kept[strings.TrimPrefix(name, "go_memstats_")], _ = strconv.ParseFloat(value, 64)
		}
	}
	unreturned := kept["heap_idle_bytes"] - kept["heap_released_bytes"]
	return fmt.Sprintf("heap in use %.0f MB, next collection at %.0f MB, free and not returned %.0f MB, stacks %.0f MB",
		kept["heap_inuse_bytes"]/1e6, kept["next_gc_bytes"]/1e6, unreturned/1e6, kept["stack_inuse_bytes"]/1e6), nil
}

// samples gives each line of one metric in Prometheus' text format, in which label values here hold no quotes.
func samples(from io.Reader, metric string, each func(labels map[string]string, value float64)) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), metric+"{")
		inside, number, closed := strings.Cut(rest, "} ")
		if !ok || !closed {
			continue
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		labels := map[string]string{}
		for pair := range strings.SplitSeq(inside, `",`) {
			key, text, _ := strings.Cut(pair, `="`)
			labels[key] = strings.TrimSuffix(text, `"`)
		}
		each(labels, value)
	}
	return lines.Err()
}

// calm waits until no Server waits to be looked at and nothing of ours was written for quiet.
func (m meter) calm(t *testing.T, most, quiet time.Duration) {
	t.Helper()
	last, since := -1.0, time.Now()
	until(t, most, "it is calm", func() bool {
		calls, err := m.calls(t.Context())
		check(t, err)
		_, waiting, err := m.reconciled(t.Context())
		check(t, err)
		written := 0.0
		for what, n := range calls {
			if isWrite(what) && strings.Contains(what, "metal.ingot.dev") {
				written += n
			}
		}
		if written != last || waiting > 0 {
			last, since = written, time.Now()
		}
		check(t, pause(t.Context(), time.Second)) // reading the counters costs the program something, too
		return time.Since(since) > quiet
	})
}
