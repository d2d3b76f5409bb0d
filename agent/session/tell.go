package session

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/agent/protocol"
)

// Bounds of telling the server about a wipe.
const (
	// progressPause is the time between two tellings; one that takes longer makes the next ones void.
	progressPause = 2 * time.Second
	// progressTime bounds one telling, so that a receipt need not wait long behind it.
	progressTime = 5 * time.Second
)

// tell sends progress and receipts over one connection until ctx ends. It begins when heard closes, which is when the server sent its
// first directive: then it believes the certificate, and a refusal after that is meant for what is told.
func (s *Session) tell(ctx context.Context, client protocol.AgentClient, heard <-chan struct{}) {
	select {
	case <-heard:
	case <-ctx.Done():
		return
	}
	pauses := backoff{random: s.Random}
	for ctx.Err() == nil {
		var pause <-chan time.Time
		if due, some := s.ledger.due(); due.GetReceipt() != nil {
			pause = s.tellReceipt(ctx, client, due, &pauses)
		} else if some {
			s.tellProgress(ctx, client, due)
			pause = s.After(progressPause)
		}
		select {
		case <-s.ledger.news:
		case <-pause:
		case <-ctx.Done():
		}
	}
}

// tellProgress tries once; the next telling says more than this one.
func (s *Session) tellProgress(ctx context.Context, client protocol.AgentClient, due dispatch) {
	_ = s.bounded(ctx, progressTime, func(ctx context.Context) error {
		_, err := client.ReportTask(ctx, due.ReportTaskRequest)
		return err
	})
}

// tellReceipt tries once, and returns when to try again: nil when the server took the receipt, or will never take it.
func (s *Session) tellReceipt(ctx context.Context, client protocol.AgentClient, due dispatch, pauses *backoff) <-chan time.Time {
	log := s.Log.With("id", due.GetId(), "generation", due.GetGeneration())
	err := s.call(ctx, func(ctx context.Context) error {
		_, err := client.ReportTask(ctx, due.ReportTaskRequest)
		return err
	})
	switch {
	case err == nil:
		log.Info("the server has the receipt of the wipe")
	case final(err):
		log.Warn("the server refuses the receipt of the wipe; it is kept, and sent again only if the server orders this wipe again", "error", plain(err))
	case ctx.Err() != nil:
		return nil
	default:
		pause := pauses.next()
		log.Warn("cannot hand over the receipt of the wipe; trying again", "in", pause.Round(100*time.Millisecond), "error", plain(err))
		return s.After(pause)
	}
	pauses.reset()
	s.ledger.settle(due)
	return nil
}

// final says whether the server will never take what it refused: it cannot read it, does not let this boot say it, or knows no such
// task any more (FailedPrecondition).
func final(err error) bool {
	switch status.Code(unwrapStatus(err)) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition:
		return true
	}
	return false
}
