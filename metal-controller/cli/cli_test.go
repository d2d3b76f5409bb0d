package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// patience is how long a command may take, and what a test does beside it: nothing here waits for ever.
const patience = time.Minute

// requests counts the ids that nextID gave.
var requests atomic.Int64

func nextID() string { return fmt.Sprintf("request-%d", requests.Add(1)) }

// result is what a person sees of a command.
type result struct {
	code     int
	out, err string
}

// run runs a command line against the real API server.
func run(t *testing.T, args ...string) result {
	t.Helper()
	return runIn(t, t.Context(), append(args, "--kubeconfig", testapi.Config(t).Kubeconfig)...)
}

func runIn(t *testing.T, ctx context.Context, args ...string) result {
	t.Helper()
	return runWith(t, ctx, "", args...)
}

// runAt runs it where `ingot up` has its state.
func runAt(t *testing.T, state string, args ...string) result {
	t.Helper()
	return runWith(t, t.Context(), state, args...)
}

func runWith(t *testing.T, ctx context.Context, state string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, errOut bytes.Buffer
	env := &Env{
		Streams:  genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut},
		StateDir: state, Now: func() time.Time { return noon }, ID: nextID,
	}
	root := New("ingot", env)
	root.SetArgs(args)
	code := Main(ctx, root, env)
	return result{code, out.String(), errOut.String()}
}

func (r result) want(t *testing.T, code int, parts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.out, r.err)
	}
	for _, p := range parts {
		if !strings.Contains(r.out+r.err, p) {
			t.Errorf("output lacks %q:\n%s%s", p, r.out, r.err)
		}
	}
}

func admin(t *testing.T) client.Client      { return connect(t, true) }
func controller(t *testing.T) client.Client { return connect(t, false) }

func connect(t *testing.T, asAdmin bool) client.Client {
	t.Helper()
	config := testapi.Config(t).ControllerConfig
	if asAdmin {
		config = testapi.Config(t).AdminConfig
	}
	c, err := client.New(config, client.Options{Scheme: Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rackServer makes a Server with a BMC and the status that a controller would have written.
func rackServer(t *testing.T, name string, change func(*metal.Server)) *metal.Server {
	t.Helper()
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerSpec{BMC: &metal.BMC{Endpoint: "10.0.0.7", CredentialsSecret: "s"}}}
	status := metal.ServerStatus{
		State: metal.StateDiscovered,
		Power: &metal.PowerStatus{State: metal.PowerOn, ObservedAt: &metav1.Time{Time: noon.Add(-20 * time.Second)}},
		Boot:  &metal.BootStatus{Target: metal.BootTargetAgent},
		Conditions: []metav1.Condition{
			{Type: reasons.BMCReachable, Status: metav1.ConditionTrue, Reason: reasons.BMCAnswers, Message: "the BMC answers", LastTransitionTime: metav1.NewTime(noon.Add(-time.Hour))},
			{Type: reasons.Ready, Status: metav1.ConditionFalse, Reason: reasons.NotAccepted, Message: "waiting for a person to accept it", LastTransitionTime: metav1.NewTime(noon.Add(-time.Minute))},
		},
		ObservedGeneration: 1,
	}
	s.Status = status
	if change != nil {
		change(s)
	}
	status = s.Status
	if err := controller(t).Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.Status = status
	if err := controller(t).Status().Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin(t).Delete(context.Background(), s) })
	return s
}

func TestGetShowsTheServersColumns(t *testing.T) {
	rackServer(t, "get-1", func(s *metal.Server) { s.Labels = map[string]string{"row": "a"} })
	rackServer(t, "get-2", nil)
	run(t, "get", "servers").want(t, CodeOK, "NAME", "STATE", "POWER", "REASON", "get-1", "Discovered", "On", "NotAccepted", "get-2")
	one := run(t, "get", "servers", "-l", "row=a")
	one.want(t, CodeOK, "get-1")
	if strings.Contains(one.out, "get-2") {
		t.Errorf("the selector let get-2 through:\n%s", one.out)
	}
	run(t, "get", "server", "get-1", "-o", "jsonpath={.spec.bmc.endpoint}").want(t, CodeOK, "10.0.0.7")
	run(t, "get", "servers", "-o", "wide").want(t, CodeOK, "BMC", "10.0.0.7")
	run(t, "get", "servers", "-o", "name").want(t, CodeOK, "server.metal.ingot.dev/get-1\n")
	run(t, "get", "srv", "get-1", "-o", "yaml").want(t, CodeOK, "kind: Server", "credentialsSecret: s")
	run(t, "get", "environments").want(t, CodeOK, "No environments found")
	run(t, "get", "servers", "-o", "xml").want(t, CodeUsage, "xml")
	run(t, "get", "server", "nobody").want(t, CodeError, `"nobody" not found`)
	run(t, "get", "inv").want(t, CodeError, "Ingot's kinds are servers, serverinventories")
}

