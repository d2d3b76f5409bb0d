package cli

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
	"ingot.dev/ingot/sfyra-tests/testapi"
)

const bmcPassword = "sol-Passw0rd"

// solServer is a Server whose BMC speaks IPMI, with its host on.
func solServer(t *testing.T, name string, change func(*rmcp.Config)) (*rmcp.BMC, *memory.Machine) {
	t.Helper()
	m := memory.New(machine.Identity{UEFI: true})
	if err := m.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := rmcp.Config{Machine: m, Username: "operator", Password: bmcPassword}
	if change != nil {
		change(&config)
	}
	b, err := rmcp.Start(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metal.SystemNamespace, Name: name},
		StringData: map[string]string{"username": "operator", "password": bmcPassword},
	}
	if err := admin(t).Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin(t).Delete(context.Background(), secret) })
	host, port, _ := net.SplitHostPort(b.Addr())
	number, _ := strconv.Atoi(port)
	rackServer(t, name, func(s *metal.Server) {
		s.Spec.BMC = &metal.BMC{Protocol: metal.BMCIPMI, Endpoint: host, Port: int32(number), CredentialsSecret: name}
	})
	return b, m
}

// display is what a person sees.
type display struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (s *display) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.Write(p)
}

func (s *display) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// attached runs `ingot console`; done gives its exit code.
func attached(t *testing.T, ctx context.Context, args ...string) (keys io.WriteCloser, out, errOut *display, done chan int) {
	t.Helper()
	in, keys := io.Pipe()
	t.Cleanup(func() { _ = keys.Close() })
	out, errOut, done = &display{}, &display{}, make(chan int, 1)
	env := &Env{Streams: genericiooptions.IOStreams{In: in, Out: out, ErrOut: errOut}, Now: func() time.Time { return noon }, ID: nextID}
	root := New("ingot", env)
	root.SetArgs(append([]string{"console", "--kubeconfig", testapi.Config(t).Kubeconfig}, args...))
	go func() { done <- Main(ctx, root, env) }()
	return keys, out, errOut, done
}

func soon(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not come to pass: %s", what)
		}
	}
}

// TestConsoleOverLAN: what the server writes is shown, what is typed arrives, and however one leaves, nothing stays open at the BMC.
func TestConsoleOverLAN(t *testing.T) {
	b, m := solServer(t, "sol-1", nil)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	for name, leave := range map[string]func(keys io.Writer){
		"by Ctrl-]": func(keys io.Writer) { _, _ = io.WriteString(keys, "reboot\r\x1d") },
		"by Ctrl-C": func(io.Writer) { interrupt() },
	} {
		use := t.Context()
		if name == "by Ctrl-C" {
			use = ctx
		}
		keys, out, errOut, done := attached(t, use, "sol-1")
		soon(t, "the serial line is open", func() bool { return m.Guest() != nil })
		guest := m.Guest()
		if _, err := io.WriteString(guest, "login: "); err != nil {
			t.Fatal(err)
		}
		soon(t, "the output is shown", func() bool { return strings.Contains(out.String(), "login: ") })
		read := make(chan string, 1)
		go func() {
			got := make([]byte, 100)
			n, _ := guest.Read(got)
			read <- string(got[:n])
		}()
		leave(keys)
		<-done
		if b.SOLActive() || b.Sessions() != 0 {
			t.Errorf("%s: the payload is active: %v, %d sessions are left", name, b.SOLActive(), b.Sessions())
		}
		if got := <-read; name == "by Ctrl-]" && got != "reboot\r" {
			t.Errorf("the server got %q", got)
		}
		if strings.Contains(out.String()+errOut.String(), bmcPassword) {
			t.Errorf("%s: the password is shown", name)
		}
	}
}

