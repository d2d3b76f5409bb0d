package erase_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/erase"
	"ingot.dev/ingot/metal-controller/erase/erasetest"
)

// wiped is a Server whose record holds a good receipt for two disks.
func wiped() *metal.Server {
	at := metav1.NewTime(time.Date(2026, 5, 4, 3, 2, 1, 0, time.FixedZone("there", 3600)))
	a, b := metal.DiskID{WWID: "eui.1", Serial: "N1"}, metal.DiskID{WWID: "naa.2", Serial: "S2"}
	return &metal.Server{
		ObjectMeta: metav1.ObjectMeta{Name: "s1"},
		Spec: metal.ServerSpec{Record: &metal.ServerRecord{
			Acceptance: &metal.AcceptanceRecord{At: at, RequestID: "gesture"},
			Wipe: &metal.WipeRecord{
				ID: "w1", Level: metal.WipeClear, Disks: []metal.DiskID{a, b}, GrantedAt: at, Generation: 2, BootID: "b1",
				Receipt: &metal.WipeReceipt{Generation: 2, At: metav1.NewTime(at.Add(time.Minute)), Disks: []metal.DiskReceipt{
					{DiskID: b, Model: "<SATA> & 7", SizeBytes: 1 << 40, Methods: []string{"ZeroOut"}, Reached: metal.WipeClear, BlocksRead: 1200, Seconds: 40},
					{DiskID: a, Model: "NVMe", SizeBytes: 1 << 41, Methods: []string{"NVMeFormat"}, Reached: metal.WipePurge, BlocksRead: 1100, Seconds: 3},
				}},
			},
		}},
	}
}

func inventory() *metal.ServerInventorySpec {
	return &metal.ServerInventorySpec{
		System: metal.SystemInfo{Manufacturer: "Maker", Product: "P1", Serial: "SN1"}, Agent: metal.AgentInfo{Version: "v1", BootID: "b1"},
	}
}

func signed(t testing.TB, s *erase.Signer) (erase.Record, []byte) {
	t.Helper()
	r, err := erase.Of("here", wiped(), inventory())
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Sign(r)
	if err != nil {
		t.Fatal(err)
	}
	return r, e
}

// TestSignAndVerify: what was signed is what is read, row by row, in the order of the grant.
func TestSignAndVerify(t *testing.T) {
	s := erasetest.Signer(t)
	want, e := signed(t, s)
	got, err := erase.Verify(e, s.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if got.Key.Fingerprint != s.Fingerprint() || got.Key.PublicKey != string(s.PublicKey()) {
		t.Errorf("key %+v", got.Key)
	}
	if want.Key = got.Key; !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v, signed\n%+v", got, want)
	}
	if !got.Clean() || got.Disks[0].Serial != "N1" || got.Disks[1].Model != "<SATA> & 7" || got.Wipe.AcceptRequest != "gesture" || got.System.Serial != "SN1" || got.Agent.Version != "v1" {
		t.Errorf("record %+v", got)
	}
	if want := "2026-05-04T02:02:01Z"; got.Wipe.GrantedAt.Format(time.RFC3339) != want {
		t.Errorf("granted %v; want %s", got.Wipe.GrantedAt, want)
	}
	if again, err := s.Sign(want); err != nil || !bytes.Equal(again, e) {
		t.Errorf("signed again it differs: %v", err)
	}
}

