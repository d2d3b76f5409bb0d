package main

import (
	"bytes"
	"strings"
	"testing"
)

// run runs the command line and returns what it printed.
func run(args ...string) (string, error) {
	var out bytes.Buffer
	c := command()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.Execute()
	return out.String(), err
}

func TestHelp(t *testing.T) {
	out, err := run("--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"--kubeconfig", "--leader-elect", "--agent-listen", "--agent-url", "--boot-listen", "--config-listen", "--config-url", "--plain-config-listen", "--plain-config-url", "--events-listen", "--kernel-log-listen", "--unknown-policy", "--destructive-limit", "--dry-run", "--metrics-address", ":7443", ":7444", ":7445", ":7446", ":7447", ":7448", ":7490", "issue-pxe-certificate", "ingot up"} {
		if !strings.Contains(out, word) {
			t.Errorf("--help says nothing of %s", word)
		}
	}
}

// TestErrors: each mistake is named, with what to do.
func TestErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"--kubeconfig":      {"--kubeconfig", "/nonexistent/file", "--agent-url", "https://192.0.2.1:7443"},
		"unknown flag":      {"--capture-everything"},
		"unknown command":   {"capture"},
		"--site and --out":  {"issue-pxe-certificate"},
		"--kubeconfig\x00":  {"issue-pxe-certificate", "--site", "r1", "--out", t.TempDir(), "--kubeconfig", "/nonexistent/file"},
		"invalid argument ": {"--max-unaccepted", "many"},
	} {
		if _, err := run(args...); err == nil || !strings.Contains(err.Error(), strings.TrimRight(want, "\x00")) {
			t.Errorf("%v: %v; want an error about %q", args, err, want)
		}
	}
}

func TestVersion(t *testing.T) {
	if out, err := run("--version"); err != nil || !strings.Contains(out, "metal-controller version v") {
		t.Errorf("%q %v", out, err)
	}
}
