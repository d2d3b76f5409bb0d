//go:build bench

package storm

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/island"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// arrival is the time over which the machines are switched on: power came back, and firmware takes differently long.
const arrival = 10 * time.Second

// patience is how long all of it may take on a busy machine.
const patience = 12 * time.Minute

// TestBenchStorm boots INGOT_STORM machines (default 1,000), all of which somebody declared, or, with INGOT_STORM_UNKNOWN=1, nobody, and prints what each stretch
// took. It fails when one machine does not come up. INGOT_AGENT_IMAGE names the boot image that they fetch.
func TestBenchStorm(t *testing.T) {
	if !island.Inside(t, "-test.timeout=15m") {
		return
	}
	log.SetLogger(logr.Discard())
	n := number(t, "INGOT_STORM", 1000)
	c := lay(t)
	p := serve(t)
	k := api(t, p.dir)
	if os.Getenv("INGOT_STORM_UNKNOWN") == "" {
		declare(t, k, n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	registered, wire := watch(ctx, t, k, n), tapOn(t, cableName)
	stepBack(t)
	machines := storm(ctx, t, c, n, registered)
	report(t, machines, registered)
	wire.report(t, n)
	fmt.Printf("memory of ingot up after it (VmRSS): %s\n", memory(t, p.PID()))
}

// program is a running Ingot, dir its state folder.
type program struct {
	*testapi.Process
	dir string
}

// number is how many of something the environment asks for.
func number(t testing.TB, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	check(t, err)
	return n
}

// serve starts Ingot with its own control plane on the cable.
func serve(t *testing.T) program {
	t.Helper()
	dir, err := os.MkdirTemp("", "ingot-storm-")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return serveIn(t, filepath.Join(dir, "state"), "--interface", cableName, "--dhcp-pool", pool, "--agent-image", agentImage(t), "--metrics-address", "")
}

// serveIn starts Ingot on a state folder and waits until it says that it is ready.
func serveIn(t *testing.T, state string, flags ...string) program {
	t.Helper()
	bin, err := testapi.Binary()
	check(t, err)
	p, err := testapi.Spawn(exec.Command(bin, append([]string{"up", "--state-dir", state, "--api-port", "0"}, flags...)...))
	check(t, err)
	t.Cleanup(p.Kill)
	until(t, 5*time.Minute, "Ingot is ready", func() bool {
		select {
		case <-p.Ended():
			t.Fatalf("ingot up ended: %s", p.Stderr())
		default:
		}
		return strings.Contains(p.Stderr(), "Ingot is ready")
	})
	return program{p, state}
}

func until(t *testing.T, most time.Duration, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(100*time.Millisecond), time.After(most)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not after %v: %s", most, what)
		}
	}
}

func api(t *testing.T, dir string) client.WithWatch {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "admin.kubeconfig"))
	check(t, err)
	cfg.QPS = -1
	scheme := runtime.NewScheme()
	check(t, metal.AddToScheme(scheme))
	k, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	check(t, err)
	return k
}

// declare makes the Servers, as an inventory system or Git would, well before anybody switches them on.
func declare(t *testing.T, k client.Client, n int) {
	t.Helper()
	var work sync.WaitGroup
	todo := make(chan int)
	for range 16 {
		work.Go(func() {
			for i := range todo {
				m := &machine{n: i}
				s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name(i)}}
				s.Spec.Identity = &metal.Identity{MACs: []string{m.mac().String()}, Serial: m.serial(), UUID: m.uuid()}
				if err := k.Create(t.Context(), s); err != nil {
					t.Errorf("declaring %s: %v", s.Name, err)
				}
			}
		})
	}
	for i := range n {
		todo <- i
	}
	close(todo)
	work.Wait()
	until(t, patience, "Ingot has looked at every Server", func() bool {
		var all metal.ServerList
		check(t, k.List(t.Context(), &all))
		return !slices.ContainsFunc(all.Items, func(s metal.Server) bool { return s.Status.State == "" })
	})
}

func name(n int) string { return fmt.Sprintf("storm-%04d", n) }

// arrivals is when the API said of which machine, by its serial number, that it is registered: the oracle.
type arrivals struct {
	mu   sync.Mutex
	at   map[string]time.Time
	want int
	all  chan struct{}
}

