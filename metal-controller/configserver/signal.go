package configserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/records"
)

// told is the body of a signal.
type told struct {
	Phase        string `json:"phase"`
	Boot         string `json:"boot"`
	EverySeconds int32  `json:"everySeconds"`
}

// signal answers POST /v1/signal/SERVER/BINDING/TOKEN.
func (s *Server) signal(w http.ResponseWriter, r *http.Request, c call) {
	if !s.cfg.Links.Key.OpensSignal(c.token, c.server, c.id) {
		s.journal.guessed(c)
		answer(w, http.StatusForbidden, refusal)
		return
	}
	g, err := read(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answer(w, http.StatusBadRequest, err.Error())
		return
	}
	if !s.signals.AllowN(s.cfg.Now(), 1) {
		later(w, http.StatusTooManyRequests, "too many systems tell that they run")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	switch err := s.take(ctx, c, g); {
	case err == nil:
		s.cfg.Sightings.Told(c.server)
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errClosed), errors.Is(err, errPlain), errors.Is(err, records.ErrGone), errors.Is(err, records.ErrForeign):
		s.journal.refused(c, "the signal does not fit what is known of the server, or came over plain HTTP that its class does not allow")
		answer(w, http.StatusForbidden, refusal)
	default:
		s.journal.trouble(c, err)
		later(w, http.StatusServiceUnavailable, "the API server cannot be asked now")
	}
}

// read wants one JSON object.
func read(body io.Reader) (lifecycle.Signal, error) {
	var b told
	d := json.NewDecoder(body)
	if err := d.Decode(&b); err != nil || d.Decode(new(json.RawMessage)) != io.EOF {
		return lifecycle.Signal{}, errors.New(`the body is one JSON object, {"phase":"installed","boot":"BOOT"} or {"phase":"running","everySeconds":10}`)
	}
	return lifecycle.Signal{Phase: b.Phase, BootID: b.Boot, EverySeconds: b.EverySeconds}, nil
}

// take records a signal. One that only says again what is recorded costs no read of the API server: there are many, and they permit nothing. A replica that
// does not lead records now and then that it heard one. Where that fails, the machine is told to come again, perhaps to another replica.
func (s *Server) take(ctx context.Context, c call, g lifecycle.Signal) error {
	var cached metal.Server
	if g.Phase == lifecycle.PhaseRunning && s.cfg.Client.Get(ctx, types.NamespacedName{Name: c.server}, &cached) == nil {
		if _, verdict := lifecycle.TakeSignal(&cached, c.id, g, s.cfg.Now()); verdict == lifecycle.VerdictAgain && s.again(&cached) == nil && s.mayTravel(&cached, c) {
			return nil
		}
	}
	var verdict lifecycle.Verdict
	var boot, stage string
	err := s.records.Update(ctx, c.server, func(server *metal.Server) (*metal.ServerRecord, error) {
		var record *metal.ServerRecord
		record, verdict = lifecycle.TakeSignal(server, c.id, g, s.cfg.Now())
		switch {
		case verdict == lifecycle.VerdictRefused:
			return nil, errClosed
		case !s.mayTravel(server, c):
			return nil, errPlain
		case verdict == lifecycle.VerdictAgain && g.Phase == lifecycle.PhaseRunning:
			return s.again(server), nil
		}
		boot, stage = stageOf(record, g)
		return record, nil
	})
	if err == nil && verdict == lifecycle.VerdictFirst {
		s.journal.heard(c, g)
		s.cfg.Sightings.Adopt(c.server, boot, stage)
	}
	return err
}

// stageOf is what a signal adds to the timeline of the boot that installed the system.
func stageOf(record *metal.ServerRecord, g lifecycle.Signal) (boot, stage string) {
	stage = metal.StageInstalled
	if g.Phase == lifecycle.PhaseRunning {
		stage = metal.StageRunning
	}
	if record == nil || record.Installed == nil {
		return "", stage
	}
	return record.Installed.BootID, stage
}

// again is the record to write for a word that says what is recorded; nil where none is needed. The leader remembers what it hears.
func (s *Server) again(server *metal.Server) *metal.ServerRecord {
	select {
	case <-s.cfg.Elected:
		return nil
	default:
		return lifecycle.Hear(server, s.cfg.Now())
	}
}

// mayTravel says that the call came by a way that the server's class allows.
func (s *Server) mayTravel(server *metal.Server, c call) bool {
	r := server.Spec.Record
	return !c.plain || r != nil && r.Claim != nil && r.Claim.PlainConfig
}
