// Package factory asks a Talos Image Factory: it registers schematics, and finds and opens the files that a release of Talos boots from (layer 2).
//
// A factory gives no digests without a licence. So whoever uses this package hashes what comes, over verified TLS, and remembers the digest.
//
// Invariants:
//   - Nothing is asked twice: trying again is the caller's.
//   - What comes is bounded in size and in time; what is no kernel line, no list of versions, no kernel and no initramfs is refused.
//   - Errors say what to do next, and hold of a URL its host and path only.
package factory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ingot.dev/ingot/boot-assets/web"
)

// DefaultURL is the public Image Factory.
const DefaultURL = "https://factory.talos.dev"

// Limits of what a factory may send, in bytes, and how long it may take.
const (
	// MaxFile bounds a kernel, an initramfs or a unified kernel image.
	MaxFile     = 2 << 30
	maxID       = 16 << 10
	maxCmdline  = 4 << 10
	maxVersions = 256 << 10
	// answerTime is for short answers; buildTime until the first byte of a file, which a factory makes when it is asked for the first time.
	answerTime = 30 * time.Second
	buildTime  = 5 * time.Minute
	// stall is how long a factory may take for the next bytes of a file.
	stall = 30 * time.Second
)

// What a factory's answer comes to. Every error of this package but that of a Client's caller is one of these.
var (
	// ErrUnreachable: it does not answer, or says that it cannot now. Trying again helps.
	ErrUnreachable = errors.New("the Image Factory cannot be reached")
	// ErrSchematic: it does not take the schematic.
	ErrSchematic = errors.New("the Image Factory refuses the schematic")
	// ErrMissing: it has no such release, schematic or file.
	ErrMissing = errors.New("the Image Factory does not have it")
	// ErrForbidden: it wants a licence, or credentials.
	ErrForbidden = errors.New("the Image Factory does not give it out")
	// ErrLine: the kernel line cannot be netbooted.
	ErrLine = errors.New("the kernel line cannot be used")
	// ErrAnswer: what it says makes no sense.
	ErrAnswer = errors.New("this is not what an Image Factory answers")
)

// Config says which factory to ask. Zero fields get their default.
type Config struct {
	// URL of the factory, with a path if it is below one: https, or http, where nothing proves what comes.
	URL string
	// Agent is the User-Agent.
	Agent string
	// Transport asks; nil is one that refuses addresses of the link.
	Transport http.RoundTripper
}

// Client asks one factory. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	agent string
	http  *http.Client
}

// New checks the URL. Nothing is asked yet.
func New(c Config) (*Client, error) {
	base, err := web.ParseURL(strings.TrimSuffix(cmp.Or(c.URL, DefaultURL), "/"))
	if err != nil {
		return nil, fmt.Errorf("the URL of the Image Factory: %w", err)
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("the URL of the Image Factory: %w: it has a user, a query or a fragment; write it as %s", web.ErrSource, DefaultURL)
	}
	transport := c.Transport
	if transport == nil {
		transport = web.NewTransport(buildTime)
	}
	return &Client{base: base, agent: cmp.Or(c.Agent, "ingot"), http: web.NewClient(transport)}, nil
}

// Host names the factory for people.
func (c *Client) Host() string { return c.base.Host }

// Verified says whether TLS proves that what comes is the factory's.
func (c *Client) Verified() bool { return c.base.Scheme == "https" }

// do asks. The caller closes the body.
func (c *Client) do(ctx context.Context, method, address string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("%w: the request cannot be made", ErrAnswer)
	}
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept-Encoding", "identity") // digests are of the files themselves
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(address, err)
	}
	if e := res.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		res.Body.Close()
		return nil, fmt.Errorf("%w: %s comes in an encoding that was not asked for", ErrAnswer, web.Where(address))
	}
	return res, nil
}

func unreachable(address string, err error) error {
	if errors.Is(err, web.ErrSource) {
		return fmt.Errorf("%w: %s", ErrAnswer, web.Tell(address, err))
	}
	return fmt.Errorf("%w: %s", ErrUnreachable, web.Tell(address, err))
}

// short asks for an answer of at most limit bytes.
func (c *Client) short(ctx context.Context, method, address string, body io.Reader, limit int64) (status int, data []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	res, err := c.do(ctx, method, address, body)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	data, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return 0, nil, unreachable(address, err)
	case int64(len(data)) > limit:
		return 0, nil, fmt.Errorf("%w: %s has more than %d bytes", ErrAnswer, web.Where(address), limit)
	}
	return res.StatusCode, data, nil
}

// refused is what a status other than the good one means.
func refused(address string, status int) error {
	what := fmt.Sprintf("%s answers %d %s", web.Where(address), status, http.StatusText(status))
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		return fmt.Errorf("%w: %s", ErrMissing, what)
	case status == http.StatusUnauthorized || status == http.StatusPaymentRequired || status == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrForbidden, what)
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return fmt.Errorf("%w: %s", ErrUnreachable, what)
	case status == http.StatusBadRequest:
		return fmt.Errorf("%w: %s", ErrMissing, what) // how it says that a version or a schematic is none
	}
	return fmt.Errorf("%w: %s", ErrAnswer, what)
}
