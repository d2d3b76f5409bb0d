package redfish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
)

const (
	// maxBody bounds what is read of one answer.
	maxBody = 4 << 20
	// maxHeader bounds the header of one answer.
	maxHeader = 64 << 10
	// requestTime bounds one request, from dialing to the last byte of the answer.
	requestTime = 30 * time.Second
	// maxRequests bounds one call of the driver; an honest power reading takes three.
	maxRequests = 32
)

// call is one call of the driver: its context, what it may still send, and what went wrong on the wire.
type call struct {
	ctx     context.Context
	doing   string
	left    int
	failure *bmc.Error
}

// transport is what wire needs of http.Transport.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// wire is the http.RoundTripper below bmclib and gofish. It binds their requests to the context of the running
// call, adds credentials, enforces the limits and classifies what fails.
type wire struct {
	base transport
	host string
	pin  *pin

	mu   sync.Mutex
	auth func(http.Header)
	call *call
}

func newWire(host string, pin *pin) *wire {
	return &wire{host: host, pin: pin, base: &http.Transport{
		// No proxy: BMC credentials go to the BMC and to nobody between.
		Proxy:                  nil,
		TLSClientConfig:        pin.tlsConfig(),
		TLSHandshakeTimeout:    requestTime,
		MaxResponseHeaderBytes: maxHeader,
		// A compressed answer could be larger than it looks.
		DisableCompression: true,
		MaxConnsPerHost:    1,
		// Shorter than BMCs keep idle connections, so that they are seldom found dead.
		IdleConnTimeout: 10 * time.Second,
	}}
}

// client is the http.Client that the libraries are given.
func (w *wire) client() *http.Client {
	return &http.Client{Transport: w, CheckRedirect: refuseRedirect}
}

func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// begin makes c the running call.
func (w *wire) begin(ctx context.Context, doing string) *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.call = &call{ctx: ctx, doing: doing, left: maxRequests}
	return w.call
}

// end closes the running call: what a library sends afterwards is refused.
func (w *wire) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.call = nil
}

// authorize sets what adds credentials to requests from now on; nil sends none.
func (w *wire) authorize(auth func(http.Header)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.auth = auth
}

var errNoCall = errors.New("request outside of a call")

// RoundTrip sends one request of a library within the running call.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	c, auth, err := w.admit(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, requestTime)
	defer cancel()
	out := r.Clone(ctx)
	// gofish asks to close the connection after each request; a TLS handshake costs a BMC about a second.
	out.Close = false
	out.Header.Del("Authorization")
	if auth != nil && out.URL.Path != rootPath {
		// The root is open to all; credentials there would count as one more attempt.
		auth(out.Header)
	}
	answer, failure := w.exchange(out)
	if failure != nil {
		return nil, w.fail(c, failure)
	}
	return answer, nil
}

// admit checks a request against the host and the budget of the running call.
func (w *wire) admit(r *http.Request) (*call, func(http.Header), error) {
	w.mu.Lock()
	c, auth := w.call, w.auth
	if c != nil {
		c.left--
	}
	w.mu.Unlock()
	switch {
	case c == nil:
		return nil, nil, errNoCall
	case r.URL.Scheme != "https" || r.URL.Host != w.host || r.URL.User != nil:
		return nil, nil, w.fail(c, bmc.Fail(bmc.ErrUnsupported, "", "an answer links to another address than the BMC's"))
	case c.left < 0:
		return nil, nil, w.fail(c, bmc.Fail(bmc.ErrUnsupported, "", "its answers link to more than %d others", maxRequests))
	}
	return c, auth, nil
}

// fail notes the failure of a call; the last one explains its end.
func (w *wire) fail(c *call, failure *bmc.Error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	failure.Doing, failure.PinSeen = c.doing, w.pin.Seen()
	c.failure = failure
	return failure
}

// exchange sends a request, reads the whole answer and judges it.
func (w *wire) exchange(r *http.Request) (*http.Response, *bmc.Error) {
	answer, err := w.base.RoundTrip(r)
	if err != nil {
		return nil, classify(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return nil, classify(err)
	}
	if len(body) > maxBody {
		return nil, bmc.Fail(bmc.ErrUnsupported, "", "an answer is larger than %d MiB", maxBody>>20)
	}
	if failure := judgeStatus(r, answer.StatusCode); failure != nil {
		return nil, failure
	}
	if failure := judgeBody(r.Method, body); failure != nil {
		if err := r.Context().Err(); err != nil {
			// A server that sees us go may still end its half of an answer properly.
			failure = classify(err)
		}
		return nil, failure
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// judgeBody passes JSON objects, and empty answers to requests that change something.
func judgeBody(method string, body []byte) *bmc.Error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 && method != http.MethodGet {
		return nil
	}
	if len(body) == 0 || body[0] != '{' || !json.Valid(body) {
		return bmc.Fail(bmc.ErrUnsupported, "", "an answer is not a JSON object; does it speak Redfish?")
	}
	return nil
}
