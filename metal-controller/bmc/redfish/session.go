package redfish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ingot.dev/ingot/metal-controller/bmc"
)

const (
	// Probing is the Doing of an error that came before the BMC was known to speak Redfish.
	Probing = "asking what it speaks"

	rootPath = "/redfish/v1/"
	// loginTime bounds a login. It is not cut short when the caller gives up: the session would exist at the BMC
	// and nobody could end it.
	loginTime = 15 * time.Second
	// logoutTime bounds ending a session.
	logoutTime = 5 * time.Second
)

type link struct {
	ID string `json:"@odata.id"`
}

// root is what the driver needs of ServiceRoot (DSP0268).
type root struct {
	RedfishVersion string
	Systems        link
	SessionService link
	Links          struct{ Sessions link }
}

// sessions is where to log in, or "" when the BMC has no sessions.
func (r root) sessions() string {
	switch {
	case r.Links.Sessions.ID != "":
		return r.Links.Sessions.ID
	case r.SessionService.ID != "":
		return strings.TrimSuffix(r.SessionService.ID, "/") + "/Sessions"
	}
	return ""
}

// probe reads ServiceRoot without credentials, which every service allows (DSP0266, 13.2).
func (d *driver) probe(ctx context.Context) error {
	_, body, err := d.send(ctx, Probing, http.MethodGet, rootPath, nil)
	if err != nil {
		return err
	}
	var r root
	if json.Unmarshal(body, &r) != nil || r.RedfishVersion == "" || r.Systems.ID == "" {
		return d.failed(bmc.ErrUnsupported, Probing, "%s is not a Redfish service root", rootPath)
	}
	d.sessions = r.sessions()
	return nil
}

// login opens a session, or falls back to Basic authentication where there is none to open, or none free.
func (d *driver) login(ctx context.Context) error {
	d.wire.authorize(nil)
	if d.sessions == "" {
		d.wire.authorize(d.basic)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loginTime)
	defer cancel()
	body, _ := json.Marshal(map[string]string{"UserName": d.target.Username, "Password": d.target.Password.Reveal()})
	header, answer, err := d.send(ctx, "logging in", http.MethodPost, d.sessions, body)
	if noSessions(err) {
		d.sessions = ""
		d.wire.authorize(d.basic)
		return nil
	}
	if full(err) && d.basicWorks(ctx) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.keep(header, answer)
}

// full says that the login failed because all sessions are taken, perhaps by a controller that was killed: a BMC keeps those for half an hour or more.
func full(err error) bool {
	var failure *bmc.Error
	return errors.As(err, &failure) && failure.Code == http.StatusServiceUnavailable
}

// basicWorks tries Basic authentication, which takes no session, and stays with it when the BMC lets it in.
func (d *driver) basicWorks(ctx context.Context) bool {
	d.wire.authorize(d.basic)
	if _, _, err := d.send(ctx, "logging in without a session", http.MethodGet, d.sessions, nil); err != nil {
		d.wire.authorize(nil)
		return false
	}
	return true
}

// noSessions says that the login failed because the BMC has no session service.
func noSessions(err error) bool {
	var failure *bmc.Error
	if !errors.As(err, &failure) {
		return false
	}
	switch failure.Code {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// keep remembers the token and the address of a new session (DSP0266, 13.3.4).
func (d *driver) keep(header http.Header, answer []byte) error {
	token := header.Get("X-Auth-Token")
	if token == "" {
		return d.failed(bmc.ErrUnsupported, "logging in", "it gave no X-Auth-Token")
	}
	d.session = header.Get("Location")
	if at, err := url.Parse(d.session); err == nil {
		d.session = at.EscapedPath()
	}
	if d.session == "" {
		var created link
		_ = json.Unmarshal(answer, &created) // no address: the session ends by its own timeout
		d.session = created.ID
	}
	d.tokened = true
	d.wire.authorize(func(h http.Header) { h.Set("X-Auth-Token", token) })
	return nil
}

// logout ends the session, also when the caller's context is done.
func (d *driver) logout(ctx context.Context) error {
	session := d.session
	d.session, d.tokened = "", false
	if session == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTime)
	defer cancel()
	_, _, err := d.send(ctx, "logging out", http.MethodDelete, session, nil)
	d.wire.authorize(nil)
	return err
}

func (d *driver) basic(h http.Header) {
	r := http.Request{Header: h}
	r.SetBasicAuth(d.target.Username, d.target.Password.Reveal())
}

// send is one request of ours, outside of the libraries, under the same limits.
func (d *driver) send(ctx context.Context, doing, method, path string, body []byte) (http.Header, []byte, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, nil, d.failed(bmc.ErrUnsupported, doing, "a link is not a path")
	}
	c := d.wire.begin(ctx, doing)
	defer d.wire.end()
	r, err := http.NewRequestWithContext(ctx, method, "https://"+d.wire.host+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, d.failed(bmc.ErrUnsupported, doing, "a link is not a path")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("OData-Version", "4.0")
	answer, err := d.http.Do(r)
	if err != nil {
		return nil, nil, d.explain(c, err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, nil, d.explain(c, err)
	}
	return answer.Header, content, nil
}
