package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/taloscheck/talosconfigtest"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// put creates objects with all rights until the test ends.
func put(t *testing.T, c client.Client, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin(t).Delete(context.Background(), o) })
	}
}

func TestConfigPreview(t *testing.T) {
	ns := testapi.Namespace(t)
	rackServer(t, "preview-1", func(s *metal.Server) { s.Spec.Patches = []string{"machine: {install: {disk: /dev/sdz}}"} })
	put(t, admin(t), &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: ns}, Spec: metal.ServerClassSpec{Patches: []string{"machine: {sysctls: {a: b}}"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}, Data: map[string][]byte{"value": []byte("machine: {token: s3cret, type: worker}")}})
	put(t, controller(t), &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}, Spec: metal.ServerClaimSpec{
		ClassName: ns, ConfigSecret: "web", Binding: &metal.Binding{Server: "preview-1", BindingID: "b1"}, Patches: []string{"machine: {type: controlplane}"},
	}})
	put(t, admin(t), &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "waits"}, Spec: metal.ServerClaimSpec{ClassName: ns, ConfigSecret: "gone"}},
		&metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "bare"}, Spec: metal.ServerClaimSpec{ClassName: ns}})
	hidden := run(t, "config", "preview", "web", "-n", ns)
	hidden.want(t, CodeOK, "machine.token", "(secret)", "machine.type", "(hidden)", "claim "+ns+"/web, patch 1", "class "+ns+", patch 1", "server preview-1, patch 1", "ingot.dev/v1alpha1/Callback")
	shown := run(t, "config", "preview", "claim/web", "-n", ns, "--values")
	shown.want(t, CodeOK, `"controlplane"`, `"/dev/sdz"`, "(secret)", `"ingot://preview-1"`)
	if all := hidden.out + shown.out; strings.Contains(all, "s3cret") || strings.Contains(hidden.out, "controlplane") {
		t.Errorf("too much is shown:\n%s", all)
	}
	run(t, "config", "preview", "none", "-n", ns).want(t, CodeError, `there is no claim "none" in the namespace `+ns, "-n names")
	run(t, "config", "preview", "waits", "-n", ns).want(t, CodeError, `the Secret "gone" does not exist`, "make it")
	run(t, "config", "preview", "bare", "-n", ns).want(t, CodeError, "spec.configSecret")
	run(t, "config", "preview").want(t, CodeUsage, "needs CLAIM")
	run(t, "config", "prewiev").want(t, CodeUsage, "did you mean `ingot config preview`?")
}

// TestConfigPreviewOfTalos: what Ingot adds shows with its origin, and what Talos would not take fails in the words of the controllers.
func TestConfigPreviewOfTalos(t *testing.T) {
	ns, name := testapi.Namespace(t), "preview-talos"
	disk := metal.Disk{Name: "nvme0n1", WWID: "eui.1", Serial: "N1", Transport: "nvme", SizeBytes: 1e12}
	rackServer(t, name, func(s *metal.Server) {
		s.Spec.Location = &metal.Location{Rack: "r7"}
		s.Status.Disks = []metal.DiskStatus{{DiskID: metal.DiskID{WWID: "eui.1", Serial: "N1"}, Name: "nvme0n1", Verdict: metal.DiskOwn}}
	})
	on := true
	put(t, admin(t), &metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: ns}, Spec: metal.ServerClassSpec{
		InstallDisk: &metal.InstallDisk{Transports: []string{"nvme"}}, Talos: &metal.TalosSettings{KubePrism: &on},
	}}, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "talos"}, Data: map[string][]byte{"value": talosconfigtest.Generate(t, "worker")}})
	claim := func(claim string, bound bool, patches ...string) {
		spec := metal.ServerClaimSpec{ClassName: ns, ConfigSecret: "talos", Patches: patches}
		if bound {
			spec.Binding = &metal.Binding{Server: name, BindingID: "b1"}
		}
		put(t, controller(t), &metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: claim}, Spec: spec})
	}
	claim("good", true)
	claim("bad", true, "machine: {instal: s3cret-word}")
	claim("waits", false)
	run(t, "config", "preview", "good", "-n", ns).want(t, CodeError, `the inventory "preview-talos" does not exist`, "boot that once")
	put(t, controller(t), &metal.ServerInventory{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metal.ServerInventorySpec{Disks: []metal.Disk{disk}}})
	good := run(t, "config", "preview", "good", "-n", ns, "--values")
	good.want(t, CodeOK, "machine.install.diskSelector.wwid", `"eui.1"`, "ingot, installDisk of class "+ns, "ingot, talos.kubePrism of class "+ns, `"r7"`, "ingot, the server's name", "ingot, the server's providerID")
	if strings.Contains(good.out, "Callback") {
		t.Errorf("Talos would refuse the document of other systems:\n%s", good.out)
	}
	bad := run(t, "config", "preview", "bad", "-n", ns)
	bad.want(t, CodeError, "Talos would not take it: v1alpha1: Talos knows no field machine.instal")
	run(t, "config", "preview", "waits", "-n", ns).want(t, CodeOK, "not bound yet", "The install disk is chosen when the claim is bound")
	if strings.Contains(bad.out, "s3cret-word") {
		t.Error("a value is shown")
	}
}

func TestConfigAudit(t *testing.T) {
	at := metav1.NewTime(noon.Add(-time.Hour))
	release := &metal.ConfigRelease{SHA256: strings.Repeat("a", 64), Source: "192.0.2.7", At: at}
	later := &metal.ConfigRelease{SHA256: strings.Repeat("b", 64), Source: "192.0.2.8", At: metav1.NewTime(noon)}
	rackServer(t, "audit-1", func(s *metal.Server) {
		s.Spec.Record = &metal.ServerRecord{
			Installed: &metal.InstalledRecord{BootID: "boot1", At: at, BindingID: "b1", Config: release},
			Boot:      &metal.BootRecord{ID: "boot2", Phase: metal.BootVoid, StartedAt: at, At: at, Deadline: at, Config: later},
		}
	})
	rackServer(t, "audit-2", nil)
	put(t, admin(t), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: eventNamespace, GenerateName: "audit-"}, InvolvedObject: corev1.ObjectReference{Kind: "Server", Name: "audit-1", Namespace: ""},
		Type: corev1.EventTypeWarning, Reason: reasons.ConfigRefused, Message: "not given to 192.0.2.9", LastTimestamp: metav1.NewTime(noon.Add(-time.Minute)),
	}, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: eventNamespace, GenerateName: "audit-"}, InvolvedObject: corev1.ObjectReference{Kind: "Server", Name: "audit-1"},
		Type: corev1.EventTypeNormal, Reason: reasons.Registered, Message: "of no interest", LastTimestamp: at,
	})
	r := run(t, "config", "audit", "audit-1")
	r.want(t, CodeOK, "the installed system of the boot boot1", release.SHA256+" at 192.0.2.7", "ConfigRefused: not given to 192.0.2.9", later.SHA256+" at 192.0.2.8")
	if first, alarm, last := strings.Index(r.out, "boot1"), strings.Index(r.out, "ConfigRefused"), strings.Index(r.out, "boot2"); first > alarm || alarm > last || strings.Contains(r.out, "no interest") {
		t.Errorf("the order of time:\n%s", r.out)
	}
	run(t, "config", "audit", "audit-2").want(t, CodeOK, "No machine config left for audit-2")
	run(t, "config", "audit", "nobody").want(t, CodeError, `no server "nobody"`)
}
