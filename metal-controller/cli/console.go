package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingot.dev/ingot/metal-controller/bmc/ipmi"
)

const (
	// detach is the byte that ends a session: Ctrl-], as in telnet and virsh.
	detach = 0x1d
	// makeBreak is the byte that sends a break where the console has such a thing: Ctrl-^, which is Ctrl-6 on most keyboards.
	makeBreak = 0x1e
)

func newConsole(env *Env) *cobra.Command {
	var o consoleOptions
	cmd := &cobra.Command{
		Use:   "console SERVER",
		Short: "Attach to a server's serial console; Ctrl-] detaches",
		Long: "Attach to a server's serial console; Ctrl-] detaches, Ctrl-^ sends a break over serial-over-LAN.\n\n" +
			"BMCs with IPMI show it by serial-over-LAN, encrypted, those with an OpenBMC over a WebSocket (/console0). Consoles of the virtual rack are\n" +
			"reached directly. The connection goes from this machine to the BMC, with the account in the server's Secret, which you need to be allowed to read.",
		Example: "  ingot console rack1-07\n  ingot console rack1-07 < /dev/null > boot.log\n" +
			"  ingot console rack1-07 --take-over          # somebody else has it\n" +
			"  ingot console rack1-07 --sol --bit-rate 115200  # a BMC with Redfish that has IPMI as well; until you leave",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: env.completeServer,
		RunE:              func(cmd *cobra.Command, args []string) error { return env.console(cmd.Context(), trimKind(args[0]), o) },
	}
	cmd.Flags().BoolVar(&o.sol, "sol", false, "by IPMI's serial-over-LAN, whatever else the BMC speaks")
	cmd.Flags().BoolVar(&o.TakeOver, "take-over", false, "end somebody else's use of the console (serial-over-LAN)")
	cmd.Flags().BoolVar(&o.Enable, "enable", false, "switch serial-over-LAN on at the BMC, for good, where it is off")
	cmd.Flags().IntVar(&o.BitRate, "bit-rate", 0, "of the server's serial port, in bit/s, until you leave; 0 leaves the BMC's (serial-over-LAN)")
	return cmd
}

// consoleOptions are what a person wants of a console.
type consoleOptions struct {
	sol bool
	ipmi.ConsoleOptions
}

func (e *Env) console(ctx context.Context, name string, o consoleOptions) error {
	// The console is given back also when the terminal goes, or the end of a pipe.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	c, err := e.Client()
	if err != nil {
		return err
	}
	s, err := e.server(ctx, c, name)
	if err != nil {
		return err
	}
	tell, end := e.aside()
	defer end()
	o.Tell = tell
	terminal := e.terminal() // asked before the connection is made: one that goes meanwhile no longer says that it was one
	conn, err := dialConsole(ctx, c, s, o)
	if err != nil {
		return consoleRefused(name, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	return e.attach(conn, name, terminal)
}

// consoleRefused says what to do about a console that could not be had.
func consoleRefused(name string, err error) error {
	err = fmt.Errorf("opening the console of %s: %w", name, err)
	switch {
	case errors.Is(err, ipmi.ErrConsoleTaken):
		return &ExitError{Code: CodeRefused, Err: fmt.Errorf("%w; to end theirs: ingot console %s --take-over", err, name)}
	case errors.Is(err, ipmi.ErrConsoleOff):
		return &ExitError{Code: CodeRefused, Err: fmt.Errorf("%w; to switch it on: ingot console %s --enable", err, name)}
	}
	return err
}

// aside tells a person things between the lines of a console, without ever waiting for the terminal. end stops that.
func (e *Env) aside() (tell func(string), end func()) {
	sentences, done := make(chan string, 16), make(chan struct{})
	go func() {
		defer close(done)
		for s := range sentences {
			fmt.Fprintf(e.Streams.ErrOut, "\r\n[%s]\r\n", s)
		}
	}()
	tell = func(s string) {
		select {
		case sentences <- s:
		default:
		}
	}
	return tell, func() {
		close(sentences)
		<-done
	}
}

// attach copies both ways until the console ends or the person detaches. terminal is what is typed at, nil for a file or a pipe.
func (e *Env) attach(conn io.ReadWriteCloser, name string, terminal *os.File) error {
	restore, err := e.raw(conn, name, terminal)
	if err != nil {
		return err
	}
	defer restore()
	go func() { // ends with the process or with the console
		if copyUntilDetach(conn, e.Streams.In) || terminal != nil { // a terminal ends only when it goes
			conn.Close()
		}
	}()
	_, err = io.Copy(e.Streams.Out, conn)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("reading the console: %w", err)
	}
	return nil
}

// breaker is a console whose serial line can be told to break.
type breaker interface{ Break() }

// terminal is the input where a person types at one, else nil.
func (e *Env) terminal() *os.File {
	if f, ok := e.Streams.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// raw hands every key to the console when a person types, at a terminal; restore puts that back.
func (e *Env) raw(conn io.Writer, name string, terminal *os.File) (restore func(), err error) {
	if terminal == nil {
		return func() {}, nil
	}
	keys := "Ctrl-] detaches"
	if _, ok := conn.(breaker); ok {
		keys += ", Ctrl-^ sends a break"
	}
	fmt.Fprintf(e.Streams.ErrOut, "Attached to the console of %s; %s.\n", name, keys)
	state, err := term.MakeRaw(int(terminal.Fd()))
	if err != nil {
		return nil, fmt.Errorf("setting up the terminal: %w", err)
	}
	return func() { _ = term.Restore(int(terminal.Fd()), state) }, nil
}

// copyUntilDetach copies keys; it is true when the person detached and false when the input ended.
func copyUntilDetach(to io.Writer, from io.Reader) bool {
	buf := make([]byte, 256)
	for {
		n, err := from.Read(buf)
		if i := bytes.IndexByte(buf[:n], detach); i >= 0 {
			_ = typeKeys(to, buf[:i])
			return true
		}
		if werr := typeKeys(to, buf[:n]); err != nil || werr != nil {
			return false
		}
	}
}

// typeKeys passes keys on, and breaks where the console has such a thing.
func typeKeys(to io.Writer, keys []byte) error {
	line, ok := to.(breaker)
	for i := bytes.IndexByte(keys, makeBreak); ok && i >= 0; i = bytes.IndexByte(keys, makeBreak) {
		if _, err := to.Write(keys[:i]); err != nil {
			return err
		}
		line.Break()
		keys = keys[i+1:]
	}
	_, err := to.Write(keys)
	return err
}
