package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// needsPerson are the reasons of Ready at which waiting is of no use: somebody has to do something first, and `ingot why` says what.
var needsPerson = []string{
	reasons.DataNeedsConfirmation, reasons.DisksBlocked, reasons.DisksChanged, reasons.NoDisks, reasons.Quarantined, reasons.IdentityConflict,
	reasons.NotAccepted, reasons.EvidenceNeeded, reasons.UnmanagedHere, reasons.Paused, reasons.DryRun, reasons.Restored, reasons.BootNotHonored,
	reasons.AwaitingPower, reasons.Claimed,
}

// follow shows how far a server is until it is Available or a person has to act. Without an id no request is waited for.
func (a *accept) follow(ctx context.Context, c client.WithWatch, name, id string) error {
	waiting := ctx
	if a.timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	last := ""
	for waiting.Err() == nil {
		w, err := c.Watch(waiting, &metal.ServerList{}, client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)})
		if err != nil && waiting.Err() == nil {
			return explain(err)
		}
		if err != nil {
			break
		}
		for e := range w.ResultChan() {
			s, ok := e.Object.(*metal.Server)
			if !ok || id != "" && recordOf(s).AcceptRequest != id {
				continue
			}
			if line := stageLine(s); line != last {
				last = line
				fmt.Fprintf(a.env.Streams.ErrOut, "server/%s: %s\n", name, line)
			}
			if done, err := settled(s); done {
				w.Stop()
				if err == nil {
					fmt.Fprintf(a.env.Streams.Out, "server/%s is Available\n", name)
				}
				return err
			}
		}
		w.Stop() // the API server ends watches from time to time
	}
	return a.gaveUp(ctx, name, last)
}

// gaveUp says what goes on although nobody waits any more.
func (a *accept) gaveUp(ctx context.Context, name, last string) error {
	if last == "" {
		last = "the controller did not take it up; is it running?"
	}
	if ctx.Err() != nil {
		return &ExitError{Code: CodeInterrupted, Err: fmt.Errorf("no longer waiting for %s (%s); Ingot goes on with it, see `ingot why %s`", name, last, name)}
	}
	return &ExitError{Code: CodeTimeout, Err: fmt.Errorf("%s is not Available after %s (%s); Ingot goes on with it, see `ingot why %s`", name, a.timeout, last, name)}
}

// settled says whether there is nothing left to wait for, and why it did not end well.
func settled(s *metal.Server) (bool, error) {
	c := condition(s, reasons.Ready)
	switch {
	case c == nil || c.ObservedGeneration < s.Generation:
		return false, nil
	case c.Status == metav1.ConditionTrue:
		return true, nil
	case slices.Contains(needsPerson, c.Reason):
		return true, fmt.Errorf("%s waits for a person: %s; see `ingot why %s`", s.Name, strings.TrimSuffix(c.Message, "."), s.Name)
	}
	return false, nil
}

// stageLine is where the server is, in one line: what Ready says, and how far the wipe is.
func stageLine(s *metal.Server) string {
	c := condition(s, reasons.Ready)
	if c == nil {
		return "waiting for the controller"
	}
	line := strings.TrimSuffix(c.Message, ".")
	if p := wipeProgress(s); len(p) > 0 {
		line += " [" + strings.Join(p, "; ") + "]"
	}
	return line
}

// wipeProgress is one line for each disk at work; empty when no wipe runs.
func wipeProgress(s *metal.Server) []string {
	r := recordOf(s)
	if s.Status.Wipe == nil || r.Wipe == nil || r.Wipe.ID != s.Status.Wipe.ID || r.Wipe.Generation != s.Status.Wipe.Generation || r.Wipe.Receipt != nil || r.Wipe.VerifiedAt != nil {
		return nil
	}
	var all []string
	for _, d := range s.Status.Wipe.Disks {
		all = append(all, progressLine(d))
	}
	return all
}
