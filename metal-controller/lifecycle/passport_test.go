package lifecycle_test

import (
	"bytes"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// FuzzDecodePassport: what a passport says is said again by writing it, and what names no installation is none.
func FuzzDecodePassport(f *testing.F) {
	full := &lifecycle.Passport{
		Record: metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: "i", Epoch: 2, Object: "uid", LetGo: &metal.LetGo{At: metav1.Unix(1<<30, 0), BindingID: "b", ClaimUID: "u"}}},
		BMC:    &metal.BMC{Endpoint: "10.0.0.7", CredentialsSecret: "s"}, Accepted: true, Serial: "S1", MACs: []string{"02:00:00:00:00:01"},
	}
	text, err := full.Encode()
	if err != nil {
		f.Fatal(err)
	}
	if c := lifecycle.DecodePassport(text); c == nil || c.Serial != "S1" || !c.Accepted || c.Record.ManagedBy.LetGo.BindingID != "b" {
		f.Fatalf("%s is read as %+v", text, c)
	}
	f.Add(text)
	for _, none := range []string{"", "null", "{}", `{"record":{}}`, `{"record":{"managedBy":null}}`, `{"record":[]}`, string(text) + "x"} {
		if c := lifecycle.DecodePassport([]byte(none)); c != nil {
			f.Fatalf("%q is read as %+v", none, c)
		}
		f.Add([]byte(none))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := lifecycle.DecodePassport(in)
		if c == nil {
			return
		}
		if c.Record.ManagedBy == nil {
			t.Fatal("a passport of nobody")
		}
		once, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(once, []byte(`"10000-`)) || bytes.Contains(once, []byte(`"-001-`)) {
			return // RFC 3339 has no such year, where UTC makes it one
		}
		again := lifecycle.DecodePassport(once)
		if again == nil {
			t.Fatalf("%s is read no more", once)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s became %s, %v", once, twice, err)
		}
	})
}
