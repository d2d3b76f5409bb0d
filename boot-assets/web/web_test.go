package web

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"
)

// TestDialedAddresses: a name that leads to an address of the link is refused when it is dialled, whatever the URL says.
func TestDialedAddresses(t *testing.T) {
	tr := NewTransport(time.Second)
	for _, a := range []string{"169.254.169.254:80", "[fe80::1]:80", "0.0.0.0:80", "224.0.0.1:80"} {
		if _, err := tr.DialContext(t.Context(), "tcp", a); !errors.Is(err, ErrSource) {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range []string{"192.0.2.1", "10.0.0.1", "127.0.0.1", "2001:db8::1", "fd00::1"} {
		if err := checkAddr(netip.MustParseAddr(a)); err != nil {
			t.Errorf("control: %s: %v", a, err)
		}
	}
}

// TestRedirectToThisMachine: only a source on this machine may name this machine.
func TestRedirectToThisMachine(t *testing.T) {
	request := func(u string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, u, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, to := range []string{"http://127.0.0.1/", "http://localhost/", "http://LOCALHOST./", "http://[::1]/", "http://[::ffff:127.0.0.1]/"} {
		if err := checkRedirect(request(to), []*http.Request{request("http://192.0.2.1/")}); !errors.Is(err, ErrSource) {
			t.Errorf("%s: %v", to, err)
		}
		if err := checkRedirect(request(to), []*http.Request{request("http://localhost:8080/")}); err != nil {
			t.Errorf("control: %s: %v", to, err)
		}
	}
}

// TestRedirectOfAPost: what was sent is not asked for elsewhere.
func TestRedirectOfAPost(t *testing.T) {
	post := &http.Request{Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: "192.0.2.1"}, Header: http.Header{}}
	again := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: "192.0.2.2"}, Header: http.Header{}}
	if err := checkRedirect(again, []*http.Request{post}); !errors.Is(err, ErrSource) {
		t.Errorf("%v", err)
	}
	again.Method = http.MethodPost
	if err := checkRedirect(again, []*http.Request{post}); err != nil {
		t.Errorf("control: %v", err)
	}
}