// TestConsoleWhenTheTerminalGoes: the console is given back when the terminal is closed, and when nobody reads any more.
func TestConsoleWhenTheTerminalGoes(t *testing.T) {
	b, m := solServer(t, "sol-5", nil)
	keyboard, tty := terminal(t)
	reader, out := io.Pipe()
	for name, c := range map[string]struct {
		in   io.Reader
		out  io.Writer
		goes func()
	}{
		"the terminal": {tty, io.Discard, func() { _ = keyboard.Close() }},
		"the reader":   {strings.NewReader(""), out, func() { _ = reader.Close(); _, _ = io.WriteString(m.Guest(), "x") }},
	} {
		env := &Env{Streams: genericiooptions.IOStreams{In: c.in, Out: c.out, ErrOut: io.Discard}, Now: func() time.Time { return noon }, ID: nextID}
		root := New("ingot", env)
		root.SetArgs([]string{"console", "--kubeconfig", testapi.Config(t).Kubeconfig, "sol-5"})
		done := make(chan int, 1)
		go func() { done <- Main(t.Context(), root, env) }()
		soon(t, "the serial line is open", func() bool { return m.Guest() != nil })
		c.goes()
		<-done
		if b.SOLActive() || b.Sessions() != 0 {
			t.Errorf("%s: the payload is active: %v, %d sessions are left", name, b.SOLActive(), b.Sessions())
		}
		soon(t, "the serial line is closed", func() bool { return m.Guest() == nil })
	}
}

// TestConsoleWhenTheTerminalWentMeanwhile: a terminal that goes while the console is being opened ends it all the same.
func TestConsoleWhenTheTerminalWentMeanwhile(t *testing.T) {
	keyboard, tty := terminal(t)
	env := &Env{Streams: genericiooptions.IOStreams{In: tty, Out: io.Discard, ErrOut: io.Discard}}
	was := env.terminal()
	if err := keyboard.Close(); err != nil || was == nil {
		t.Fatal(was, err)
	}
	console, server := net.Pipe()
	defer server.Close()
	done := make(chan error, 1)
	go func() { done <- env.attach(console, "sol-6", was) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the console is held for a terminal that is gone")
	}
}

// TestConsoleTellsWhatIsInTheWay, and the next step.
func TestConsoleTellsWhatIsInTheWay(t *testing.T) {
	b, m := solServer(t, "sol-2", nil)
	_, _, errOut, done := attached(t, t.Context(), "sol-2")
	soon(t, "the serial line is open", func() bool { return m.Guest() != nil })
	run(t, "console", "sol-2").want(t, CodeRefused, "somebody else has the console, from 127.0.0.1", "ingot console sol-2 --take-over")
	keys, _, second, left := attached(t, t.Context(), "sol-2", "--take-over")
	if code := <-done; code != CodeError || !strings.Contains(errOut.String(), "somebody took the console over") {
		t.Errorf("the first one ends with %d\n%s", code, errOut)
	}
	if _, err := io.WriteString(keys, "\x1d"); err != nil {
		t.Fatal(err)
	}
	if code := <-left; code != CodeOK || b.Sessions() != 0 {
		t.Errorf("the second one ends with %d, %d sessions are left\n%s", code, b.Sessions(), second)
	}
	solServer(t, "sol-3", func(c *rmcp.Config) { c.SOL.Off = true })
	run(t, "console", "sol-3").want(t, CodeRefused, "ingot console sol-3 --enable")
	run(t, "console", "sol-3", "--bit-rate", "300").want(t, CodeError, "9600")
}

// TestConsoleNeedsTheSecret: who may not read it gets no console, and the BMC hears nothing.
func TestConsoleNeedsTheSecret(t *testing.T) {
	b, _ := solServer(t, "sol-4", nil)
	run(t, "console", "sol-4", "--as", "somebody").want(t, CodeError, "forbidden")
	if tally := b.Tally(); tally.Presented != 0 || len(b.Commands()) != 0 {
		t.Errorf("the BMC was asked: %+v", tally)
	}
}