func TestWhyPutsTheReasonFirst(t *testing.T) {
	rackServer(t, "why-1", nil)
	r := run(t, "why", "server/why-1")
	r.want(t, CodeOK, "why-1 is Discovered: waiting for a person to accept it.", "On, as the BMC said 20s ago", "Ingot's agent")
	if ready, bmc := strings.Index(r.out, "Ready "), strings.Index(r.out, "BMCReachable "); ready < 0 || bmc < ready {
		t.Errorf("Ready does not come first:\n%s", r.out)
	}
	run(t, "why", "nobody").want(t, CodeError, `there is no server "nobody"`, "ingot get servers")
	run(t, "why").want(t, CodeUsage, "--help")
}

func TestPowerIsARequestThatIsFollowed(t *testing.T) {
	rackServer(t, "power-1", nil)
	done := make(chan error, 1)
	go func() { done <- confirm(t.Context(), controller(t), "power-1", metal.PowerDone) }()
	run(t, "power", "cycle", "power-1").want(t, CodeOK, "server/power-1 power cycle done")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s := &metal.Server{}
	if err := admin(t).Get(t.Context(), client.ObjectKey{Name: "power-1"}, s); err != nil {
		t.Fatal(err)
	}
	if r := s.Spec.PowerRequest; r == nil || !strings.HasPrefix(r.ID, "request-") || r.Action != metal.PowerActionCycle || !r.RequestedAt.Time.Equal(noon) {
		t.Errorf("the request is %+v", r)
	}
}

// confirm writes what the controller writes once it has seen the request.
func confirm(ctx context.Context, c client.Client, name string, step metal.PowerStep) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s := &metal.Server{}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, s); err != nil {
			return err
		}
		if s.Spec.PowerRequest != nil {
			patch := client.MergeFrom(s.DeepCopy())
			s.Spec.Record = &metal.ServerRecord{Power: &metal.PowerRecord{ID: s.Spec.PowerRequest.ID, Step: step, At: metav1.NewTime(noon)}}
			return c.Patch(ctx, s, patch)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func TestPowerThatFailsSaysSo(t *testing.T) {
	rackServer(t, "power-2", nil)
	done := make(chan error, 1)
	go func() { done <- confirm(t.Context(), controller(t), "power-2", metal.PowerFailed) }()
	run(t, "power", "on", "power-2").want(t, CodeError, "power on of power-2", "ingot why power-2")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestPowerTellsWhatIsInTheWay: what the conditions say of this request, not of the one before.
func TestPowerTellsWhatIsInTheWay(t *testing.T) {
	s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Generation: 4}}
	s.Status.Conditions = []metav1.Condition{
		{Type: reasons.BMCReachable, Status: metav1.ConditionFalse, ObservedGeneration: 3, Message: "The BMC does not answer."},
		{Type: reasons.PowerReady, Status: metav1.ConditionTrue, ObservedGeneration: 3, Message: "The BMC confirmed the one before."},
	}
	if got := powerMessage(s); got != "" {
		t.Errorf("old conditions: %q", got)
	}
	s.Status.Conditions[0].ObservedGeneration, s.Status.Conditions[1].ObservedGeneration = 4, 4
	s.Status.Conditions[1].Message = "Waiting for the BMC to confirm on."
	if got := powerMessage(s); got != "Waiting for the BMC to confirm on. The BMC does not answer" {
		t.Errorf("now: %q", got)
	}
	s.Status.Conditions[0].Status = metav1.ConditionTrue // the control
	if got := powerMessage(s); got != "Waiting for the BMC to confirm on" {
		t.Errorf("with a BMC that answers: %q", got)
	}
	s.Status.Power, s.Spec.BMC = &metal.PowerStatus{State: metal.PowerUnknown, ObservedAt: &metav1.Time{Time: noon.Add(-time.Minute)}}, &metal.BMC{}
	if got := powerLine(s, noon); !strings.HasPrefix(got, "unknown; the last reading") {
		t.Errorf("a reading that does not count: %q", got)
	}
}

