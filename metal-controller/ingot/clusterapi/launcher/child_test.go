package launcher

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestChild: a child that ends by itself is a failure, one that is told to end is none, and what it says is in the log.
func TestChild(t *testing.T) {
	var log bytes.Buffer
	places := []Place{{Kubeconfig: "/a/kubeconfig", Log: &log}}
	shell := func(script string) func(context.Context, int, []Place, func()) error {
		return Child("/bin/sh", func(p []Place) []string { return []string{"-c", script, "sh", p[0].Kubeconfig} })
	}
	ready := func() {}
	if err := shell("echo said $1; exit 3")(t.Context(), 1, places, ready); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("it ended with %v", err)
	}
	if !strings.Contains(log.String(), "said /a/kubeconfig") {
		t.Errorf("the log has %q", log.String())
	}
	if err := shell("true")(t.Context(), 1, places, ready); err == nil || !strings.Contains(err.Error(), "without an error") {
		t.Errorf("it ended with %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := shell("exec sleep 600")(ctx, 1, places, stop); err != nil { // it is stopped once it is ready
		t.Errorf("it was told to end: %v", err)
	}
}
