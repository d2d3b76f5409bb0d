//go:build bench

package storm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/island"
)

// Times of TestBenchMany.
const (
	settling = 15 * time.Minute
	quiet    = 10 * time.Second
	idling   = time.Minute
)

// TestBenchMany lets a whole `ingot up`, boot services and Cluster API included, hold INGOT_MANY Servers (default 10,000) with inventories; half of them are accepted
// and wiped. It prints the memory once it is calm, what the API server is asked while nothing happens, and how long a killed program takes until it has looked at
// every Server again. At last each Server gets a BMC that does not answer, and the same is read once more. It fails only if something does not work.
//
// INGOT_MANY_STATE names a state folder that stays: the Servers in it are not made again, which takes long on a busy machine, and two programs can be compared on
// copies of it. INGOT_MANY_BMCS=0 leaves the BMCs out.
func TestBenchMany(t *testing.T) {
	if !island.Inside(t, "-test.timeout=58m") {
		return
	}
	log.SetLogger(logr.Discard())
	n := number(t, "INGOT_MANY", 10_000)
	lay(t)
	b := &many{n: n, state: os.Getenv("INGOT_MANY_STATE"), image: agentImage(t)}
	if b.state == "" {
		b.state = filepath.Join(t.TempDir(), "state")
	}
	_, err := os.Stat(b.state)
	b.start(t)
	row("memory when ready", memory(t, b.PID()))
	if os.IsNotExist(err) {
		b.fill(t)
	}
	b.measure(t, "held")
	b.again(t)
	b.measure(t, "after the restart")
	if number(t, "INGOT_MANY_BMCS", 1) > 0 {
		b.bmcs(t)
		b.measure(t, "with BMCs that do not answer")
	}
}

type many struct {
	program
	meter
	n            int
	state, image string
	begin        time.Time
}

func row(what string, value any) { fmt.Printf("%-58s %v\n", what, value) }

func seconds(since time.Time) string { return fmt.Sprintf("%.1f s", time.Since(since).Seconds()) }

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

func (b *many) start(t *testing.T) {
	t.Helper()
	b.begin = time.Now()
	b.program = serveIn(t, b.state, "--interface", cableName, "--dhcp-pool", pool, "--agent-image", b.image, "--metrics-address", controllerMetrics)
	b.meter = newMeter(t, b.program)
	row("start to ready", seconds(b.begin))
}

// client has the rights of the controllers, or of the administrator.
func (b *many) client(t *testing.T, who string) client.Client {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", filepath.Join(b.state, who+".kubeconfig"))
	check(t, err)
	cfg.QPS = -1
	scheme := runtime.NewScheme()
	check(t, corev1.AddToScheme(scheme))
	check(t, metal.AddToScheme(scheme))
	k, err := client.New(cfg, client.Options{Scheme: scheme})
	check(t, err)
	return k
}

// fill makes the Servers as the controllers would have left them: only who they are, what an agent reported, and for half of them the record of acceptance and wipe.
func (b *many) fill(t *testing.T) {
	t.Helper()
	k := b.client(t, "controller")
	var secret corev1.Secret
	check(t, b.client(t, "admin").Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: "ingot-installation"}, &secret))
	installation, at := string(secret.Data["id"]), metav1.NewTime(time.Now().Add(-24*time.Hour).Truncate(time.Second))
	begin := time.Now()
	b.each(t, func(ctx context.Context, i int) error {
		m := &machine{n: i}
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name(i), Labels: map[string]string{"rack": fmt.Sprintf("r%03d", i/40)}}}
		s.Spec.Identity = &metal.Identity{MACs: []string{m.mac().String()}, Serial: m.serial(), UUID: m.uuid()}
		if i%2 == 0 {
			s.Spec.Accepted, s.Spec.Record = true, wiped(m, installation, at)
		}
		if err := k.Create(ctx, hardware(m, at)); err != nil {
			return err
		}
		return k.Create(ctx, s)
	})
	row(fmt.Sprintf("%d Servers and inventories made", b.n), seconds(begin))
}

