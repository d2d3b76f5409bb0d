package cli

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machinelog"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// told writes lines down as the controllers do.
func told(t *testing.T, server string, at time.Duration, lines ...machinelog.Line) {
	t.Helper()
	packed, err := machinelog.Encode(lines)
	if err != nil {
		t.Fatal(err)
	}
	create(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: machinelog.Name(server, noon.Add(at)), Labels: map[string]string{machinelog.Label: server}},
		BinaryData: map[string][]byte{machinelog.Key: packed},
	})
}

func spoken(after time.Duration, source machinelog.Source, text string) machinelog.Line {
	return machinelog.Line{At: noon.Add(after), Source: source, Text: text}
}

// TestLogsShowWhatMachinesSay: between the stages, each line once, marked by its source; what is none of Ingot's is left out and said.
func TestLogsShowWhatMachinesSay(t *testing.T) {
	rackServer(t, "logs-said", func(s *metal.Server) {
		at := func(d time.Duration) metav1.MicroTime { return metav1.NewMicroTime(noon.Add(d)) }
		s.Status.Boots = []metal.BootTimeline{{ID: "b1", Stages: []metal.BootStage{{Stage: "Config", At: at(10 * time.Second)}, {Stage: "Installed", At: at(30 * time.Second)}}}}
	})
	one, two := spoken(5*time.Second, machinelog.Kernel, "[    0.000000] Linux"), spoken(20*time.Second, machinelog.Talos, "stage installing")
	told(t, "logs-said", 0, one)
	told(t, "logs-said", time.Second, one, two)
	told(t, "logs-another", 0, spoken(0, machinelog.Kernel, "canary"))
	create(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: "log.logs-said.broken", Labels: map[string]string{machinelog.Label: "logs-said"}},
		BinaryData: map[string][]byte{machinelog.Key: []byte("\x1b[2Jnot packed")},
	})
	r := run(t, "logs", "logs-said")
	r.want(t, CodeOK, "kernel  [    0.000000] Linux", "talos   stage installing", "log.logs-said.broken in ingot-system is left out")
	at := -1
	for _, next := range []string{"Linux", "Config", "stage installing", "Installed"} {
		if i := strings.Index(r.out, next); i <= at || strings.Count(r.out, next) != 1 {
			t.Errorf("%q is not in its place, once:\n%s", next, r.out)
		} else {
			at = i
		}
	}
	if strings.Contains(r.out+r.err, "canary") || strings.Contains(r.out+r.err, "\x1b") {
		t.Errorf("%s%s", r.out, r.err)
	}
}

// TestLogsWithoutTheRight: who may not read ConfigMaps gets the rest, and one line that says why.
func TestLogsWithoutTheRight(t *testing.T) {
	rackServer(t, "logs-right", func(s *metal.Server) {
		s.Status.Boots = []metal.BootTimeline{{ID: "b1", Stages: []metal.BootStage{{Stage: "DHCP", At: metav1.NewMicroTime(noon)}}}}
	})
	told(t, "logs-right", 0, spoken(0, machinelog.Kernel, "Linux"))
	create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "logs-viewer"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{metal.GroupVersion.Group}, Resources: []string{"servers"}, Verbs: []string{"get"}}, {APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"list"}},
	}})
	create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "logs-viewer"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "logs-viewer"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "logs-viewer"}},
	})
	r := run(t, "logs", "logs-right", "--as", "logs-viewer")
	r.want(t, CodeOK, "boot b1  DHCP", "you have no right to list ConfigMaps in ingot-system")
	if strings.Contains(r.out, "Linux") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("%s%s", r.out, r.err)
	}
	run(t, "logs", "logs-right").want(t, CodeOK, "kernel  Linux") // control
}

// TestLogsFollow: new lines of a later write are shown once.
func TestLogsFollow(t *testing.T) {
	rackServer(t, "logs-follow", nil)
	one, two := spoken(0, machinelog.Kernel, "one"), spoken(time.Second, machinelog.Kernel, "two")
	told(t, "logs-follow", 0, one)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lines
	env := &Env{Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: io.Discard}, Now: time.Now, ID: nextID}
	root := New("ingot", env)
	root.SetArgs([]string{"logs", "logs-follow", "--follow", "--kubeconfig", testapi.Config(t).Kubeconfig})
	done := make(chan int, 1)
	go func() { done <- Main(ctx, root, env) }()
	out.await(t, 1)
	told(t, "logs-follow", time.Second, one, two)
	told(t, "logs-follow", 2*time.Second, one, two, spoken(2*time.Second, machinelog.Talos, "three"))
	got := out.await(t, 3)
	cancel()
	if code := <-done; code != CodeOK {
		t.Errorf("exit code %d", code)
	}
	if len(got) != 3 || !strings.HasSuffix(got[0], "kernel  one") || !strings.HasSuffix(got[1], "kernel  two") || !strings.HasSuffix(got[2], "talos   three") {
		t.Errorf("%q", got)
	}
}
