package configserver

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/machineconfig"
	"ingot.dev/ingot/metal-controller/records"
)

// Refusals.
var (
	errClosed    = errors.New("the boot is not expected, over, or its binding is not complete")
	errPlain     = errors.New("it was asked for over plain HTTP, and the class does not allow that: fetch it over HTTPS, or set spec.configDelivery: PlainHTTP in the class before the server is claimed")
	errContested = errors.New("a second address asked for it")
	errChanged   = errors.New("the machine config changed since it was released")
)

// release is what a fetch came to.
type release struct {
	config  machineconfig.Result
	verdict lifecycle.Verdict
	binding string
}

// fetch answers GET /v1/config/SERVER/BOOT/TOKEN.
func (s *Server) fetch(w http.ResponseWriter, r *http.Request, c call) {
	if !s.cfg.Links.Key.OpensConfig(c.token, c.server, c.id) {
		s.journal.guessed(c)
		answer(w, http.StatusForbidden, refusal)
		return
	}
	if !s.fetches.AllowN(s.cfg.Now(), 1) {
		later(w, http.StatusTooManyRequests, "too many machines fetch their config")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	var out release
	err := s.records.Update(ctx, c.server, func(server *metal.Server) (record *metal.ServerRecord, err error) {
		out, record, err = s.judge(ctx, server, c)
		return record, err
	})
	if err != nil {
		s.refuseFetch(w, c, err)
		return
	}
	if out.verdict == lifecycle.VerdictFirst {
		s.journal.released(c, out)
		s.cfg.Sightings.Adopt(c.server, c.id, metal.StageConfig)
	}
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Content-Length", strconv.Itoa(len(out.config.Bytes())))
	_, _ = w.Write(out.config.Bytes()) // a machine that lost the connection fetches again
}

// judge decides about one reading of the Server.
func (s *Server) judge(ctx context.Context, server *metal.Server, c call) (release, *metal.ServerRecord, error) {
	if !lifecycle.ConfigOpen(server, c.id, s.cfg.Now()) {
		return release{}, nil, errClosed
	}
	claim := server.Spec.Record.Claim
	if c.plain && !claim.PlainConfig {
		return release{}, nil, errPlain
	}
	config, err := s.maker.Make(ctx, server)
	if err != nil {
		return release{}, nil, err
	}
	record, verdict := lifecycle.ReleaseConfig(server, c.id, config.SHA256(), c.from.String(), s.cfg.Now())
	switch verdict {
	case lifecycle.VerdictFirst, lifecycle.VerdictAgain:
		return release{config, verdict, claim.BindingID}, record, nil
	case lifecycle.VerdictContested:
		return release{}, record, errContested
	case lifecycle.VerdictChanged:
		return release{}, record, errChanged
	case lifecycle.VerdictRefused:
	}
	return release{}, nil, errClosed
}

// refuseFetch tells the machine as little as it needs, and people why.
func (s *Server) refuseFetch(w http.ResponseWriter, c call, err error) {
	var unready *NotReadyError
	switch {
	case errors.Is(err, errContested):
		s.journal.voided(c, reasons.ConfigContested, "A second address, "+c.from.String()+", asked for the machine config of the boot "+c.id+"; the boot is void.")
	case errors.Is(err, errChanged):
		s.journal.voided(c, reasons.ConfigChanged, "The machine config changed after it had been released in the boot "+c.id+"; the server boots anew and gets the new one.")
	case errors.As(err, &unready):
		s.journal.alarm(c, unready.Message)
		later(w, http.StatusServiceUnavailable, "the machine config cannot be made now")
		return
	case errors.Is(err, errClosed), errors.Is(err, errPlain), errors.Is(err, records.ErrGone), errors.Is(err, records.ErrForeign):
		s.journal.alarm(c, err.Error())
	default:
		s.journal.trouble(c, err)
		later(w, http.StatusServiceUnavailable, "the API server cannot be asked now")
		return
	}
	answer(w, http.StatusForbidden, refusal)
}
