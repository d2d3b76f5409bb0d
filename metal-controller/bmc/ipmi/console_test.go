package ipmi_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
	"ingot.dev/ingot/metal-controller/bmc/ipmi/sol"
	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
)

// told collects what a console tells.
type told struct {
	mu   sync.Mutex
	said []string
}

func (w *told) tell(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, s)
}

func (w *told) has(words string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(strings.Join(w.said, "\n"), words)
}

// console opens the console of a host that is on; it is closed at the end of the test.
func (l *lab) console(t *testing.T, options ipmi.ConsoleOptions) *ipmi.Console {
	t.Helper()
	if on, _ := l.machine.PowerState(t.Context()); !on {
		if err := l.machine.PowerOn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c, err := ipmi.OpenConsoleFast(t.Context(), l.target, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// guest is the serial port of the host, once the BMC has it open.
func (l *lab) guest(t *testing.T) io.ReadWriteCloser {
	t.Helper()
	var guest io.ReadWriteCloser
	eventually(t, "the BMC opens the serial line", func() bool { guest = l.machine.Guest(); return guest != nil })
	return guest
}

// text is n bytes that differ from place to place, none of them a break.
func text(n int) []byte {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(' ' + random.IntN(95))
	}
	return out
}

// carry sends bytes from one end and wants them at the other, all and once.
func carry(t *testing.T, what string, to io.Reader, from io.Writer, data []byte) {
	t.Helper()
	sent := make(chan error, 1)
	go func() { _, err := from.Write(data); sent <- err }()
	got := make([]byte, len(data))
	n, err := io.ReadFull(to, got)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%s: %d of %d bytes arrived, or others, %v", what, n, len(data), err)
	}
	if err := <-sent; err != nil {
		t.Fatalf("%s: sending: %v", what, err)
	}
}

// through puts a relay before the BMC, and before the port that it names for its console.
func (l *lab) through(t *testing.T) *relay {
	t.Helper()
	r := between(t, l)
	l.bmc.NameSOLPort(l.target.Port)
	return r
}

// given wants nothing left at the BMC.
func (l *lab) given(t *testing.T) {
	t.Helper()
	if l.bmc.SOLActive() || l.bmc.Sessions() != 0 {
		t.Errorf("the payload is active: %v; %d sessions are left", l.bmc.SOLActive(), l.bmc.Sessions())
	}
}

// TestConsole: output and keys arrive with each suite, beside a driver that keeps its own session; closing gives both back.
func TestConsole(t *testing.T) {
	t.Parallel()
	for _, suite := range []uint8{17, 3} {
		l := newLab(t, func(c *rmcp.Config) { c.Suites = []uint8{suite} })
		d := l.open(t)
		c := l.console(t, ipmi.ConsoleOptions{})
		guest := l.guest(t)
		carry(t, "output", c, guest, text(5000))
		carry(t, "keys", guest, c, text(700))
		wantPower(t, d, bmc.On)
		if tally := l.bmc.Tally(); tally.Most != 2 {
			t.Errorf("%d sessions at once, want the driver's and the console's", tally.Most)
		}
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Error(err)
		}
		if n := l.bmc.Sessions(); n != 1 || l.bmc.SOLActive() {
			t.Errorf("%d sessions are left, the payload is active: %v", n, l.bmc.SOLActive())
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("reading afterwards: %d, %v", n, err)
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("typing afterwards: no error")
		}
	}
}

