//go:build bench

package controlplane_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"ingot.dev/ingot/sfyra-tests/testapi"
)

const (
	benchServers = 5000
	benchPatches = 3000
	benchWorkers = 16
	floorTime    = 3 * time.Second
)

// TestBench prints what the embedded control plane costs and does, beside the disk's own floor, measured before and after on the same disk:
//
//	go test -tags bench -run TestBench -v ./controlplane
//
// It fails only if something does not work; figures are for people to judge.
func TestBench(t *testing.T) {
	dir, err := os.MkdirTemp("", "ingot-bench-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	before := floor(t, dir)
	bin, err := testapi.Binary()
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	p := timedStart(t, "first start to ready", bin, state)
	row("memory when ready (VmRSS)", memory(t, p), "MB")
	load(t, p)
	row("memory after that (VmRSS)", memory(t, p), "MB")
	p.Kill()
	p = timedStart(t, "start with that data to ready", bin, state)
	row("memory when ready (VmRSS)", memory(t, p), "MB")
	p.Kill()
	withClusterAPI := filepath.Join(dir, "cluster-api")
	for _, what := range []string{"first start to ready with Cluster API", "start with Cluster API's data to ready"} {
		p = timedStart(t, what, bin, withClusterAPI, "--cluster-api")
		row("memory when ready (VmRSS)", memory(t, p), "MB")
		p.Kill()
	}
	row("floor: fsynced 4 KiB appends, before", before, "/s")
	row("floor: fsynced 4 KiB appends, after", floor(t, dir), "/s")
}

func row(what string, value float64, unit string) {
	fmt.Printf("%-44s %10.1f %s\n", what, value, unit)
}

func timedStart(t *testing.T, what, bin, state string, flags ...string) *testapi.Process {
	t.Helper()
	begin := time.Now()
	p, err := testapi.Start(bin, state, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	row(what, time.Since(begin).Seconds(), "s")
	return p
}

// load creates Servers, patches their status and lists them.
func load(t *testing.T, p *testapi.Process) {
	t.Helper()
	log.SetLogger(logr.Discard()) // controller-runtime's clients complain otherwise
	c, err := client.New(p.AdminConfig, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rate := inParallel(t, benchServers, func(i int) error {
		u := bare(i)
		u.SetLabels(map[string]string{"rack": strconv.Itoa(i % 40)})
		u.Object["spec"] = map[string]any{"accepted": false}
		return c.Create(t.Context(), u)
	})
	row(fmt.Sprintf("create %d Servers, %d workers", benchServers, benchWorkers), rate, "/s")
	rate = inParallel(t, benchPatches, func(i int) error {
		body := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Bench","message":"n%d","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, i)
		return c.Status().Patch(t.Context(), bare(i), client.RawPatch(types.MergePatchType, []byte(body)))
	})
	row(fmt.Sprintf("status patches, %d workers", benchWorkers), rate, "/s")
	begin := time.Now()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("metal.ingot.dev/v1alpha1")
	list.SetKind("ServerList")
	if err := c.List(t.Context(), list); err != nil || len(list.Items) != benchServers {
		t.Fatalf("listing: %d, %v", len(list.Items), err)
	}
	row(fmt.Sprintf("list %d Servers", benchServers), time.Since(begin).Seconds()*1000, "ms")
}

func bare(i int) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("metal.ingot.dev/v1alpha1")
	u.SetKind("Server")
	u.SetName(fmt.Sprintf("bench-%05d", i))
	return u
}

// inParallel does n things and returns how many a second.
func inParallel(t *testing.T, n int, do func(i int) error) float64 {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range benchWorkers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return float64(n) / time.Since(begin).Seconds()
}

// memory is the process's resident memory in MB.
func memory(t *testing.T, p *testapi.Process) float64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return float64(kb) / 1000
}

// floor is what the disk can do at best for one writer that, like etcd, waits for each write to be on it.
func floor(t *testing.T, dir string) float64 {
	t.Helper()
	f, err := os.CreateTemp(dir, "floor-*")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	begin, n := time.Now(), 0
	for ; time.Since(begin) < floorTime; n++ {
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	return float64(n) / time.Since(begin).Seconds()
}
