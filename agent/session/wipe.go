package session

import (
	"context"
	"fmt"

	"ingot.dev/ingot/agent/protocol"
)

// Bounds of what a wipe may name; the controller's own are smaller or equal.
const (
	maxWipeID    = 128
	maxWipeDisks = 256
)

// work runs the wipes that were begun, one after the other, until ctx ends. It outlives connections: a wipe that has begun goes on
// whatever becomes of the server.
func (s *Session) work(ctx context.Context) {
	for {
		select {
		case w := <-s.begun:
			receipt := s.Tasks.Wipe(ctx, w, s.ledger.progress)
			if ctx.Err() != nil {
				// Cut short by the end of the agent: what it says of the disks is not the outcome of the wipe.
				return
			}
			s.ledger.end(receipt)
			s.Log.Info("the wipe has ended", "id", w.GetId(), "generation", w.GetGeneration())
		case <-ctx.Done():
			return
		}
	}
}

// wipe obeys an order, and says whether it has to wait for the one that runs.
func (s *Session) wipe(w *protocol.Wipe) (waits bool) {
	log := s.Log.With("id", w.GetId(), "generation", w.GetGeneration())
	if w.GetId() == "" || len(w.GetId()) > maxWipeID || w.GetGeneration() < 1 || len(w.GetDisks()) == 0 || len(w.GetDisks()) > maxWipeDisks {
		log.Warn("the server's order to wipe makes no sense; waiting")
		return false
	}
	switch s.ledger.order(pair{w.GetId(), w.GetGeneration()}) {
	case begin:
		s.Log.Info(fmt.Sprintf("beginning the wipe %s/%d", w.GetId(), w.GetGeneration()), "disks", len(w.GetDisks()), "level", w.GetLevel())
		s.begun <- w // never blocks: the ledger lets one run at a time
	case goesOn:
		log.Info("the wipe goes on")
	case again:
		log.Info("this wipe was done; telling the server again how it ended")
	case busy:
		log.Warn("another wipe runs; this one waits for it")
		return true
	case stale:
		log.Warn("a later generation of this wipe was begun; this one is not carried out")
	case closed:
		log.Warn("this agent begins no more wipes; restart the machine")
	}
	return false
}

// Quiesce lets no wipe begin from now on, and returns true, unless one runs: then it changes nothing and returns false. A wipe
// that was begun is ended by nobody but the end of the process.
func (s *Session) Quiesce() bool { return s.ledger.close() }
