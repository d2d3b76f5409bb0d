package signals

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/metal-controller/capability"
	"ingot.dev/ingot/metal-controller/redact"
)

// What stands in the place of what is taken out.
const (
	hidden, hiddenLine, hiddenTalk = redact.Hidden, redact.HiddenLine, redact.HiddenTalk
	maxBlock                       = redact.MaxBlock
)

// canary is found wherever it leaks.
const canary = "canary0canary1canary"

// links are those of an installation, with a key of its own.
func links(t testing.TB) capability.Links {
	t.Helper()
	key, err := capability.NewKey([]byte(strings.Repeat("k", capability.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	der := make([]byte, 400)
	if _, err := rand.Read(der); err != nil {
		t.Fatal(err)
	}
	early, err := capability.EarlyTrust(der)
	if err != nil {
		t.Fatal(err)
	}
	return capability.Links{Key: key, HTTPS: "https://192.0.2.1:7445", Early: early, Events: "192.0.2.1:7447", KernelLog: "192.0.2.1:7448"}
}

// TestKernelLine: of the line that Ingot itself gives a Talos nothing is left that is a capability, and all that is none.
func TestKernelLine(t *testing.T) {
	l := links(t)
	line := "Kernel command line: " + strings.Join(l.Args([]string{"console=ttyS0", "talos.platform=metal", "talos.config={config}", "talos.config.inline=" + canary, "talos.logging.kernel=tcp://192.0.2.1:7448"}, "rack1-01", "boot7", false, ""), " ") + " panic=10"
	token := l.ConfigURL("rack1-01", "boot7", false)[len("https://192.0.2.1:7445/v1/config/rack1-01/boot7/"):]
	secrets := []string{token, strings.TrimPrefix(l.Early, "talos.config.early="), "boot7", canary, "7447", "7448", "https:"}
	var r Redactor
	for form, text := range map[string]string{"plain": line, "quoted": strings.ReplaceAll(line, "talos.config=", `\"talos.config=`), "escaped": strings.ReplaceAll(line, "/", `\/`), "cut in the token": line[:strings.Index(line, token)+20]} {
		got := r.Line(text)
		for _, s := range secrets {
			if form == "plain" && !strings.Contains(line, s) {
				t.Errorf("control: %q is not in the line", s)
			}
			if strings.Contains(got, s) || strings.Contains(got, token[:20]) {
				t.Errorf("%s: %q is left in %s", form, s, got)
			}
		}
		for _, s := range []string{"console=ttyS0", "talos.platform=metal", "talos.config=" + hidden} {
			if !strings.Contains(got, s) {
				t.Errorf("%s: control: %q is not left in %s", form, s, got)
			}
		}
	}
}

// TestRedaction: what is taken out, and what stays.
func TestRedaction(t *testing.T) {
	blob := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(canary, 3)))
	for text, want := range map[string]string{
		"GET https://u:" + canary + "@h/x?token=" + canary + "&a=b: 403":                              "GET https://h/x?[redacted] 403",
		"dial tcp://a:" + canary + "/x@h:1":                                                           "dial tcp://h:1",
		`{"url": "http://h/a#` + canary + `"}`:                                                        `{"url": "http://h/a?[redacted]"}`,
		"path /v1/signal/s/b/" + canary:                                                               "path /v1/signal/[redacted]",
		"grpc://h:1?jointoken=" + canary:                                                              "grpc://h:1?[redacted]",
		"siderolink.api=grpc://h:1?jointoken=" + canary:                                               "siderolink.api=[redacted]",
		"fetching /x?uuid=" + canary:                                                                  "fetching /x?[redacted]",
		"Authorization: Bearer " + canary:                                                             "Authorization: Bearer [redacted]",
		`"password": "` + canary + `", "user": "u"`:                                                   `"password": "[redacted]", "user": "u"`,
		`{\"secret\":\"` + canary + `\"}`:                                                             `{\"secret\":\"[redacted]\"}`,
		"join abcdef.0123456789abcdef now":                                                            "join [redacted] now",
		"cert " + blob:                                                                                "cert [redacted]",
		"key -----BEGIN PRIVATE KEY-----\n" + canary + "\n-----END PRIVATE KEY----- end":              "key [redacted] end",
		`key -----BEGIN PRIVATE KEY-----\n` + canary:                                                  "key [redacted]",
		`[talos] controller failed {"error": "yaml: unknown keys: ` + canary + `"}`:                   hiddenTalk,
		`[talos] failed to load config: token ` + canary:                                              hiddenTalk,
		"\x1b[31mLinux\u202e\tversion\n6.18":                                                          "_[31mLinux_ version 6.18",
		"Linux version 6.18.15 (gcc 14) #1 SMP PREEMPT_DYNAMIC":                                       "Linux version 6.18.15 (gcc 14) #1 SMP PREEMPT_DYNAMIC",
		" ? do_exit+0x10/0x20":                                                                        " ? do_exit+0x10/0x20",
		"[talos] phase config (2/9): done, 1.2s":                                                      "[talos] phase config (2/9): done, 1.2s",
		"PCI: config space of 0000:00:1f.0: read failed":                                              "PCI: config space of 0000:00:1f.0: read failed",
		"nvme nvme0: 2/0/0 default/read/poll queues":                                                  "nvme nvme0: 2/0/0 default/read/poll queues",
		`[talos] service[apid](Running): Health check successful {"component": "controller-runtime"}`: `[talos] service[apid](Running): Health check successful {"component": "controller-runtime"}`,
	} {
		var r Redactor
		if got := r.Line(text); got != want {
			t.Errorf("%q\n  became %q\n    want %q", text, got, want)
		}
	}
}

// TestBlocks: a key over several lines is not shown, even its short last line, nor what the kernel says in between; after it lines are shown again.
func TestBlocks(t *testing.T) {
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: make([]byte, 100)}))
	var r Redactor
	var got []string
	for line := range strings.SplitSeq("before\n"+text+"after", "\n") {
		got = append(got, r.Line(line))
	}
	if all := strings.Join(got, "|"); all != "before|[redacted]|"+strings.Repeat(hiddenLine+"|", strings.Count(text, "\n")-1)+"after" {
		t.Error(all)
	}
	r.Line("-----BEGIN X-----")
	shown := 0
	for range 200 {
		if r.Line("x") == "x" {
			shown++
		}
	}
	if shown != 200-maxBlock {
		t.Errorf("%d lines are shown after a block that does not end", shown)
	}
}

