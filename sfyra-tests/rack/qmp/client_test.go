package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const greeting = `{"QMP": {"version": {}, "capabilities": []}}`

// fakeQEMU answers commands by name; a missing name is refused.
func fakeQEMU(t *testing.T, conn net.Conn, answers map[string]string) {
	t.Helper()
	ended := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	go func() {
		defer close(ended)
		fmt.Fprintln(conn, greeting)
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			var c command
			if json.Unmarshal(lines.Bytes(), &c) != nil {
				return
			}
			answer, known := answers[c.Execute]
			if !known {
				answer = `"error": {"class": "CommandNotFound", "desc": "no such command"}`
			}
			fmt.Fprintf(conn, "{%s, \"id\": %d}\n", answer, c.ID)
		}
	}()
}

func connect(t *testing.T, answers map[string]string) (*Client, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	answers["qmp_capabilities"] = `"return": {}`
	fakeQEMU(t, far, answers)
	c, err := New(t.Context(), near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, far
}

func TestExecute(t *testing.T) {
	c, _ := connect(t, map[string]string{"query-status": `"return": {"status": "running"}`})
	if status, err := c.Status(t.Context()); err != nil || status != "running" {
		t.Errorf("got %q, %v", status, err)
	}
	var refused *CommandError
	err := c.Execute(t.Context(), "explode", nil, nil)
	if !errors.As(err, &refused) || refused.Class != "CommandNotFound" || refused.Command != "explode" {
		t.Errorf("got %v", err)
	}
}

func TestEventsDropTheOldest(t *testing.T) {
	c, far := connect(t, map[string]string{"query-status": `"return": {"status": "running"}`})
	for i := range maxEvents + 3 {
		fmt.Fprintf(far, "{\"event\": \"E%d\"}\n", i)
	}
	if _, err := c.Status(t.Context()); err != nil { // all events are read before its answer
		t.Fatal(err)
	}
	if e := <-c.Events(); e.Name != "E3" {
		t.Errorf("the oldest is %s, want E3", e.Name)
	}
}

func TestEndOfConnection(t *testing.T) {
	c, far := connect(t, map[string]string{})
	_ = far.Close()
	<-c.Done()
	if err := c.Execute(t.Context(), "query-status", nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	for range c.Events() {
		t.Error("an event out of nothing")
	}
}

func TestGreetingFails(t *testing.T) {
	for name, line := range map[string]string{
		"no greeting": `{"event": "RESET"}`,
		"no JSON":     `SSH-2.0-OpenSSH`,
		"too long":    `{"QMP": "` + strings.Repeat("x", maxLine) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			go func() { fmt.Fprintln(far, line) }()
			if _, err := New(t.Context(), near); err == nil {
				t.Error("accepted")
			}
			_ = far.Close()
		})
	}
}

func TestGreetingIsBoundedByContext(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := New(ctx, near); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestDialLongPath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	name := strings.Repeat("d", 100)
	for _, path := range []string{"short.sock", filepath.Join(dir, name, name[:60])} {
		listenAt(t, path)
		c, err := Dial(t.Context(), path)
		if err != nil {
			t.Fatalf("path of %d bytes: %v", len(path), err)
		}
		c.Close()
	}
	if _, err := Dial(t.Context(), filepath.Join(dir, "nobody.sock")); err == nil {
		t.Error("connected to nobody")
	}
}

// listenAt listens from within the folder, as QEMU does.
func listenAt(t *testing.T, path string) {
	t.Helper()
	listener := listenUnix(t, path)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		fakeQEMU(t, conn, map[string]string{"qmp_capabilities": `"return": {}`})
	}()
}