// TestConsoleBreak comes after what was typed before it.
func TestConsoleBreak(t *testing.T) {
	l := newLab(t, nil)
	c := l.console(t, ipmi.ConsoleOptions{})
	guest := l.guest(t)
	if _, err := c.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	c.Break()
	if _, err := c.Write([]byte("after")); err != nil {
		t.Fatal(err)
	}
	want := append([]byte("before"), append([]byte{rmcp.Break}, "after"...)...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(guest, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

// weather is a network that drops, repeats and delays packets of serial-over-LAN. Each way is used by one goroutine.
type weather struct {
	random *rand.Rand
	held   []byte
	// counts of what it did.
	dropped, repeated, delayed int
}

func (w *weather) blow(p []byte) [][]byte {
	out := [][]byte{p}
	switch w.random.IntN(6) {
	case 0:
		w.dropped++
		out = nil
	case 1:
		w.repeated++
		out = [][]byte{p, p}
	case 2:
		if w.held == nil {
			w.delayed++
			w.held = p
			return nil
		}
	}
	if w.held != nil && len(out) > 0 {
		out = append(out, w.held)
		w.held = nil
	}
	return out
}

func isConsole(p []byte) bool { return len(p) > 16 && p[4] == 6 && p[5] == 0xc1 }

// TestConsoleInBadWeather: what is dropped, repeated and overtaken on the way arrives once and in order.
func TestConsoleInBadWeather(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	r := l.through(t)
	up, down := &weather{random: rand.New(rand.NewPCG(1, 2))}, &weather{random: rand.New(rand.NewPCG(3, 4))}
	r.tamper(on(isConsole, up.blow), on(isConsole, down.blow))
	c := l.console(t, ipmi.ConsoleOptions{})
	guest := l.guest(t)
	carry(t, "output", c, guest, text(6000))
	carry(t, "keys", guest, c, text(2000))
	r.tamper(nil, nil)
	for way, w := range map[string]*weather{"up": up, "down": down} {
		if w.dropped == 0 || w.repeated == 0 || w.delayed == 0 {
			t.Errorf("control: %s: %d dropped, %d repeated, %d delayed", way, w.dropped, w.repeated, w.delayed)
		}
	}
	_ = c.Close()
	l.given(t)
}

// TestConsoleRefusals: what a BMC refuses is typed again, after a pause where it took nothing.
func TestConsoleRefusals(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	c := l.console(t, ipmi.ConsoleOptions{})
	guest := l.guest(t)
	l.faults.Set(fakebmc.Fault{TakeKeys: 7})
	carry(t, "keys by sevens", guest, c, text(300))
	l.faults.Set(fakebmc.Fault{RefuseKeys: true})
	keys := text(100)
	if _, err := c.Write(keys); err != nil {
		t.Fatal(err)
	}
	carry(t, "output meanwhile", c, guest, text(300))
	l.faults.Set(fakebmc.Fault{})
	got := make([]byte, len(keys))
	if _, err := io.ReadFull(guest, got); err != nil || !bytes.Equal(got, keys) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestConsoleOfAHostThatIsOff: it is told, keys are lost as on a cable, and once the host is on all is well.
func TestConsoleOfAHostThatIsOff(t *testing.T) {
	l := newLab(t, nil)
	var w told
	c := l.console(t, ipmi.ConsoleOptions{Tell: w.tell})
	carry(t, "output", c, l.guest(t), text(10))
	if w.has("off") {
		t.Error("control: it is off from the beginning")
	}
	if err := l.machine.ForceOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told that the server is off", func() bool { return w.has("is off") })
	if _, err := c.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	if err := l.machine.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told that the server is on", func() bool { return w.has("is on") })
	guest := l.guest(t)
	carry(t, "output of the next start", c, guest, text(300))
	carry(t, "keys", guest, c, []byte("found"))
}

// TestConsoleTaken: it is said who has it; whoever takes it over gets it, and the other one is told why theirs ended and takes nothing away at its end.
func TestConsoleTaken(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	first := l.console(t, ipmi.ConsoleOptions{})
	l.guest(t)
	_, err := ipmi.OpenConsoleFast(t.Context(), l.target, ipmi.ConsoleOptions{})
	if !errors.Is(err, ipmi.ErrConsoleTaken) || !strings.Contains(err.Error(), "from 127.0.0.1") {
		t.Errorf("error %v", err)
	}
	if n := l.bmc.Sessions(); n != 1 {
		t.Errorf("%d sessions, want the first one's", n)
	}
	second := l.console(t, ipmi.ConsoleOptions{TakeOver: true})
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, sol.ErrDeactivated) || !strings.Contains(err.Error(), "took the console over") {
		t.Errorf("the first one's end: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	guest := l.guest(t)
	carry(t, "output", second, guest, text(300))
	carry(t, "keys", guest, second, text(30))
	_ = second.Close()
	l.given(t)
}

// TestConsoleEndsAtTheServer: its power button ends the payload; what was said before is read first.
func TestConsoleEndsAtTheServer(t *testing.T) {
	l := newLab(t, nil)
	c := l.console(t, ipmi.ConsoleOptions{})
	carry(t, "output", c, l.guest(t), []byte("last words"))
	if !l.bmc.EndSOL() {
		t.Fatal("control: nothing to end")
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, sol.ErrDeactivated) {
		t.Errorf("error %v", err)
	}
	_ = c.Close()
	l.given(t)
}

// TestConsoleRights: who may have it, and take it, is up to the BMC; the account is used as an operator's wherever that is enough.
func TestConsoleRights(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		account, level uint8
		options        ipmi.ConsoleOptions
		class          error
		words          string
	}{
		"an operator's":                  {account: rmcp.Operator, level: rmcp.Operator},
		"an administrator's":             {account: rmcp.Administrator, level: rmcp.Administrator},
		"refused to an operator":         {rmcp.Operator, rmcp.Administrator, ipmi.ConsoleOptions{}, bmc.ErrUnauthorized, "lower the privilege"},
		"setting needs an administrator": {rmcp.Operator, rmcp.Operator, ipmi.ConsoleOptions{BitRate: 9600}, bmc.ErrUnauthorized, "administrator"},
		"setting, by an administrator":   {account: rmcp.Administrator, level: rmcp.Operator, options: ipmi.ConsoleOptions{BitRate: 115200}},
		"a rate that IPMI does not know": {rmcp.Administrator, rmcp.Operator, ipmi.ConsoleOptions{BitRate: 4800}, bmc.ErrUnsupported, "9600"},
	} {
		l := newLab(t, func(config *rmcp.Config) { config.Privilege, config.SOL.Level = c.account, c.level })
		console, err := ipmi.OpenConsoleFast(t.Context(), l.target, c.options)
		switch {
		case c.class != nil:
			var failure *bmc.Error
			if !errors.Is(err, c.class) || !errors.As(err, &failure) || failure.Doing == "" || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%s: error %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			if c.options.BitRate != 0 && l.bmc.BitRate() != 10 {
				t.Errorf("%s: the rate's code is %d", name, l.bmc.BitRate())
			}
			_ = console.Close()
		}
		l.given(t)
	}
}

// TestConsoleSwitchedOff: it is said, and switched on for who asks for that.
func TestConsoleSwitchedOff(t *testing.T) {
	l := newLab(t, func(c *rmcp.Config) { c.SOL.Off = true })
	if _, err := ipmi.OpenConsoleFast(t.Context(), l.target, ipmi.ConsoleOptions{}); !errors.Is(err, ipmi.ErrConsoleOff) {
		t.Errorf("error %v", err)
	}
	l.given(t)
	c := l.console(t, ipmi.ConsoleOptions{Enable: true})
	carry(t, "output", c, l.guest(t), text(10))
}

// TestConsoleAtAnotherPort: a BMC that names another port gets a session there, and keeps none here.
func TestConsoleAtAnotherPort(t *testing.T) {
	l := newLab(t, nil)
	r := between(t, l) // it names the port behind this one
	c := l.console(t, ipmi.ConsoleOptions{})
	var seen int
	r.tamper(nil, on(isConsole, func(p []byte) [][]byte { seen++; return [][]byte{p} }))
	carry(t, "output", c, l.guest(t), text(300))
	if seen != 0 {
		t.Errorf("%d packets came by the first port", seen)
	}
	if n := l.bmc.Sessions(); n != 1 {
		t.Errorf("%d sessions", n)
	}
	_ = c.Close()
	l.given(t)
}

// TestConsoleLosesTheAnswer: the BMC's word that the payload is active is lost, and to the repeated order it says that somebody has it: ourselves.
func TestConsoleLosesTheAnswer(t *testing.T) {
	l := newLab(t, nil)
	r := l.through(t)
	var lost bool
	r.tamper(nil, on(isSession, func(p []byte) [][]byte {
		if !lost && l.bmc.SOLActive() {
			lost = true
			return nil
		}
		return [][]byte{p}
	}))
	c := l.console(t, ipmi.ConsoleOptions{})
	if !lost {
		t.Error("control: nothing was lost")
	}
	carry(t, "output", c, l.guest(t), text(10))
}

// TestConsoleIsProtected: neither output nor keys nor the password are on the wire to read, and what is forged, repeated or not encrypted is nothing.
func TestConsoleIsProtected(t *testing.T) {
	l := newLab(t, nil)
	r := l.through(t)
	var wire bytes.Buffer
	var changed int
	spy := func(p []byte) [][]byte { wire.Write(p); return [][]byte{p} }
	r.tamper(spy, func(p []byte) [][]byte {
		wire.Write(p)
		if !isConsole(p) {
			return [][]byte{p}
		}
		changed++
		forged, plain := bytes.Clone(p), bytes.Clone(p)
		forged[len(forged)-1] ^= 1
		plain[5] = 0x01
		return [][]byte{forged, plain, p, p}
	})
	c := l.console(t, ipmi.ConsoleOptions{})
	guest := l.guest(t)
	out, keys := []byte("ROOT-PASSWORD-PROMPT"), []byte("TYPED-BY-A-PERSON")
	carry(t, "output", c, guest, out)
	carry(t, "keys", guest, c, keys)
	_ = c.Close()
	r.tamper(nil, nil)
	for _, secret := range [][]byte{out, keys, []byte(password)} {
		if bytes.Contains(wire.Bytes(), secret) {
			t.Errorf("%q was on the wire", secret)
		}
	}
	if !bytes.Contains(wire.Bytes(), []byte(user)) || changed == 0 {
		t.Errorf("control: the spy sees nothing, or changed nothing: %d", changed)
	}
}

// TestConsoleLost: a BMC that is gone, or restarted and forgot us, is noticed with and without a word typed, and closing takes no time for ever.
func TestConsoleLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lose  func(l *lab)
		typed bool
		words string
	}{
		"dead, and typed into":      {func(l *lab) { l.faults.Set(fakebmc.Fault{Dead: true}) }, true, "acknowledges nothing"},
		"dead, and nobody types":    {func(l *lab) { l.faults.Set(fakebmc.Fault{Dead: true}) }, false, "no sign of life"},
		"restarted, and typed into": {func(l *lab) { l.bmc.DropSessions() }, true, "acknowledges nothing"},
		"restarted":                 {func(l *lab) { l.bmc.DropSessions() }, false, "no sign of life"},
		"gone":                      {func(l *lab) { _ = l.bmc.Close() }, false, "no sign of life"},
	} {
		l := newLab(t, nil)
		interval := time.Hour
		if !c.typed {
			interval = 20 * time.Millisecond
		}
		console, err := ipmi.OpenConsoleAlive(t.Context(), l.target, ipmi.ConsoleOptions{}, interval)
		if err != nil {
			t.Fatal(err)
		}
		seen := len(l.bmc.Commands())
		if !c.typed {
			eventually(t, "control: a sign of life", func() bool { return len(l.bmc.Commands()) > seen+2 })
		}
		c.lose(l)
		if c.typed {
			if _, err := console.Write([]byte("x")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err = console.Read(make([]byte, 1))
		if !errors.Is(err, bmc.ErrUnreachable) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v", name, err)
		}
		if err := console.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConsoleWaitsForItsReader: what nobody reads is bounded, the server waits with the rest, and nothing of it is lost.
func TestConsoleWaitsForItsReader(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	c := l.console(t, ipmi.ConsoleOptions{})
	guest := l.guest(t)
	data := text(90 << 10)
	sent := make(chan error, 1)
	go func() { _, err := guest.Write(data); sent <- err }()
	eventually(t, "the BMC is made to wait", l.bmc.SOLSuspended)
	got := make([]byte, len(data))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes, or others, %v", n, len(data), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestConsoleClosesWithWhatWasTyped: the last keys before leaving are typed, also when the BMC is slow to take them.
func TestConsoleClosesWithWhatWasTyped(t *testing.T) {
	l := newLab(t, nil)
	for i := range 20 {
		c := l.console(t, ipmi.ConsoleOptions{})
		guest := l.guest(t)
		want := fmt.Sprintf("reboot %02d\r", i)
		got := make([]byte, len(want))
		read := make(chan error, 1)
		go func() { _, err := io.ReadFull(guest, got); read <- err }()
		if _, err := c.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if err := <-read; err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
		l.given(t)
	}
}