// TestTokenNeverLeaves: wherever a capability stands, and whatever stands around it, it does not leave.
func TestTokenNeverLeaves(t *testing.T) {
	l := links(t)
	around := rapid.StringOfN(rapid.RuneFrom([]rune("aZ0/+=-_.:?&#@%\"'\\ \n\x00é[]{}")), 0, 30, -1)
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		url := l.ConfigURL("s", fmt.Sprint(rapid.Uint64().Draw(t, "boot")), false)
		token := url[len(url)-capability.TokenSize:]
		text := around.Draw(t, "before") + rapid.SampledFrom([]string{url, token, strings.TrimPrefix(url, "https:")}).Draw(t, "form") + around.Draw(t, "after")
		if strings.Contains(text, token) {
			found++
		}
		var r Redactor
		if got := r.Line(text); strings.Contains(got, token) || strings.Contains(got, token[:30]) || strings.Contains(got, token[10:]) {
			t.Fatalf("%q is left of %q", got, text)
		}
	})
	if found == 0 {
		t.Error("control: no text had a token")
	}
}

// longRun is what may be base64 of a key.
var longRun = regexp.MustCompile(`[A-Za-z0-9+/_=%-]{41,}`)

// FuzzLine: whatever comes as a line of a kernel log, what leaves is printable, bounded, and holds no long run of what may be base64.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"msg":"Linux version","clock":12}`), "talos.config=https://u:p@h/v1/config/a/b/c?x=y")
	f.Add([]byte(`{"msg":"-----BEGIN X-----","clock":1e3}`), "-----BEGIN A----- x -----END A-----")
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		var r Redactor
		said, ok := readLine(raw)
		for _, line := range []string{r.Line(said), r.Line(text)} {
			if strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) || len(line) > 16*(len(raw)+len(text))+200 {
				t.Fatalf("%q of %q, %q", line, raw, text)
			}
			if blobs := longRun.FindString(line); blobs != "" {
				t.Fatalf("%q of %q, %q", line, raw, text)
			}
		}
		if !ok && said != "" {
			t.Fatalf("%q of %q", said, raw)
		}
	})
}

// BenchmarkLine is the longest line that is looked through.
func BenchmarkLine(b *testing.B) {
	text := "[talos] " + strings.Repeat("key=value https://h/p?q=x -----B ", maxMessage/33)
	for b.Loop() {
		var r Redactor
		r.Line(text)
	}
}
