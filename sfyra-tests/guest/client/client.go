// Package client speaks to Ingot as an operating system does: it fetches the machine config and tells how far the system got.
//
// Layer 2, adapter. It shares no code with the agent or the controller: it is written after docs/claims.md, and so proves that page. The check of the
// pin is the whole trust; the clock of a machine may be off, so certificates are checked at the time at which all of them were valid first.
package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// requestTime bounds one request.
const requestTime = 20 * time.Second

// ErrStatus says that the server answered, and not what was hoped for.
var ErrStatus = errors.New("the server refused")

// Client speaks to one address.
type Client struct {
	url  string
	http *http.Client
}

// New takes an address and the SHA-256 of the public key of the authority that its certificate must lead to, in hexadecimal. A plain address needs none.
func New(address, pin string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the address is no http or https URL") // without its text: it holds a capability
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if u.Scheme == "https" {
		sum, err := hex.DecodeString(pin)
		if err != nil || len(sum) != sha256.Size {
			return nil, errors.New("the pin is not 64 hexadecimal digits")
		}
		transport.TLSClientConfig = trust([sha256.Size]byte(sum), u.Hostname())
	}
	return &Client{url: address, http: &http.Client{
		Transport: transport, Timeout: requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// trust replaces the standard check, which knows no authority here.
func trust(pin [sha256.Size]byte, host string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: host,
		InsecureSkipVerify: true, //nolint:gosec // replaced by VerifyConnection
		VerifyConnection:   func(s tls.ConnectionState) error { return verify(pin, host, s.PeerCertificates) },
	}
}

func verify(pin [sha256.Size]byte, host string, chain []*x509.Certificate) error {
	roots, when := x509.NewCertPool(), time.Time{}
	for _, c := range chain {
		if c.NotBefore.After(when) {
			when = c.NotBefore
		}
		if c.IsCA && sha256.Sum256(c.RawSubjectPublicKeyInfo) == pin {
			roots.AddCert(c)
		}
	}
	if len(chain) == 0 {
		return errors.New("the server showed no certificate")
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: when})
	if err != nil {
		return fmt.Errorf("the server does not lead to the pinned authority: %w", err)
	}
	return nil
}

// Get fetches at most limit bytes. It fails when there are more, or fewer than the server promised.
func (c *Client) Get(ctx context.Context, limit int64) ([]byte, error) {
	r, err := c.do(ctx, http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	data, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", c.strip(err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the answer has more than %d bytes", limit)
	}
	return data, nil
}

// BreakOff asks, reads so many bytes and drops the connection, as a machine does whose cable is pulled. It returns how many bytes came.
func (c *Client) BreakOff(ctx context.Context, bytes int64) (int64, error) {
	r, err := c.do(ctx, http.MethodGet, nil)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	n, err := io.CopyN(io.Discard, r.Body, bytes)
	return n, c.strip(err)
}

// Post sends JSON.
func (c *Client) Post(ctx context.Context, body []byte) error {
	r, err := c.do(ctx, http.MethodPost, body)
	if err != nil {
		return err
	}
	return r.Body.Close()
}

func (c *Client) do(ctx context.Context, method string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, c.strip(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.strip(err)
	}
	if answer.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
		_ = answer.Body.Close()
		return nil, fmt.Errorf("%w: status=%d %s", ErrStatus, answer.StatusCode, strings.TrimSpace(string(text)))
	}
	return answer, nil
}

// strip takes the address, which holds a capability, out of an error of net/http.
func (c *Client) strip(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
