package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Limits of a source.
const (
	maxRedirects = 5
	maxURL       = 2048
	maxValidator = 256
)

// answer is what a source sends.
type answer struct {
	// offset is where the body begins; total is the size of the whole file, 0 when the source does not tell.
	offset, total int64
	validator     string
	body          io.ReadCloser
}

// ask asks for the file, from where the part ends.
func (c *Cache) ask(ctx context.Context, address string, p *part) (answer, error) {
	u, err := parseURL(address)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, fmt.Errorf("%w: its URL is malformed", ErrSource)
	}
	req.Header.Set("Accept-Encoding", "identity") // a digest is of the file itself
	if p.size > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.size))
		req.Header.Set("If-Range", p.origin.Validator)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return answer{}, bare(err)
	}
	a, err := c.judge(res, p.size)
	if err != nil {
		res.Body.Close()
	}
	return a, err
}

// judge reads the head of an answer to a request for what is after offset.
func (c *Cache) judge(res *http.Response, offset int64) (answer, error) {
	if e := res.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return answer{}, fmt.Errorf("%w: it answers in an encoding that was not asked for", ErrSource)
	}
	a := answer{total: max(res.ContentLength, 0), validator: validatorOf(res.Header), body: res.Body}
	switch {
	case res.StatusCode == http.StatusOK:
	case res.StatusCode == http.StatusPartialContent && offset > 0:
		first, total, err := parseContentRange(res.Header.Get("Content-Range"))
		if err != nil || first != offset {
			return answer{}, errStartOver
		}
		a.offset, a.total = first, total
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		return answer{}, errStartOver
	default:
		return answer{}, fmt.Errorf("it answers %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	}
	if a.total > c.cfg.MaxFile {
		return answer{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooBig, a.total, c.cfg.MaxFile)
	}
	return a, nil
}

// validatorOf is what an interrupted transfer can go on with.
func validatorOf(h http.Header) string {
	if tag := validator(h.Get("ETag")); strings.HasPrefix(tag, `"`) { // a weak one, W/"…", promises no equal bytes
		return tag
	}
	return validator(h.Get("Last-Modified"))
}

// validator is v when it can stand in a request again.
func validator(v string) string {
	if len(v) > maxValidator || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return v
}

// parseURL takes http and https only.
func parseURL(address string) (*url.URL, error) {
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

func newTransport(stall time.Duration) *http.Transport {
	d := &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: it has no address", ErrSource)
		}
		return checkAddr(a.Addr())
	}}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: d.DialContext, DisableKeepAlives: true, DisableCompression: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: stall, MaxResponseHeaderBytes: 64 << 10,
	}
}

func newClient(t http.RoundTripper) *http.Client {
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

// bare takes the URL out of an error of net/http, and our own port, which changes with every try, out of one of the network.
func bare(err error) error {
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

// where is a URL without what may be secret in it.
func where(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "a malformed URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// tell says what went wrong with a source, for people.
func tell(address string, err error) string {
	const longest = 400
	text := where(address) + ": " + ourSide.ReplaceAllString(bare(err).Error(), "")
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