func TestPowerNobodyTakesUpTimesOut(t *testing.T) {
	rackServer(t, "power-3", nil)
	run(t, "power", "on", "power-3", "--timeout", "1s").want(t, CodeTimeout, "is it running?")
	run(t, "power", "off", "power-3", "--wait=false").want(t, CodeOK, "power off requested")
}

func TestPowerRefuses(t *testing.T) {
	rackServer(t, "power-4", func(s *metal.Server) {
		s.Spec.Record = &metal.ServerRecord{Claim: &metal.ClaimRecord{Namespace: "team", Name: "m1", BindingID: "b", At: metav1.NewTime(noon)}}
		s.Spec.Location = &metal.Location{Rack: "r7", Unit: 3}
	})
	run(t, "power", "off", "power-4").want(t, CodeRefused, "team/m1", "rack r7 unit 3", "--yes")
	run(t, "power", "off", "power-4", "--dry-run").want(t, CodeOK, "dry run")
	run(t, "power", "off", "power-4", "--yes", "--wait=false").want(t, CodeOK, "requested", "Warning: this server is claimed") // control
	rackServer(t, "power-5", func(s *metal.Server) { s.Spec.BMC = nil })
	run(t, "power", "on", "power-5").want(t, CodeRefused, "no spec.bmc")
	run(t, "power", "status", "power-4", "power-5").want(t, CodeOK, "server/power-4: On, as the BMC said 20s ago", "server/power-5: unknown; no spec.bmc")
}

func TestConsole(t *testing.T) {
	rackServer(t, "console-1", func(s *metal.Server) { s.Spec.BMC.Protocol = metal.BMCRedfish })
	run(t, "console", "console-1").want(t, CodeError, "not pinned", "ingot console console-1 --sol")
	rackServer(t, "console-2", func(s *metal.Server) { s.Annotations = map[string]string{consoleAnnotation: "unix:/nonexistent"} })
	run(t, "console", "console-2").want(t, CodeError, "is the server on?")
}

func TestLogsMergesBootsAndEvents(t *testing.T) {
	rackServer(t, "logs-1", func(s *metal.Server) {
		at := func(d time.Duration) metav1.MicroTime { return metav1.NewMicroTime(noon.Add(d)) }
		s.Status.Boots = []metal.BootTimeline{{ID: "b1", Firmware: "uefi-pxe", Stages: []metal.BootStage{{Stage: "DHCP", At: at(0)}, {Stage: "Enrolled", At: at(20 * time.Second)}}}}
	})
	r := run(t, "logs", "logs-1")
	r.want(t, CodeOK, "boot b1  DHCP", "boot b1  Enrolled")
	if strings.Index(r.out, "DHCP") > strings.Index(r.out, "Enrolled") {
		t.Errorf("not in order of time:\n%s", r.out)
	}
}

func TestCheckAndVersion(t *testing.T) {
	run(t, "check").want(t, CodeOK, "Kubernetes v1.37.1", "is served with all its kinds")
	run(t, "version").want(t, CodeOK, "Client:", "Kubernetes v1.37.1")
	run(t, "check", "--interface", "nothere0").want(t, CodeError, "nothere0 does not exist", "checks failed")
	run(t, "check", "--interface", "nothere0", "--proxy-dhcp").want(t, CodeError, "port 4011/udp", "checks failed")
	run(t, "check", "--proxy-dhcp").want(t, CodeUsage, "--interface")
}

func TestErrorsNameTheNextStep(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	runIn(t, t.Context(), "get", "servers").want(t, CodeError, "ingot up")
	runIn(t, t.Context(), "get", "servers", "--server", "https://127.0.0.1:1").want(t, CodeError, "ingot up")
	runIn(t, t.Context(), "--help").want(t, CodeOK, "inventories and powers", "why")
}

// TestUsageErrorsSayWhatIsMeant: one line each, with the exit code of usage errors.
func TestUsageErrorsSayWhatIsMeant(t *testing.T) {
	for line, parts := range map[string][]string{
		"explode":                  {`no command "ingot explode"`, "`ingot --help`"},
		"powerr":                   {"did you mean `ingot power`?"},
		"power onn x":              {`no command "ingot power onn"`, "did you mean `ingot power on`?"},
		"completion bsh":           {"did you mean `ingot completion bash`?"},
		"get --nonsense":           {"--nonsense", "`ingot get --help`"},
		"power on x --timeout abc": {`invalid argument "abc"`, `"--timeout"`, "`ingot power on --help`"},
		"why":                      {"ingot why needs SERVER"},
		"why a b":                  {`ingot why takes SERVER|claim/NAME alone, not "b"`},
		"power on":                 {"ingot power on needs SERVER..."},
		"version extra":            {`ingot version takes no arguments, not "extra"`},
	} {
		r := runIn(t, t.Context(), strings.Fields(line)...)
		r.want(t, CodeUsage, parts...)
		if r.out != "" || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: not one line of error:\n%s%s", line, r.out, r.err)
		}
	}
	runIn(t, t.Context(), "power").want(t, CodeOK, "Usage:\n  ingot power [command]", "cycle") // the control
	runIn(t, t.Context(), "--version").want(t, CodeOK, "go1.")
}

