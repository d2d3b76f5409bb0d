package setup_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/resource/definitions/enums"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/setup"
	"ingot.dev/ingot/metal-controller/talos"
	"ingot.dev/ingot/metal-controller/talos/talostest"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// TestTalosIsAsked: the whole controller asks an installed Talos at its address and port, with the credentials of its cluster, and records that it runs.
func TestTalosIsAsked(t *testing.T) {
	const uuid = "6f1f1a5e-0001-4000-8000-0000000000aa"
	source := fmt.Sprintf("127.77.%d.%d", os.Getpid()>>8&0xff, os.Getpid()&0xff) // the port is Talos' own, so the address must be ours
	cluster := talostest.NewCluster(t, time.Now())
	answered := make(chan string, 1000)
	m := cluster.Listen(t, net.JoinHostPort(source, fmt.Sprint(talos.Port)), talostest.State{
		Tag: "v1.13.0", UUID: uuid, OnDisk: true, Cmdline: "talos.platform=metal", Stage: enums.RuntimeMachineStage_MACHINE_STAGE_BOOTING,
		Before: func(_ context.Context, asked string) error { answered <- asked; return nil },
	})
	start(t, func(c *setup.Config) { c.ConfigListen = "127.0.0.1:0" })
	name := installedTalos(t, cluster, source, uuid)
	runs := func(s *metal.Server) bool {
		return s.Spec.Record.Installed != nil && s.Spec.Record.Installed.RunningAt != nil
	}
	select {
	case <-answered:
	case <-time.After(patience):
		t.Fatal("nobody asked the machine")
	}
	if s := eventually(t, name, func(*metal.Server) bool { return true }); runs(s) {
		t.Error("a Talos that still boots is said to run")
	}
	m.Set(func(s *talostest.State) { s.Stage = enums.RuntimeMachineStage_MACHINE_STAGE_RUNNING })
	if s := eventually(t, name, runs); s.Spec.Record.Installed.EverySeconds != 60 {
		t.Errorf("%+v", s.Spec.Record.Installed)
	}
}

// installedTalos is a Server whose Talos proved that it is installed, with its claim, and what that rests on.
func installedTalos(t *testing.T, cluster *talostest.Cluster, source, uuid string) string {
	t.Helper()
	scheme, err := setup.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	ingot, err := client.New(testapi.Config(t).ControllerConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	namespace, at := testapi.Namespace(t), metav1.Now()
	name := metav1.ObjectMeta{Name: namespace}
	asset := &metal.Asset{URL: "http://127.0.0.1:1/a", SHA256: strings.Repeat("0", 64)}
	create(t, &metal.ServerClass{ObjectMeta: name},
		&metal.Environment{ObjectMeta: name, Spec: metal.EnvironmentSpec{Boot: []metal.BootAssets{{Arch: "amd64", Kernel: asset, Initramfs: asset, Args: []string{"talos.config={config}"}}}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "c1-talosconfig"}, Data: map[string][]byte{"talosconfig": cluster.Talosconfig("os:admin")}})
	claim := &metal.ServerClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", Labels: map[string]string{"cluster.x-k8s.io/cluster-name": "c1"}, Finalizers: []string{metal.ReleaseFinalizer}},
		Spec:       metal.ServerClaimSpec{ClassName: namespace, Binding: &metal.Binding{Server: namespace, BindingID: "bind1"}},
	}
	record := &metal.ServerRecord{
		Claim:     &metal.ClaimRecord{Namespace: namespace, Name: "web", BindingID: "bind1", Class: namespace, Environment: namespace, At: at, BoundAt: &at, ConfigAt: &at},
		Installed: &metal.InstalledRecord{BootID: "boot1", At: at, BindingID: "bind1", Environment: namespace, Config: &metal.ConfigRelease{SHA256: strings.Repeat("a", 64), Source: source, At: at}},
	}
	server := &metal.Server{ObjectMeta: name, Spec: metal.ServerSpec{Record: record}}
	inventory := &metal.ServerInventory{ObjectMeta: name, Spec: metal.ServerInventorySpec{Arch: "amd64", System: metal.SystemInfo{UUID: uuid}}}
	for _, o := range []client.Object{inventory, server, claim} {
		if err := ingot.Create(t.Context(), o); err != nil {
			t.Fatalf("%T: %v", o, err)
		}
	}
	t.Cleanup(func() {
		_ = ingot.Patch(context.Background(), claim, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))
		_ = admin(t).Delete(context.Background(), claim)
	})
	return server.Name
}
