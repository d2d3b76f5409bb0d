//go:build e2e_talos

package talos

import (
	"context"
	"crypto/rand"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/capability"
)

// refusals is how often Talos must end a handshake before that counts as its last word. It begins to fetch while it still writes its trusted roots, so that now and
// then even a right authority is refused once; half a second later it tries again.
const refusals = 5

// TestEarlyTrust: a Talos whose kernel line carries an authority fetches its config over HTTPS from a server of that authority; one that carries another authority
// ends each handshake, for the reason that it tells on its console, and asks for nothing.
func TestEarlyTrust(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	t.Run("ours", func(t *testing.T) {
		_, asked, refused := securely(t, ours, ours)
		within(t, "the config is fetched over HTTPS", func() bool { return len(asked) > 0 })
		if n := refused.Load(); n >= refusals {
			t.Errorf("it refused who gave it its config %d times: the negative case proves nothing", n)
		}
	})
	t.Run("another", func(t *testing.T) {
		l, asked, refused := securely(t, other, ours)
		within(t, "it ends handshakes again and again", func() bool { return refused.Load() >= refusals })
		if len(asked) > 0 {
			t.Error("it does not trust the server, and asked it for its config")
		}
		within(t, "it says why", func() bool { return strings.Contains(l.console(), "x509: certificate signed by unknown authority") })
	})
}

// counted counts the handshakes that a client ended: what net/http writes into its log of them, a line each. Talos' console tells of the same error only once in a while.
type counted struct{ atomic.Int32 }

func (c *counted) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "TLS handshake error") && strings.Contains(string(line), "bad certificate") {
		c.Add(1)
	}
	return len(line), nil
}

func newAuthority(t *testing.T) *authority.Authority {
	t.Helper()
	cert, key, err := authority.New("Ingot agents 0123456789abcdef0123456789abcdef", time.Now().Add(-time.Hour), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := authority.Parse(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// securely boots a Talos that trusts one authority, and serves its config with a certificate of another. Each request is a word in asked; refused counts handshakes
// that Talos ended.
func securely(t *testing.T, trusts, serves *authority.Authority) (l *lab, asked <-chan string, refused *counted) {
	t.Helper()
	trust, err := capability.EarlyTrust(trusts.DER())
	if err != nil {
		t.Fatal(err)
	}
	l = newLab(t, 2048, trust+" talos.config=https://"+configAddress+"/config", SeedDisk)
	listener, err := net.Listen("tcp", configAddress)
	if err != nil {
		t.Fatal(err)
	}
	secure := serves.Listener("ingot", []string{self.Addr().String()}, time.Now, rand.Reader).TLS()
	secure.NextProtos = []string{"http/1.1"}
	requests := make(chan string, 16)
	refused = &counted{}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute, TLSConfig: secure, ErrorLog: log.New(refused, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case requests <- r.URL.Path:
			default:
			}
			http.Error(w, "not now", http.StatusServiceUnavailable) // that it asks is enough
		}),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(listener, "", "")
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	l.powerOn()
	return l, requests, refused
}

// within waits for something on a guest.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}