// TestFlagsAreDocumented: pflag takes a name in back quotes for the word after the flag, so it must be one word.
func TestFlagsAreDocumented(t *testing.T) {
	root := New("ingot", &Env{})
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if word, usage := pflag.UnquoteUsage(f); strings.Contains(word, " ") || usage == "" {
				t.Errorf("%s --%s %s: %s", cmd.CommandPath(), f.Name, word, usage)
			}
		})
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
}

func TestCompletionKnowsServers(t *testing.T) {
	rackServer(t, "complete-1", nil)
	runIn(t, t.Context(), "__complete", "--kubeconfig", testapi.Config(t).Kubeconfig, "why", "comp").want(t, CodeOK, "complete-1\tDiscovered")
	rackServer(t, "complete-2", nil)
	complete := func(args ...string) result {
		return runIn(t, t.Context(), append([]string{"__complete", "--kubeconfig", testapi.Config(t).Kubeconfig}, args...)...)
	}
	for _, args := range [][]string{{"power", "off", "complete-1", "comp"}, {"get", "server", "complete-1", "comp"}} {
		r := complete(args...)
		r.want(t, CodeOK, "complete-2\tDiscovered")
		if strings.Contains(r.out, "complete-1") {
			t.Errorf("%v: a name twice:\n%s", args, r.out)
		}
	}
	for _, args := range [][]string{{"why", "complete-1", ""}, {"get", "serverclass", ""}} {
		if r := complete(args...); strings.Contains(r.out, "complete-2") {
			t.Errorf("%v: a server does not fit here:\n%s", args, r.out)
		}
	}
	complete("get", "").want(t, CodeOK, "servers", "environments")
	run(t, "completion", "bash").want(t, CodeOK, "bash completion")
}

// TestGetWatchShowsChangesOnly: what was listed is not told again, and changes line up with it.
func TestGetWatchShowsChangesOnly(t *testing.T) {
	s := rackServer(t, "watched-with-a-long-name", nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lines
	env := &Env{Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: io.Discard}, Now: time.Now, ID: nextID}
	root := New("ingot", env)
	root.SetArgs([]string{"get", "servers", s.Name, "--watch", "--kubeconfig", testapi.Config(t).Kubeconfig})
	done := make(chan int, 1)
	go func() { done <- Main(ctx, root, env) }()
	out.await(t, 2) // header and server
	fresh := &metal.Server{}
	if err := admin(t).Get(ctx, client.ObjectKeyFromObject(s), fresh); err != nil {
		t.Fatal(err)
	}
	fresh.Status.State = metal.StateAvailable
	if err := controller(t).Status().Update(ctx, fresh); err != nil {
		t.Fatal(err)
	}
	got := out.await(t, 3)
	cancel()
	if code := <-done; code != CodeOK {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(got[1], "Discovered") || !strings.Contains(got[2], "Available") {
		t.Errorf("lines:\n%s", strings.Join(got, "\n"))
	}
	if a, b := strings.Index(got[1], "NotAccepted"), strings.Index(got[2], "NotAccepted"); a < 0 || a != b {
		t.Errorf("columns do not line up:\n%s", strings.Join(got, "\n"))
	}
}

// lines collects output and lets a test wait for a number of lines.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) await(t *testing.T, n int) []string {
	t.Helper()
	limit, tick := time.NewTimer(time.Minute), time.NewTicker(20*time.Millisecond)
	defer limit.Stop()
	defer tick.Stop()
	for {
		l.mu.Lock()
		got := strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n")
		l.mu.Unlock()
		if len(got) >= n && got[0] != "" {
			return got
		}
		select {
		case <-limit.C:
			t.Fatalf("no %d lines, only:\n%s", n, strings.Join(got, "\n"))
		case <-tick.C:
		}
	}
}
