package rmcp_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/sfyra-tests/fakebmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func TestConfigIsChecked(t *testing.T) {
	m := memory.New(machine.Identity{})
	for _, config := range []rmcp.Config{
		{Username: user, Password: password},
		{Machine: m, Password: password},
		{Machine: m, Username: user},
		{Machine: m, Username: user, Password: strings.Repeat("p", 21)},
		{Machine: m, Username: strings.Repeat("u", 17), Password: password},
		{Machine: m, Username: user, Password: password, Addr: "nowhere:x"},
	} {
		if b, err := rmcp.Start(context.Background(), config); err == nil {
			_ = b.Close()
			t.Errorf("%+v was taken", config.Addr)
		}
	}
}

// dial gives a socket to the BMC; ask sends a datagram and reads an answer, nil after a while without.
func dial(t *testing.T, b *rmcp.BMC) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func ask(t *testing.T, conn net.Conn, packet []byte) []byte {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 2048)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return buffer[:n]
}

// openSession is an Open Session Request for suite 17 with the console's session ID.
func openSession(id byte) []byte {
	payload := []byte{1, 0, 0, 0, id, 0, 0, 0, 0, 0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 8, 1, 0, 0, 0}
	return append([]byte{6, 0, 0xff, 7, 6, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, uint8(len(payload)), 0}, payload...)
}

// TestSessionLimit: four, half-open ones included; the same question again takes no second place; time gives them back.
func TestSessionLimit(t *testing.T) {
	t.Parallel()
	l := start(t, nil)
	conn := dial(t, l.bmc)
	for i := range fakebmc.DefaultSessionLimit {
		for range 2 {
			if reply := ask(t, conn, openSession(byte(i+1))); reply[17] != 0 {
				t.Fatalf("session %d was refused: %x", i, reply)
			}
		}
	}
	if n := l.bmc.Sessions(); n != 4 {
		t.Errorf("%d sessions, want 4", n)
	}
	if reply := ask(t, conn, openSession(9)); reply[17] != 1 {
		t.Errorf("a fifth session: %x", reply)
	}
	l.fails("", "power", "status")
	l.clock.Pass(10 * time.Second)
	l.says("is off", "power", "status")
	if tally := l.bmc.Tally(); tally.Most != 4 || tally.Refused < 2 || tally.Opened != 1 {
		t.Errorf("%+v", tally)
	}
}

// TestPing: RMCP's own presence ping is answered (13.2.3), as tools that look for BMCs send it.
func TestPing(t *testing.T) {
	l := start(t, nil)
	reply := ask(t, dial(t, l.bmc), []byte{6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 7, 0, 0})
	if len(reply) != 28 || reply[8] != 0x40 || reply[9] != 7 || reply[20]&0x80 == 0 {
		t.Errorf("%x", reply)
	}
}