// bmcs gives every Server a BMC at an address of the cable that nobody has, with credentials of its own.
func (b *many) bmcs(t *testing.T) {
	t.Helper()
	k, begin := b.client(t, "admin"), time.Now()
	b.each(t, func(ctx context.Context, i int) error {
		credentials := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "bmc-" + name(i)}, StringData: map[string]string{"username": "u", "password": "p"}}
		if err := k.Create(ctx, credentials); err != nil {
			return err
		}
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name(i)}}
		patch := fmt.Sprintf(`{"spec":{"bmc":{"protocol":"Redfish","endpoint":"10.77.1.%d:%d","credentialsSecret":%q}}}`, i%250+1, 10_000+i/250, credentials.Name)
		return k.Patch(ctx, s, client.RawPatch("application/merge-patch+json", []byte(patch)))
	})
	row("BMCs declared", seconds(begin))
}

// each does something for every Server, sixteen at once.
func (b *many) each(t *testing.T, do func(ctx context.Context, i int) error) {
	t.Helper()
	var work sync.WaitGroup
	todo := make(chan int)
	for range 16 {
		work.Go(func() {
			for i := range todo {
				if err := do(t.Context(), i); err != nil {
					t.Errorf("%s: %v", name(i), err)
				}
			}
		})
	}
	for i := 0; i < b.n && !t.Failed(); i++ {
		todo <- i
	}
	close(todo)
	work.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// again kills the program and starts it on the same state, and waits until it has looked at every Server.
func (b *many) again(t *testing.T) {
	t.Helper()
	b.Kill()
	b.start(t)
	until(t, settling, "every Server was looked at", func() bool {
		done, waiting, err := b.reconciled(t.Context())
		check(t, err)
		return done >= float64(b.n) && waiting == 0
	})
	row("start to every Server reconciled (resync)", seconds(b.begin))
}

// measure waits for calm, and reads memory and requests.
func (b *many) measure(t *testing.T, when string) {
	t.Helper()
	begin := time.Now()
	b.calm(t, settling, quiet)
	fmt.Printf("-- %s, load %s\n", when, load())
	row("calm after", seconds(begin))
	b.states(t)
	row("memory when calm (VmRSS)", memory(t, b.PID()))
	before, err := b.calls(t.Context())
	check(t, err)
	looked, _, err := b.reconciled(t.Context())
	check(t, err)
	check(t, pause(t.Context(), idling))
	after, err := b.calls(t.Context())
	check(t, err)
	lookedAgain, _, err := b.reconciled(t.Context())
	check(t, err)
	all, writes, by := difference(before, after)
	row("API requests while idle, without watches", fmt.Sprintf("%.2f/s", all/idling.Seconds()))
	row("of these writes", fmt.Sprintf("%.2f/s", writes/idling.Seconds()))
	row("Servers looked at while idle", fmt.Sprintf("%.2f/s", (lookedAgain-looked)/idling.Seconds()))
	row("most of them", strings.Join(by, "; "))
	row("memory after that (VmRSS)", memory(t, b.PID()))
	heap, err := b.heap(t.Context())
	check(t, err)
	row("of it", heap+", files "+status(t, b.PID(), "RssFile")+"; most so far "+status(t, b.PID(), "VmHWM"))
}

// states is the control: what was declared is there, and was understood.
func (b *many) states(t *testing.T) {
	t.Helper()
	var all metal.ServerList
	check(t, b.client(t, "admin").List(t.Context(), &all))
	seen := map[metal.ServerState]int{}
	for i := range all.Items {
		seen[all.Items[i].Status.State]++
	}
	if len(all.Items) != b.n || seen[""] > 0 || seen[metal.StateDiscovered] != b.n/2 {
		t.Errorf("%d Servers, by state: %v", len(all.Items), seen)
	}
	row("states", seen)
}
