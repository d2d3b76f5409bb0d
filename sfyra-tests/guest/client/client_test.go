package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func serve(t *testing.T, handler http.HandlerFunc) (address, pin string) {
	t.Helper()
	s := httptest.NewTLSServer(handler)
	t.Cleanup(s.Close)
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo) // httptest's certificate is its own authority
	return s.URL + "/v1/config/s/b/TOKEN", hex.EncodeToString(sum[:])
}

func open(t *testing.T, address, pin string) *Client {
	t.Helper()
	c, err := New(address, pin)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGetAndPost(t *testing.T) {
	var posted string
	address, pin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			posted = string(body)
			return
		}
		fmt.Fprint(w, "0123456789")
	})
	c := open(t, address, pin)
	if got, err := c.Get(t.Context(), 10); err != nil || string(got) != "0123456789" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := c.Get(t.Context(), 9); err == nil {
		t.Error("more bytes than the limit were taken")
	}
	if n, err := c.BreakOff(t.Context(), 4); n != 4 || err != nil {
		t.Errorf("broke off after %d bytes, %v", n, err)
	}
	if err := c.Post(t.Context(), []byte(`{"phase":"running"}`)); err != nil || posted != `{"phase":"running"}` {
		t.Errorf("posted %q, %v", posted, err)
	}
}

// TestPin: only the pinned authority is spoken to. The control is above.
func TestPin(t *testing.T) {
	asked := false
	address, pin := serve(t, func(http.ResponseWriter, *http.Request) { asked = true })
	other := strings.Repeat("ab", sha256.Size)
	if _, err := open(t, address, other).Get(t.Context(), 10); err == nil || asked {
		t.Errorf("another authority: %v, asked: %v", err, asked)
	}
	elsewhere := strings.Replace(address, "127.0.0.1", "localhost", 1)
	if _, err := open(t, elsewhere, pin).Get(t.Context(), 10); err == nil || asked {
		t.Errorf("a name that the certificate lacks: %v, asked: %v", err, asked)
	}
	for _, bad := range [][2]string{{address, ""}, {address, "00"}, {"ftp://h/", pin}, {"https://", pin}, {"https://h:%zz/", pin}} {
		if _, err := New(bad[0], bad[1]); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestPlain(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }))
	defer s.Close()
	if got, err := open(t, s.URL, "").Get(t.Context(), 10); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestRefusals: a refusal names its status, and no error names the capability.
func TestRefusals(t *testing.T) {
	address, pin := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			http.Error(w, "no", http.StatusForbidden)
		default:
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "only this")
		}
	})
	c := open(t, address, pin)
	if err := c.Post(t.Context(), nil); !errors.Is(err, ErrStatus) || !strings.Contains(err.Error(), "status=403 no") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Get(t.Context(), 1000); err == nil {
		t.Error("an answer that ended early was taken")
	}
	_, err := open(t, "http://127.0.0.1:1/v1/config/s/b/TOKEN", "").Get(t.Context(), 10)
	if err == nil || strings.Contains(err.Error(), "TOKEN") {
		t.Errorf("got %v", err)
	}
}
