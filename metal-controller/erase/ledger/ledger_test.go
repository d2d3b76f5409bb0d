package ledger_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/erase"
	"ingot.dev/ingot/metal-controller/erase/erasetest"
	"ingot.dev/ingot/metal-controller/erase/ledger"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

func TestMain(m *testing.M) { os.Exit(testapi.Main(m)) }

func newClient(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), metal.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// forget deletes what the test left in the system namespace.
func forget(t *testing.T, objects ...client.Object) {
	t.Helper()
	admin := newClient(t, testapi.Config(t).AdminConfig)
	t.Cleanup(func() {
		for _, o := range objects {
			_ = admin.DeleteAllOf(context.Background(), o, client.InNamespace(metal.SystemNamespace))
		}
	})
}

// keep is a ledger with the rights of the controllers.
func keep(t *testing.T) *ledger.Ledger {
	t.Helper()
	forget(t, &corev1.ConfigMap{}, &corev1.Secret{})
	c := newClient(t, testapi.Config(t).ControllerConfig)
	s, err := ledger.Key(t.Context(), c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &ledger.Ledger{Client: c, Live: c, Signer: s, Installation: "here"}
}

func wiped(wipe string) *metal.Server {
	at, d := metav1.NewTime(time.Unix(1.8e9, 0)), metal.DiskID{WWID: "eui.1", Serial: "N1"}
	return &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1.rack"}, Spec: metal.ServerSpec{Record: &metal.ServerRecord{Wipe: &metal.WipeRecord{
		ID: wipe, Level: metal.WipeClear, Disks: []metal.DiskID{d}, GrantedAt: at, Generation: 1, BootID: "b1",
		Receipt: &metal.WipeReceipt{Generation: 1, At: at, Disks: []metal.DiskReceipt{{DiskID: d, Reached: metal.WipeClear, BlocksRead: 1}}},
	}}}}
}