// lost is a machine that will not come, unless it came before: nobody waits for it.
func (a *arrivals) lost(serial string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, came := a.at[serial]; came {
		return
	}
	if a.want--; len(a.at) == a.want {
		close(a.all)
	}
}

// await waits for all that can come, or for the end of ctx, which fails the test.
func (a *arrivals) await(ctx context.Context, t *testing.T) {
	t.Helper()
	select {
	case <-a.all:
	case <-ctx.Done():
		t.Errorf("after %v %d are registered", patience, a.count())
	}
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

func watch(ctx context.Context, t *testing.T, k client.WithWatch, n int) *arrivals {
	t.Helper()
	a := &arrivals{at: map[string]time.Time{}, want: n, all: make(chan struct{})}
	w, err := k.Watch(ctx, &metal.ServerList{})
	check(t, err)
	t.Cleanup(w.Stop)
	go func() {
		for e := range w.ResultChan() {
			if s, ok := e.Object.(*metal.Server); ok {
				a.saw(s)
			}
		}
	}()
	return a
}

func (a *arrivals) saw(s *metal.Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	isRegistered := slices.ContainsFunc(s.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == reasons.Registered && c.Status == metav1.ConditionTrue
	})
	if s.Spec.Identity == nil || !isRegistered {
		return
	}
	serial := s.Spec.Identity.Serial
	if _, known := a.at[serial]; known {
		return
	}
	if a.at[serial] = time.Now(); len(a.at) == a.want {
		close(a.all)
	}
}

// storm switches all machines on, and ends when all that can come are registered, or patience ends.
func storm(ctx context.Context, t *testing.T, c *cable, n int, registered *arrivals) []*machine {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	machines := make([]*machine, n)
	for i := range machines {
		machines[i] = newMachine(i, c)
	}
	work, begin := boots(ctx, t, machines, registered), time.Now()
	registered.await(ctx, t)
	fmt.Printf("%d machines within %v, %d registered after %v\n", n, arrival, registered.count(), time.Since(begin).Round(time.Millisecond))
	cancel()
	work.Wait()
	return machines
}

// boots switches all machines on.
func boots(ctx context.Context, t *testing.T, machines []*machine, registered *arrivals) *sync.WaitGroup {
	t.Helper()
	var work sync.WaitGroup
	for i, m := range machines {
		work.Go(func() {
			if pause(ctx, arrival*time.Duration(i)/time.Duration(len(machines))) != nil {
				return
			}
			if err := m.boots(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("machine %d: %v", i, err)
				registered.lost(m.serial())
			}
		})
	}
	return &work
}

// report prints a row for each stretch.
func report(t *testing.T, machines []*machine, registered *arrivals) {
	t.Helper()
	registered.mu.Lock()
	defer registered.mu.Unlock()
	again := map[string]int{}
	for _, m := range machines {
		if at, ok := registered.at[m.serial()]; ok && !m.lap.IsZero() {
			m.spent["enrolled, inventory stored"] = at.Sub(m.lap)
		}
		for what, times := range m.again {
			again[what] += times
		}
	}
	for _, what := range []string{offered, acked, "TFTP", scripted, "assets", "enrolled, inventory stored"} {
		all := []time.Duration{}
		for _, m := range machines {
			if d, ok := m.spent[what]; ok {
				all = append(all, d)
			}
		}
		slices.SortFunc(all, cmp.Compare[time.Duration])
		if len(all) != len(machines) {
			t.Errorf("%s: %d of %d machines", what, len(all), len(machines))
		}
		if len(all) > 0 {
			fmt.Printf("%-28s p50 %10v  p99 %10v  max %10v\n", what, at(all, 50), at(all, 99), at(all, 100))
		}
	}
	fmt.Printf("asked again: %v\n", again)
}

func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)].Round(100 * time.Microsecond)
}

func memory(t *testing.T, pid int) string { return status(t, pid, "VmRSS") }

// status is a line of what the kernel says of a process.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if size, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(size)
		}
	}
	return "unknown"
}

func (p program) kubeconfig() string { return filepath.Join(p.dir, "admin.kubeconfig") }
