package signals_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// entry is a line as Talos v1.13 sends it.
func entry(seq int, message string) string {
	line, err := json.Marshal(map[string]any{
		"msg": message, "clock": seq * 1_000_000, "seq": seq, "facility": "kern", "priority": "info", "talos-level": "info", "talos-time": "2026-05-01T12:00:00Z",
	})
	if err != nil {
		panic(err)
	}
	return string(line) + "\n"
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// closed waits until the other side ends a connection.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still open: %v", err)
	}
}

// TestKernelLog: lines are heard in order; what is none is counted, and one that is too long is left out as a whole.
func TestKernelLog(t *testing.T) {
	w := newWorld()
	w.knows("127.0.0.2", "rack1-01", "")
	c := dial(t, "127.0.0.2", w.serveKernel(t))
	send(t, c, entry(1, "Linux version\n")+"not JSON\n"+`{"msg":"no clock"}`+"\n"+entry(2, strings.Repeat("x ", 30<<10))+entry(2, strings.Repeat("y ", 2<<10))+entry(3, "\x1b[31mred\u202e"))
	send(t, c, entry(4, "end")[:20])
	send(t, c, entry(4, "end")[20:])
	w.until(t, "the last line", func(heard []string) bool { return last(heard) == "kernel rack1-01 [    4.000000] end" })
	if got := strings.Join(w.all(), "|"); got != "kernel rack1-01 [    1.000000] Linux version|kernel rack1-01 [    3.000000] _[31mred_|kernel rack1-01 [    4.000000] end" {
		t.Error(got)
	}
	if n := w.Counts(); n.Lines != 3 || n.Unreadable != 4 {
		t.Errorf("%+v", n)
	}
}

// TestKernelWaits: a machine that is not known yet is heard from its first line on, once it is.
func TestKernelWaits(t *testing.T) {
	w := newWorld()
	c := dial(t, "127.0.0.2", w.serveKernel(t))
	send(t, c, entry(1, "first"))
	w.until(t, "a second look", func([]string) bool { return w.looked() == 2 })
	if len(w.all()) != 0 {
		t.Errorf("a stranger is heard: %v", w.all())
	}
	w.knows("127.0.0.2", "rack1-01", "")
	w.until(t, "the first line", func(heard []string) bool { return last(heard) == "kernel rack1-01 [    1.000000] first" })
}

// TestKernelLimits: more connections of one server, or of strangers at one address, are closed at once.
func TestKernelLimits(t *testing.T) {
	w := newWorld()
	w.knows("127.0.0.2", "rack1-01", "")
	port := w.serveKernel(t)
	var open []net.Conn
	for i := range 4 {
		c := dial(t, "127.0.0.2", port)
		send(t, c, entry(i, "x"))
		open = append(open, c)
	}
	w.until(t, "four lines", func(heard []string) bool { return len(heard) == 4 })
	closed(t, dial(t, "127.0.0.2", port))
	ends := make(chan error, 5)
	for range 5 { // whichever comes last
		c := dial(t, "127.0.0.3", port)
		_ = c.SetReadDeadline(time.Now().Add(patience))
		go func() {
			_, err := c.Read(make([]byte, 1))
			ends <- err
		}()
	}
	if err := <-ends; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("five connections of a stranger are open")
	}
	if n := w.Counts(); n.Refused != 1 || n.Unknown != 1 {
		t.Errorf("%+v", n)
	}
	send(t, open[0], entry(9, "still heard"))
	w.until(t, "a line of an open connection", func(heard []string) bool { return strings.HasSuffix(last(heard), "still heard") })
}

// TestKernelChangesHands: a connection ends when its address is another server's; the lines after that are nobody's.
func TestKernelChangesHands(t *testing.T) {
	w := newWorld()
	w.knows("127.0.0.2", "a", "")
	c := dial(t, "127.0.0.2", w.serveKernel(t))
	send(t, c, entry(1, "one"))
	w.until(t, "a line", func(heard []string) bool { return len(heard) == 1 })
	w.knows("127.0.0.2", "b", "")
	w.pass(time.Minute)
	send(t, c, entry(2, "two"))
	closed(t, c)
	if len(w.all()) != 1 {
		t.Errorf("%v", w.all())
	}
}

// TestKernelPace: a flood is read slowly, and nothing of it is lost.
func TestKernelPace(t *testing.T) {
	w := newWorld()
	w.knows("127.0.0.2", "a", "")
	c := dial(t, "127.0.0.2", w.serveKernel(t))
	begin := time.Now()
	const over = 50 // beyond the burst
	for i := range 2000 + over {
		send(t, c, entry(i, "x"))
	}
	w.until(t, "all lines", func(heard []string) bool { return len(heard) == 2000+over })
	if took := time.Since(begin); took < over*time.Second/50-200*time.Millisecond {
		t.Errorf("%d lines more than the burst took %v", over, took)
	}
}

// faulty is a listener that has no room for the first connection.
type faulty struct {
	net.Listener
	failed bool
}

func (f *faulty) Accept() (net.Conn, error) {
	if !f.failed {
		f.failed = true
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

// TestKernelGoesOn: a connection that cannot be taken ends nothing; a port that somebody closed does.
func TestKernelGoesOn(t *testing.T) {
	w := newWorld()
	w.knows("127.0.0.2", "a", "")
	l, k := listen(t), w.KernelLog()
	defer k.Close()
	ended := make(chan error, 1)
	go func() { ended <- k.Serve(&faulty{Listener: l}) }()
	send(t, dial(t, "127.0.0.2", l.Addr().String()), entry(1, "x"))
	w.until(t, "a line", func(heard []string) bool { return len(heard) == 1 })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
