package netns

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// role makes the test program a child that plays a part.
const role = "INGOT_TEST_ROLE"

func TestMain(m *testing.M) {
	if part := os.Getenv(role); part != "" {
		os.Exit(play(part))
	}
	goleak.VerifyTestMain(m)
}

func play(part string) int {
	if part == "parent" {
		code, err := Reexec(context.Background(), nil, Options{Env: []string{role + "=wait"}})
		fmt.Println(code, err)
		return code
	}
	namespace, err := Enter(context.Background())
	if err != nil {
		fmt.Println(err)
		return 9
	}
	defer namespace.Close()
	switch part {
	case "links":
		return links()
	case "wait":
		signals := make(chan os.Signal, 4)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
		fmt.Println("pid", os.Getpid())
		if <-signals == syscall.SIGHUP {
			return 3
		}
		return 4
	case "serve":
		return serve()
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return 0
}

func links() int {
	interfaces, err := net.Interfaces()
	if err != nil {
		return 9
	}
	for _, i := range interfaces {
		fmt.Println(i.Name, i.Flags&net.FlagUp != 0)
	}
	return 7
}

// serve answers one connection on the namespace's own loopback.
func serve() int {
	listener, err := net.Listen("tcp", "127.0.0.1:6443")
	if err != nil {
		return 9
	}
	fmt.Println("ready")
	conn, err := listener.Accept()
	if err != nil {
		return 9
	}
	text, _ := io.ReadAll(conn)
	fmt.Fprintf(conn, "inside got %s", text)
	_ = conn.Close()
	<-make(chan struct{})
	return 0
}

func start(t *testing.T, part string, opts Options) (int, error) {
	t.Helper()
	opts.Env = append(opts.Env, role+"="+part)
	return Reexec(t.Context(), nil, opts)
}

func TestOwnNetworkAndExitCode(t *testing.T) {
	var out bytes.Buffer
	code, err := start(t, "links", Options{Stdout: &out})
	if err != nil || code != 7 {
		t.Fatalf("code %d, %v: %s", code, err, &out)
	}
	if out.String() != "lo true\n" {
		t.Errorf("the namespace has:\n%s", &out)
	}
	if Inside() { // the control: we ourselves are not
		t.Error("the parent believes that it is inside")
	}
	if _, err := Enter(t.Context()); err == nil {
		t.Error("the host's network was entered")
	}
}

func TestStaleMarkerIsNoticed(t *testing.T) {
	own, err := current()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(marker, own)
	if Inside() {
		t.Error("the same namespace counts as another")
	}
	t.Setenv(marker, "net:[1]")
	if !Inside() {
		t.Error("another namespace does not count")
	}
}

func TestSignalledChild(t *testing.T) {
	if code, err := start(t, "die", Options{}); err != nil || code != 128+9 {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestSignalIsForwarded(t *testing.T) {
	reader, writer := io.Pipe()
	go func() {
		line, _ := bufio.NewReader(reader).ReadString('\n') // it is waiting now
		_ = line
		_ = syscall.Kill(os.Getpid(), syscall.SIGHUP)
		_, _ = io.Copy(io.Discard, reader)
	}()
	code, err := start(t, "wait", Options{Stdout: writer})
	_ = writer.Close()
	if err != nil || code != 3 {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestContextEndsTheChild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	go func() {
		_, _ = bufio.NewReader(reader).ReadString('\n')
		cancel()
		_, _ = io.Copy(io.Discard, reader)
	}()
	code, err := Reexec(ctx, nil, Options{Env: []string{role + "=wait"}, Stdout: writer})
	_ = writer.Close()
	if err != nil || code != 4 {
		t.Errorf("code %d, %v", code, err)
	}
}

// TestKilledParentTakesTheChildAlong reads a pipe that both hold: it ends only
// when both have ended.
func TestKilledParentTakesTheChildAlong(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), role+"=parent")
	held, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(held)
	line, err := lines.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "pid ") || line == fmt.Sprintf("pid %d\n", parent.Process.Pid) {
		t.Fatalf("the child says %q, %v", line, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("the child went on: %q, %v", rest, err)
	}
	if err := parent.Wait(); err == nil {
		t.Error("the parent was not killed")
	}
}

func TestForward(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan string, 1)
	go func() {
		defer cancel()
		_, _ = bufio.NewReader(reader).ReadString('\n')
		answer <- ask(address, "hello")
		go func() { _, _ = io.Copy(io.Discard, reader) }()
	}()
	_, err = Reexec(ctx, nil, Options{
		Env: []string{role + "=serve"}, Stdout: writer,
		Forwards: []Forward{{Listen: address, Dial: "127.0.0.1:6443"}},
	})
	_ = writer.Close()
	if got := <-answer; err != nil || got != "inside got hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if got := ask(address, "anyone?"); !strings.Contains(got, "refused") {
		t.Errorf("after the end: %q", got)
	}
}

func ask(address, text string) string {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, text)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = start(t, "links", Options{Forwards: []Forward{{Listen: taken.Addr().String(), Dial: "127.0.0.1:1"}}})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}

func TestExplain(t *testing.T) {
	for _, refusal := range []error{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOSYS} {
		err := explain(&os.PathError{Op: "fork/exec", Path: "x", Err: refusal})
		if !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), ";") && !strings.Contains(err.Error(), "use a kernel") {
			t.Errorf("%v: %v", refusal, err)
		}
	}
	if err := explain(syscall.ENOMEM); errors.Is(err, ErrForbidden) {
		t.Errorf("ENOMEM: %v", err)
	}
}

func TestAttributes(t *testing.T) {
	if root := attributes(0, 0); root.Cloneflags != syscall.CLONE_NEWNET || root.UidMappings != nil {
		t.Errorf("root: %+v", root)
	}
	user := attributes(1000, 100)
	if user.Cloneflags != syscall.CLONE_NEWNET|syscall.CLONE_NEWUSER || user.UidMappings[0].HostID != 1000 || user.GidMappings[0].HostID != 100 {
		t.Errorf("user: %+v", user)
	}
}

func TestRelayBetweenTCPAndUnix(t *testing.T) {
	inside, err := net.Listen("unix", filepath.Join(t.TempDir(), "api.sock"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := inside.Accept()
		if err != nil {
			return
		}
		text, _ := io.ReadAll(conn)
		fmt.Fprintf(conn, "got %d bytes", len(text))
		_ = conn.Close()
	}()
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relay := NewRelay(t.Context(), outside, DialTo("unix:"+inside.Addr().String()))
	address := outside.Addr().String()
	if got := ask(address, strings.Repeat("x", 1<<20)); got != "got 1048576 bytes" {
		t.Errorf("got %q", got)
	}
	<-served
	_ = inside.Close()
	if got := ask(address, "anyone?"); got != "" { // nobody is there any more: the connection just ends
		t.Errorf("got %q", got)
	}
	relay.Close()
	if got := ask(address, "anyone?"); !strings.Contains(got, "refused") {
		t.Errorf("after Close: %q", got)
	}
}

func TestRelayCloseEndsConnections(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialled := make(chan struct{})
	relay := NewRelay(t.Context(), outside, func(context.Context) (net.Conn, error) { close(dialled); return near, nil })
	client, err := net.Dial("tcp", outside.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	<-dialled
	relay.Close()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived the relay")
	}
}
