package fakebmc_test

import (
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"testing"

	"golang.org/x/net/websocket"
)

// dialConsole opens the console with the given credentials.
func (c *client) dialConsole(auth func(*http.Request)) (*websocket.Conn, error) {
	config, err := websocket.NewConfig("wss://"+c.bmc.Addr()+"/console0", "https://"+c.bmc.Addr())
	if err != nil {
		c.t.Fatal(err)
	}
	config.TlsConfig = &tls.Config{InsecureSkipVerify: true} // it signs its own certificate
	r := &http.Request{Header: config.Header}
	auth(r)
	return config.DialContext(c.t.Context())
}

func TestConsole(t *testing.T) {
	c := start(t, nil)
	if ws, err := c.dialConsole(c.auth); err == nil {
		_ = ws.Close()
		t.Error("the console of a machine that is off opened")
	}
	c.want(204, "POST", reset, `{"ResetType":"On"}`)
	if ws, err := c.dialConsole(basic(user, "wrong")); err == nil {
		_ = ws.Close()
		t.Error("the console opened with a wrong password")
	}
	ws, err := c.dialConsole(c.auth)
	if err != nil {
		t.Fatal(err)
	}
	ws.PayloadType = websocket.BinaryFrame
	guest := c.machine.Guest()
	echo(t, guest, ws, "login: \x00\xff\x1b[2J")
	echo(t, ws, guest, "root\r")
	c.want(409, "GET", "/console0", "") // in use
	if err := ws.Close(); err != nil {
		t.Error(err)
	}
	if _, err := guest.Read(make([]byte, 1)); err == nil {
		t.Error("the serial line stayed open")
	}
	_, header, _ := c.do("POST", sessions, login(password))
	again, err := c.dialConsole(token(header.Get("X-Auth-Token")))
	if err != nil {
		t.Fatalf("with a session: %v", err)
	}
	_ = c.bmc.Close()
	if _, err := again.Read(make([]byte, 1)); err == nil {
		t.Error("the console outlived its BMC")
	}
	_ = again.Close()
}

// echo writes on one side and reads the same on the other.
func echo(t *testing.T, from io.Writer, to io.Reader, text string) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := from.Write([]byte(text))
		sent <- err
	}()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Errorf("read %s (%v), want %s", base64.StdEncoding.EncodeToString(got), err, text)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
