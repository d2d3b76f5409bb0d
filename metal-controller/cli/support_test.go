package cli

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machinelog"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

// TestSupport (T40): a canary is wherever a secret may be: in a Secret, machine configs of all sorts, annotations, events, what a machine said, and a log. The bundle
// has what helps, and no byte of it.
func TestSupport(t *testing.T) {
	const canary = "canary7f3a"
	ns := testapi.Namespace(t)
	planted := []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "config", Namespace: ns}, Data: map[string][]byte{"value": []byte(canary)}},
		&metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "helped", Annotations: map[string]string{"a": canary}}, Spec: metal.ServerSpec{Patches: []string{"machine: {token: " + canary + "}"}}},
		&metal.ServerClass{ObjectMeta: metav1.ObjectMeta{Name: "helped"}, Spec: metal.ServerClassSpec{Patches: []string{canary}}},
		&metal.ServerClaim{ObjectMeta: metav1.ObjectMeta{Name: "helped", Namespace: ns}, Spec: metal.ServerClaimSpec{ClassName: "helped", ConfigSecret: "config", Patches: []string{canary}}},
		&metal.Environment{ObjectMeta: metav1.ObjectMeta{Name: "helped"}, Spec: metal.EnvironmentSpec{Talos: &metal.TalosSource{Version: "v1.13.0", Schematic: "customization: {extraKernelArgs: [x=" + canary + "]}"}}},
		&corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: "helped", Namespace: "default"}, Reason: "ConfigReleased", Type: "Normal",
			Message: "fetched https://h/v1/config/helped/b1/" + canary + " with password=" + canary, InvolvedObject: corev1.ObjectReference{Kind: "Server", Name: "helped", APIVersion: metal.GroupVersion.String()},
		},
		said1(t, "helped", "talos.config=https://h/"+canary+" panic=1"),
	}
	for _, o := range planted {
		if err := admin(t).Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin(t).Delete(t.Context(), o) })
		if !strings.Contains(plainOf(t, o), canary) {
			t.Errorf("control: %T holds no canary", o)
		}
	}
	state := t.TempDir()
	log := "plain words\nAuthorization: Bearer " + canary + "\n-----BEGIN PRIVATE KEY-----\n" + canary + "\n-----END PRIVATE KEY-----\nthe last line\n"
	if err := os.MkdirAll(filepath.Join(state, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "logs", "ingot.log"), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	supported(t, state, file).want(t, CodeOK, "Wrote "+file)
	files := unpacked(t, file)
	for name, want := range map[string]string{
		"versions.txt": "Kubernetes v", "servers.yaml": "name: helped", "classes.yaml": "name: helped", "claims.yaml": "className: helped", "environments.yaml": "version: v1.13.0",
		"events.txt": "ConfigReleased", "said/helped.txt": "panic=1", "logs/ingot.log": "the last line",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s lacks %q:\n%s", name, want, files[name])
		}
	}
	for name, text := range files {
		if strings.Contains(text, canary) {
			t.Errorf("%s holds the canary:\n%s", name, text)
		}
	}
	supported(t, state, file).want(t, CodeError, "choose another name")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// plainOf is what an object holds, unpacked.
func plainOf(t *testing.T, o client.Object) string {
	t.Helper()
	switch o := o.(type) {
	case *corev1.Secret:
		return string(o.Data["value"])
	case *corev1.ConfigMap:
		lines, err := machinelog.Decode(o.BinaryData[machinelog.Key])
		if err != nil || len(lines) != 1 {
			t.Fatalf("%v, %v", lines, err)
		}
		return lines[0].Text
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// said1 is one line that a machine said, as it is kept.
func said1(t *testing.T, server, text string) *corev1.ConfigMap {
	t.Helper()
	packed, err := machinelog.Encode([]machinelog.Line{{At: noon, Source: machinelog.Kernel, Text: text}})
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: machinelog.Name(server, noon), Labels: map[string]string{machinelog.Label: server}},
		BinaryData: map[string][]byte{machinelog.Key: packed},
	}
}

// supported runs the command where `ingot up` has its state.
func supported(t *testing.T, state, file string) result {
	t.Helper()
	return runAt(t, state, "support", "-o", file, "--kubeconfig", testapi.Config(t).Kubeconfig)
}

func unpacked(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files, r := map[string]string{}, tar.NewReader(z)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "ingot-support/")] = string(text)
	}
}
