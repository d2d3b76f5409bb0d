package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/erase"
	"ingot.dev/ingot/metal-controller/erase/erasetest"
)

// envelope is a signed record of a server with two disks; the second one may be dirty.
func envelope(t *testing.T, s *erase.Signer, server, wipe string, trouble string) []byte {
	t.Helper()
	at := metav1.NewTime(noon)
	a, b := metal.DiskID{WWID: "eui.01", Serial: "NV1"}, metal.DiskID{WWID: "naa.02", Serial: "SA1"}
	r, err := erase.Of("here", &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: server}, Spec: metal.ServerSpec{Record: &metal.ServerRecord{Wipe: &metal.WipeRecord{
		ID: wipe, Level: metal.WipeClear, Disks: []metal.DiskID{a, b}, GrantedAt: at, Generation: 1, BootID: "b1",
		Receipt: &metal.WipeReceipt{Generation: 1, At: at, Disks: []metal.DiskReceipt{
			{DiskID: a, Model: "Fast", SizeBytes: 1e12, Methods: []string{"NVMeFormat"}, Reached: metal.WipePurge, BlocksRead: 1100, Seconds: 3},
			{DiskID: b, Model: "Slow", SizeBytes: 4e12, Methods: []string{"Overwrite"}, Reached: metal.WipeClear, BlocksRead: 1200, Seconds: 90, Error: trouble},
		}},
	}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Sign(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerifyEraseNeedsNoNetwork(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nonexistent")
	s := erasetest.Signer(t)
	good := envelope(t, s, "s1", "w1", "")
	path, key := file(t, "r.json", good), file(t, "key.pem", s.PublicKey())
	verify := func(args ...string) result {
		return runIn(t, t.Context(), append([]string{"verify-erase"}, args...)...)
	}
	trusted := verify(path, "--key", key)
	trusted.want(t, CodeOK, "signature good, key fingerprint "+s.Fingerprint()+", every disk clean", "NV1", "NVMeFormat", "1 TB", "Clear", "1m30s", "proven blank")
	if strings.Contains(trusted.out, "compare") {
		t.Errorf("a given key needs no comparing:\n%s", trusted.out)
	}
	verify(path).want(t, CodeOK, "signature good", "compare it with `ingot erase-record --public-key`")
	verify(path, "--key", file(t, "other.pem", erasetest.Signer(t).PublicKey())).want(t, CodeError, "signed it")
	verify(file(t, "dirty.json", envelope(t, s, "s1", "w1", "read back something else"))).want(t, CodeError, "not every disk is clean", "SA1", "read back something else")
	for name, text := range map[string][]byte{"changed": bytes.Replace(good, []byte(`"sig":"M`), []byte(`"sig":"N`), 1), "nothing": nil, "text": []byte("hello"), "empty payload": []byte(`{"payload":"e30="}`)} {
		if r := verify(file(t, "x.json", text)); r.code != CodeError || strings.Contains(r.out, "good") {
			t.Errorf("%s: code %d\n%s%s", name, r.code, r.out, r.err)
		}
	}
	verify(filepath.Join(t.TempDir(), "none")).want(t, CodeError, "no such file")
	verify().want(t, CodeUsage, "verify-erase needs FILE")
}

func TestEraseRecordFetchesTheLatest(t *testing.T) {
	s := erasetest.Signer(t)
	rackServer(t, "erase-1", nil)
	run(t, "erase-record", "erase-1").want(t, CodeError, "no erase record of erase-1 yet")
	run(t, "erase-record", "nobody").want(t, CodeError, `no server "nobody"`)
	run(t, "erase-record").want(t, CodeUsage, "--public-key")
	keep(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: erase.KeyName}, Data: map[string]string{erase.PublicKeyField: string(s.PublicKey())}})
	for _, id := range []string{"w1", "w2"} {
		keep(t, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: erase.Name("erase-1", id), Labels: map[string]string{erase.LabelServer: "erase-1", erase.LabelWipe: id}},
			Data:       map[string]string{erase.EnvelopeField: string(envelope(t, s, "erase-1", id, ""))},
		})
	}
	// A stranger's ConfigMap with the label is no record.
	keep(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stranger", Labels: map[string]string{erase.LabelServer: "erase-1", erase.LabelWipe: "w3"}}})
	dir := t.TempDir()
	record, key, all := filepath.Join(dir, "r.json"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "all")
	run(t, "erase-record", "erase-1", "-o", record).want(t, CodeOK, "wrote")
	run(t, "erase-record", "--public-key", "-o", key).want(t, CodeOK, s.Fingerprint())
	runIn(t, t.Context(), "verify-erase", record, "--key", key).want(t, CodeOK, "every disk clean")
	run(t, "erase-record", "erase-1", "--all", "-o", all).want(t, CodeOK)
	if entries, err := os.ReadDir(all); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if r := run(t, "erase-record", "erase-1"); strings.Count(r.out, "\n") != 1 || !strings.HasPrefix(r.out, "{") {
		t.Errorf("standard output:\n%s", r.out)
	}
}

// keep makes an object of the system namespace for this test.
func keep(t *testing.T, m *corev1.ConfigMap) {
	t.Helper()
	m.Namespace = metal.SystemNamespace
	if err := admin(t).Create(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin(t).Delete(context.Background(), m) })
}

func TestPlainShowsNoControlCharacters(t *testing.T) {
	if got := plain("a\x1b[2Jb\tc\nd\u202e"); got != "a?[2Jb?c?d?" {
		t.Errorf("%q", got)
	}
	if got := plain("Größe 3"); got != "Größe 3" {
		t.Errorf("control: %q", got)
	}
}
