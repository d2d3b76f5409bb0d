package capability_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/metal-controller/capability"
)

// canary is a key that is found wherever it leaks.
const canary = "canary-canary-canary-canary-0123"

func key(t testing.TB, secret string) capability.Key {
	t.Helper()
	k, err := capability.NewKey([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestCheck: a token is good for its key, purpose and parts, and for nothing else.
func TestCheck(t *testing.T) {
	k := key(t, canary)
	token := k.Token("config", "rack1-01", "b1")
	if len(token) != capability.TokenSize || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("the token is %q", token)
	}
	if !k.Check(token, "config", "rack1-01", "b1") {
		t.Error("control: the right token does not hold")
	}
	for name, ok := range map[string]bool{
		"another key":      key(t, strings.Repeat("x", 32)).Check(token, "config", "rack1-01", "b1"),
		"no key":           capability.Key{}.Check(capability.Key{}.Token("config"), "config"),
		"another purpose":  k.Check(token, "signal", "rack1-01", "b1"),
		"another server":   k.Check(token, "config", "rack1-02", "b1"),
		"another boot":     k.Check(token, "config", "rack1-01", "b2"),
		"shifted parts":    k.Check(token, "config", "rack1-01b", "1"),
		"joined parts":     k.Check(token, "config", "rack1-01b1"),
		"fewer parts":      k.Check(token, "config", "rack1-01"),
		"an empty part":    k.Check(token, "config", "rack1-01", "b1", ""),
		"a shorter token":  k.Check(token[1:], "config", "rack1-01", "b1"),
		"no token":         k.Check("", "config", "rack1-01", "b1"),
		"upper-case token": k.Check(strings.ToUpper(token), "config", "rack1-01", "b1"),
	} {
		if ok {
			t.Errorf("%s holds", name)
		}
	}
}

// TestUnambiguous: two lists of parts have the same token only when they are the same list.
func TestUnambiguous(t *testing.T) {
	k := key(t, canary)
	word := rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00\x01/")), 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOfN(word, 1, 4).Draw(t, "a"), rapid.SliceOfN(word, 1, 4).Draw(t, "b")
		same := len(a) == len(b) && strings.Join(a, "|") == strings.Join(b, "|")
		if got := k.Check(k.Token(a[0], a[1:]...), b[0], b[1:]...); got != same {
			t.Fatalf("%q and %q: %v", a, b, got)
		}
	})
}

// TestKeyHides: the key shows nowhere, also not as a field of what is printed.
func TestKeyHides(t *testing.T) {
	k := key(t, canary)
	holder := struct{ Key capability.Key }{k}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "holder", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k, "holder", holder)
	asJSON, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(asJSON) + fmt.Sprintf("%s %v %+v %#v %x %q %v %+v %#v %v", k, k, k, k, k, k, holder, holder, holder, k.MarshalLog())
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprint([]byte(canary))} {
		if strings.Contains(all, leak) {
			t.Errorf("%q is in %s", leak, all)
		}
	}
	if n := strings.Count(all, "REDACTED"); n < 10 {
		t.Errorf("control: only %d keys were printed", n)
	}
	if _, err := capability.NewKey([]byte(canary[1:])); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a short key: %v", err)
	}
}

// TestLinks: each address opens what it is for, and plain HTTP is used only where it is allowed and offered.
func TestLinks(t *testing.T) {
	l := capability.Links{Key: key(t, canary), HTTPS: "https://192.0.2.1:7445", Plain: "http://192.0.2.1:7446"}
	for want, got := range map[string]string{
		"https://192.0.2.1:7445/v1/config/s/b/": l.ConfigURL("s", "b", false),
		"http://192.0.2.1:7446/v1/config/s/b/":  l.ConfigURL("s", "b", true),
		"https://192.0.2.1:7445/v1/signal/s/i/": l.SignalURL("s", "i"),
		"https://192.0.2.1/v1/config/s/b/":      capability.Links{Key: l.Key, HTTPS: "https://192.0.2.1"}.ConfigURL("s", "b", true),
	} {
		token, ok := strings.CutPrefix(got, want)
		if !ok || len(token) != capability.TokenSize {
			t.Errorf("%s; want %sTOKEN", got, want)
		}
		config, signal := l.Key.OpensConfig(token, "s", "b"), l.Key.OpensSignal(token, "s", "i")
		if isSignal := strings.Contains(want, "signal"); config == isSignal || signal != isSignal || l.Key.OpensConfig(token, "s", "i") || l.Key.OpensSignal(token, "s", "b") {
			t.Errorf("%s opens the config: %v, the signal: %v", want, config, signal)
		}
	}
	if all := fmt.Sprintf("%v %+v %#v", l, l, l); strings.Contains(all, canary) || !strings.Contains(all, "REDACTED") {
		t.Error(all)
	}
}