func published(t *testing.T, l *ledger.Ledger, wipe string) bool {
	t.Helper()
	ok, err := l.Published(t.Context(), "s1.rack", wipe, 1)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// TestPublish: a record is kept once, can be checked with what is published, and nobody changes it.
func TestPublish(t *testing.T) {
	l := keep(t)
	if published(t, l, "w1") {
		t.Fatal("control: it is published before")
	}
	for range 3 {
		if err := l.Publish(t.Context(), wiped("w1"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if !published(t, l, "w1") || published(t, l, "w2") {
		t.Error("what is published is not found, or what is not is")
	}
	var key, kept corev1.ConfigMap
	admin := newClient(t, testapi.Config(t).AdminConfig)
	get := func(name string, into *corev1.ConfigMap) {
		if err := admin.Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: name}, into); err != nil {
			t.Fatal(err)
		}
	}
	get(erase.KeyName, &key)
	get(erase.Name("s1.rack", "w1"), &kept)
	r, err := erase.Verify([]byte(kept.Data[erase.EnvelopeField]), []byte(key.Data[erase.PublicKeyField]))
	if err != nil || r.Server != "s1.rack" || key.Data[erase.FingerprintField] != l.Signer.Fingerprint() {
		t.Errorf("record %+v, key %v, %v", r, key.Data, err)
	}
	kept.Data[erase.EnvelopeField] = "{}"
	if err := admin.Update(t.Context(), &kept); !apierrors.IsInvalid(err) {
		t.Errorf("a record was changed: %v", err)
	}
	if err := l.Publish(t.Context(), &metal.Server{}, nil); !errors.Is(err, erase.ErrNoReceipt) {
		t.Errorf("without a receipt: %v", err)
	}
}

// TestGenerations: a wipe that began again in another boot has a record of its own. That of the boot before, whose receipt was not proven or which had
// other disks, does not stand in for it, and stays.
func TestGenerations(t *testing.T) {
	l := keep(t)
	again := wiped("w1")
	w := again.Spec.Record.Wipe
	other := metal.DiskID{WWID: "eui.2", Serial: "N2"}
	w.Generation, w.BootID, w.Disks = 2, "b2", append(w.Disks, other)
	w.Receipt.Generation, w.Receipt.Disks = 2, append(w.Receipt.Disks, metal.DiskReceipt{DiskID: other, Reached: metal.WipeClear, BlocksRead: 1})
	if err := l.Publish(t.Context(), wiped("w1"), nil); err != nil {
		t.Fatal(err)
	}
	if ok, err := l.Published(t.Context(), "s1.rack", "w1", 2); ok || err != nil {
		t.Errorf("the record of the first generation counts for the second: %v", err)
	}
	if err := l.Publish(t.Context(), again, nil); err != nil {
		t.Fatal(err)
	}
	for generation, disks := range map[int64]int{1: 1, 2: 2} {
		if ok, err := l.Published(t.Context(), "s1.rack", "w1", generation); !ok || err != nil {
			t.Errorf("generation %d is not published: %v", generation, err)
		}
		var kept corev1.ConfigMap
		key := client.ObjectKey{Namespace: metal.SystemNamespace, Name: erase.Name("s1.rack", erase.Turn("w1", generation))}
		if err := l.Live.Get(t.Context(), key, &kept); err != nil {
			t.Fatal(err)
		}
		r, err := erase.Verify([]byte(kept.Data[erase.EnvelopeField]), l.Signer.PublicKey())
		if err != nil || r.Wipe.Generation != generation || len(r.Disks) != disks {
			t.Errorf("generation %d: %+v, %v", generation, r, err)
		}
	}
}

// TestForged: what stands under a record's name and is not signed by us, or tells of another wipe, proves nothing. Deleted, the way is free.
func TestForged(t *testing.T) {
	l := keep(t)
	stranger := *l
	stranger.Signer = erasetest.Signer(t)
	for name, forge := range map[string]func(*corev1.ConfigMap){
		"nothing in it":     func(m *corev1.ConfigMap) { m.Data = nil },
		"another wipe":      func(*corev1.ConfigMap) {},
		"a strange signer":  func(m *corev1.ConfigMap) { m.Data[erase.EnvelopeField] = envelope(t, stranger.Signer, "here") },
		"another's machine": func(m *corev1.ConfigMap) { m.Data[erase.EnvelopeField] = envelope(t, l.Signer, "elsewhere") },
	} {
		m := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: erase.Name("s1.rack", "w1")},
			Data:       map[string]string{erase.EnvelopeField: envelope(t, l.Signer, "here", "w0")},
		}
		forge(m)
		if err := l.Client.Create(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if ok, err := l.Published(t.Context(), "s1.rack", "w1", 1); ok || err != nil {
			t.Errorf("%s: taken for published: %v, %v", name, ok, err)
		}
		if err := l.Publish(t.Context(), wiped("w1"), nil); err == nil || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("%s: publishing was content with it", name)
		}
		if err := l.Client.Delete(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Publish(t.Context(), wiped("w1"), nil); err != nil || !published(t, l, "w1") {
		t.Errorf("control: %v", err)
	}
}

func envelope(t *testing.T, s *erase.Signer, installation string, wipe ...string) string {
	t.Helper()
	r, err := erase.Of(installation, wiped(append(wipe, "w1")[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Sign(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(e)
}

// TestPrune: the last twenty records of a server are kept, and what is no record stays.
func TestPrune(t *testing.T) {
	l := keep(t)
	note := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: metal.SystemNamespace, Name: "note", Labels: map[string]string{erase.LabelServer: "s1.rack"},
	}}
	if err := l.Client.Create(t.Context(), note); err != nil {
		t.Fatal(err)
	}
	for i := range 23 {
		if err := l.Publish(t.Context(), wiped(fmt.Sprintf("w%02d", i)), nil); err != nil {
			t.Fatal(err)
		}
		if !published(t, l, fmt.Sprintf("w%02d", i)) {
			t.Errorf("the newest record, number %d, is gone", i)
		}
	}
	var list corev1.ConfigMapList
	if err := l.Live.List(t.Context(), &list, client.InNamespace(metal.SystemNamespace), client.MatchingLabels{erase.LabelServer: "s1.rack"}); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 21 {
		t.Errorf("%d are kept; want 20 and the note", len(list.Items))
	}
}

// TestKey: replicas that start at once have the same key; a damaged Secret and another public key are errors, never replaced.
func TestKey(t *testing.T) {
	l := keep(t)
	admin := newClient(t, testapi.Config(t).AdminConfig)
	for _, o := range []client.Object{&corev1.ConfigMap{}, &corev1.Secret{}} {
		if err := admin.DeleteAllOf(t.Context(), o, client.InNamespace(metal.SystemNamespace)); err != nil {
			t.Fatal(err)
		}
	}
	fingers := make([]string, 4)
	var replicas sync.WaitGroup
	for i := range fingers {
		replicas.Go(func() {
			s, err := ledger.Key(t.Context(), l.Client, rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			fingers[i] = s.Fingerprint()
		})
	}
	replicas.Wait()
	for _, f := range fingers {
		if f != fingers[0] || f == l.Signer.Fingerprint() {
			t.Errorf("keys %v", fingers)
		}
	}
	var s corev1.Secret
	if err := admin.Get(t.Context(), client.ObjectKey{Namespace: metal.SystemNamespace, Name: erase.KeyName}, &s); err != nil {
		t.Fatal(err)
	}
	other, err := erase.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{"damaged": []byte("x"), "another public key than": other} {
		s.Data[erase.PrivateKeyField] = key
		if err := admin.Update(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.Key(t.Context(), l.Client, rand.Reader); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
