// Package web asks web servers that are not trusted: boot files and Image Factories (layer 2, the standard library only).
//
// Invariants:
//   - Only http and https, and no way from there to addresses of this machine's own link, whatever a name or a redirect leads to.
//   - What a URL holds besides host and path, perhaps a password or a signature, reaches no error.
//   - Whoever sends next to nothing is not waited for.
package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	maxRedirects = 5
	maxURL       = 2048
)

// ErrSource is returned for a URL or an address that is not asked.
var ErrSource = errors.New("this source is not asked")

// ParseURL takes http and https only.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || len(address) > maxURL {
		return nil, fmt.Errorf("%w: its URL is malformed", ErrSource)
	}
	return u, checkURL(u)
}

func checkURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("%w: its URL is neither http nor https", ErrSource)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return checkAddr(a)
	}
	return nil
}

// ec2 is where one cloud has its metadata over IPv6.
var ec2 = netip.MustParseAddr("fd00:ec2::254")

// checkAddr refuses what is on this machine's own link, the metadata service of clouds (169.254.169.254) above all, and what is no single machine.
func checkAddr(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	if a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a == ec2 {
		return fmt.Errorf("%w: %v is an address of the link, or of no single machine", ErrSource, a)
	}
	return nil
}

// NewTransport asks over new connections only, waits for the head of an answer for at most patience, and dials no address of the link.
func NewTransport(patience time.Duration) *http.Transport {
	d := &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: it has no address", ErrSource)
		}
		return checkAddr(a.Addr())
	}}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: d.DialContext, DisableKeepAlives: true, DisableCompression: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: patience, MaxResponseHeaderBytes: 64 << 10,
	}
}

// NewClient follows a few redirects, never to a less safe place.
func NewClient(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: checkRedirect}
}

// checkRedirect lets a source name another place, but not one that is less safe, nor this very machine.
func checkRedirect(to *http.Request, via []*http.Request) error {
	from := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: it redirects more than %d times", ErrSource, maxRedirects)
	case from.Scheme == "https" && to.URL.Scheme != "https":
		return fmt.Errorf("%w: it redirects from https to %s", ErrSource, to.URL.Scheme)
	case to.Method != via[0].Method:
		return fmt.Errorf("%w: it redirects what was sent to it", ErrSource)
	case isLoopback(to.URL.Hostname()) && !isLoopback(from.Hostname()):
		return fmt.Errorf("%w: it redirects to this machine", ErrSource)
	}
	to.Header.Del("Referer") // the first URL may hold a signature
	return checkURL(to.URL)
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback() || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// Bare takes the URL out of an error of net/http, and our own port, which changes with every try, out of one of the network.
func Bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil {
		return fmt.Errorf("%s %v: %w", op.Op, op.Addr, op.Err)
	}
	return err
}

// ourSide matches our own address in an error of a connection: its port changes with every try, and each change would be written down.
var ourSide = regexp.MustCompile(`\S+:\d+->`)

// Where is a URL without what may be secret in it.
func Where(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "a malformed URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Tell says what went wrong with a source, for people.
func Tell(address string, err error) string {
	const longest = 400
	text := Where(address) + ": " + ourSide.ReplaceAllString(Bare(err).Error(), "")
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
