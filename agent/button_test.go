package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestButton: a press during a wipe is answered with words, one after it ends the agent.
func TestButton(t *testing.T) {
	var said bytes.Buffer
	ctx, end := context.WithCancelCause(t.Context())
	defer end(nil)
	presses, asked := make(chan struct{}), make(chan struct{})
	wiping := true
	quiesce := func() bool {
		free := !wiping
		wiping = false
		defer func() { asked <- struct{}{} }()
		return free
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		obeyButton(ctx, presses, quiesce, end, slog.New(slog.NewTextHandler(&said, nil)))
	}()
	presses <- struct{}{}
	<-asked
	if ctx.Err() != nil {
		t.Fatal("the button cut a wipe short")
	}
	presses <- struct{}{}
	<-asked
	<-done
	if !errors.Is(context.Cause(ctx), errButton) || !strings.Contains(said.String(), "disks are being wiped") {
		t.Errorf("%v, %s", context.Cause(ctx), &said)
	}
}

func TestButtonEndsWithTheAgent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	obeyButton(ctx, nil, nil, nil, quiet())
}