// TestOf: a disk is Erased only with a row of its own, without an error, at the granted level.
func TestOf(t *testing.T) {
	rows := func(change func(*metal.WipeRecord)) erase.Record {
		s := wiped()
		change(s.Spec.Record.Wipe)
		r, err := erase.Of("here", s, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if !rows(func(*metal.WipeRecord) {}).Clean() {
		t.Fatal("control: a good receipt is not clean")
	}
	for name, change := range map[string]func(*metal.WipeRecord){
		"no row":        func(w *metal.WipeRecord) { w.Receipt.Disks = w.Receipt.Disks[:1] },
		"another disk":  func(w *metal.WipeRecord) { w.Receipt.Disks[1].Serial = "N9" },
		"error":         func(w *metal.WipeRecord) { w.Receipt.Disks[0].Error = "read back something else" },
		"lower level":   func(w *metal.WipeRecord) { w.Receipt.Disks[0].Reached = metal.WipeQuick },
		"no level":      func(w *metal.WipeRecord) { w.Receipt.Disks[0].Reached = "" },
		"unknown level": func(w *metal.WipeRecord) { w.Receipt.Disks[0].Reached = "Shredded" },
	} {
		r := rows(change)
		if r.Clean() || len(r.Disks) != 2 {
			t.Errorf("%s: %+v", name, r.Disks)
		}
		if _, err := erasetest.Signer(t).Sign(r); err != nil {
			t.Errorf("%s: cannot be told: %v", name, err)
		}
	}
	elsewhere := inventory()
	elsewhere.Agent.BootID = "b0"
	if r, err := erase.Of("here", wiped(), elsewhere); err != nil || r.Agent.Version != "" {
		t.Errorf("the agent of another boot is named: %+v, %v", r.Agent, err)
	}
	if _, err := erase.Of("here", &metal.Server{}, nil); !errors.Is(err, erase.ErrNoReceipt) {
		t.Errorf("without a receipt: %v", err)
	}
}

// TestVerifyIsStrict: whatever was changed is an error. The unchanged one is read, in the same run.
func TestVerifyIsStrict(t *testing.T) {
	s := erasetest.Signer(t)
	_, good := signed(t, s)
	if _, err := erase.Verify(good, s.PublicKey()); err != nil {
		t.Fatalf("control: %v", err)
	}
	if _, err := erase.Verify(good, erasetest.Signer(t).PublicKey()); !errors.Is(err, erase.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	payload := func(change func(string) string) func(map[string]any) {
		return func(e map[string]any) {
			text, _ := base64.StdEncoding.DecodeString(e["payload"].(string))
			e["payload"] = base64.StdEncoding.EncodeToString([]byte(change(string(text))))
		}
	}
	signatures := func(e map[string]any) []any { return e["signatures"].([]any) }
	for name, change := range map[string]func(map[string]any){
		"a changed serial":   payload(func(s string) string { return strings.Replace(s, `"S2"`, `"S3"`, 1) }),
		"a blank more":       payload(func(s string) string { return s + " " }),
		"no payload":         func(e map[string]any) { delete(e, "payload") },
		"another type":       func(e map[string]any) { e["payloadType"] = "application/json" },
		"an unknown field":   func(e map[string]any) { e["more"] = 1 },
		"no signature":       func(e map[string]any) { e["signatures"] = []any{} },
		"two signatures":     func(e map[string]any) { e["signatures"] = append(signatures(e), signatures(e)[0]) },
		"another key id":     func(e map[string]any) { signatures(e)[0].(map[string]any)["keyid"] = "x" },
		"an empty signature": func(e map[string]any) { signatures(e)[0].(map[string]any)["sig"] = "" },
		"loose base64":       func(e map[string]any) { e["payload"] = e["payload"].(string) + "\n=" },
		"another's signature": func(e map[string]any) {
			_, o := signed(t, erasetest.Signer(t))
			e["signatures"] = fields(t, o)["signatures"]
		},
		"the wrong algorithms": func(e map[string]any) { signatures(e)[0].(map[string]any)["sig"] = "AAAA" },
	} {
		e := fields(t, good)
		change(e)
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := erase.Verify(text, s.PublicKey()); err == nil {
			t.Errorf("%s: accepted as %+v", name, r)
		}
	}
	for name, text := range map[string]string{"nothing": "", "a list": "[]", "something behind it": string(good) + "{}", "too long": strings.Repeat(" ", 2<<20)} {
		if _, err := erase.Verify([]byte(text), s.PublicKey()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func fields(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestKeys: only one block of a P-256 key is a key.
func TestKeys(t *testing.T) {
	s := erasetest.Signer(t)
	if f, err := erase.Fingerprint(s.PublicKey()); err != nil || f != s.Fingerprint() || len(f) != 64 {
		t.Errorf("control: %q, %v", f, err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(other.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	block := func(typ string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}) }
	for name, key := range map[string][]byte{
		"nothing": nil, "text": []byte("key"), "P-384": block("PUBLIC KEY", public), "two": slices.Concat(s.PublicKey(), s.PublicKey()),
		"another type": bytes.ReplaceAll(s.PublicKey(), []byte("PUBLIC"), []byte("RSA PUBLIC")), "too long": bytes.Repeat(s.PublicKey(), 100),
	} {
		if _, err := erase.Fingerprint(key); err == nil {
			t.Errorf("public %s: accepted", name)
		}
	}
	for name, key := range map[string][]byte{"nothing": nil, "P-384": block("PRIVATE KEY", private), "public": s.PublicKey()} {
		if _, err := erase.NewSigner(key); err == nil {
			t.Errorf("private %s: accepted", name)
		}
	}
}

// TestSignerPrintsNothing: no way of printing a signer shows its key.
func TestSignerPrintsNothing(t *testing.T) {
	key, err := erase.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := erase.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "signer", s)
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), string(text), log.String()} {
		if !strings.Contains(shown, "redacted") {
			t.Errorf("it shows %s", shown)
		}
	}
}

// FuzzVerify: no bytes make it panic, and what it takes was signed.
func FuzzVerify(f *testing.F) {
	s := erasetest.Signer(f)
	_, good := signed(f, s)
	f.Add(good, s.PublicKey())
	f.Add([]byte(`{"payloadType":"application/vnd.ingot.erase-record.v1+json","payload":"e30=","signatures":[{"keyid":"","sig":""}]}`), s.PublicKey())
	f.Add([]byte("{}"), []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text, key []byte) {
		r, err := erase.Verify(text, key)
		if err != nil {
			return
		}
		if f, err := erase.Fingerprint(key); err != nil || r.Key.Fingerprint != f || r.Server == "" {
			t.Errorf("taken with the key %s, %v: %+v", f, err, r)
		}
	})
}
