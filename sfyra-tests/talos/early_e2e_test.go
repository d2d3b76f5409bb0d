//go:build e2e_talos

package talos

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/authority"
	"ingot.dev/ingot/metal-controller/capability"
)

// refusals is how often Talos must end the handshake before it counts as its last word. It begins to fetch while it still writes its trusted roots, so that now and
// then even a right authority is refused once; half a second later it tries again.
const refusals = 5

// TestEarlyTrust: a Talos whose kernel line carries an authority fetches its config over HTTPS from a server of that authority; one that carries another authority
// ends each handshake, for the reason that it tells on its console, and asks for nothing.
func TestEarlyTrust(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	t.Run("ours", func(t *testing.T) {
		l, asked := securely(t, ours, ours)
		within(t, "the config is fetched over HTTPS", func() bool { return len(asked) > 0 })
		if n := l.refused(); n >= refusals {
			t.Errorf("it refused who gave it its config %d times: the negative case proves nothing", n)
		}
	})
	t.Run("another", func(t *testing.T) {
		l, asked := securely(t, other, ours)
		within(t, "it says again and again that it does not trust the server", func() bool { return l.refused() >= refusals })
		if len(asked) > 0 {
			t.Error("it does not trust the server, and asked it for its config")
		}
	})
}

// refused is how often the console told that the server's authority is unknown.
func (l *lab) refused() int {
	return strings.Count(l.console(), "x509: certificate signed by unknown authority")
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

// securely boots a Talos that trusts one authority, and serves its config with a certificate of another. Each request is a word in asked.
func securely(t *testing.T, trusts, serves *authority.Authority) (l *lab, asked <-chan string) {
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
	server := &http.Server{
		ReadHeaderTimeout: time.Minute, TLSConfig: secure,
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
	return l, requests
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
