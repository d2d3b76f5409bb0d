package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

type power struct {
	env     *Env
	wait    bool
	yes     bool
	dryRun  bool
	timeout time.Duration
}

func newPower(env *Env) *cobra.Command {
	p := &power{env: env}
	cmd := &cobra.Command{
		Use:   "power",
		Short: "Switch a server on, off or both through its BMC, or show its power state with its age",
		Example: "  ingot power status rack1-07\n  ingot power on rack1-07 rack1-08\n" +
			"  ingot power cycle rack1-07 --timeout 2m",
	}
	group(cmd)
	for _, v := range []struct {
		use, short string
		action     metal.PowerAction
	}{
		{"on SERVER...", "Ensure that servers are on", metal.PowerActionOn},
		{"off SERVER...", "Ensure that servers are off, without asking their operating system", metal.PowerActionOff},
		{"cycle SERVER...", "Switch servers off, read that back, and switch them on", metal.PowerActionCycle},
	} {
		cmd.AddCommand(p.command(v.use, v.short, func(ctx context.Context, names []string) error { return p.run(ctx, v.action, names) }))
	}
	cmd.AddCommand(&cobra.Command{
		Use: "status SERVER...", Short: "Show the power state, when the BMC said so, and what is wrong with it",
		Args: usage(cobra.MinimumNArgs(1)), ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error { return p.status(cmd.Context(), args) },
	})
	return cmd
}

func (p *power) command(use, short string, run func(context.Context, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: usage(cobra.MinimumNArgs(1)), ValidArgsFunction: p.env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVar(&p.wait, "wait", true, "wait until the BMC confirms the new state")
	cmd.Flags().DurationVar(&p.timeout, "timeout", 2*time.Minute, "how long to wait for each server")
	cmd.Flags().BoolVarP(&p.yes, "yes", "y", false, "do not ask, even when the server is claimed")
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false, "say what would be done, and do nothing")
	return cmd
}

func (p *power) run(ctx context.Context, action metal.PowerAction, names []string) error {
	c, err := p.env.Client()
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		if err := p.one(ctx, c, action, trimKind(name)); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// one asks for the action on one server and waits for its end.
func (p *power) one(ctx context.Context, c client.WithWatch, action metal.PowerAction, name string) error {
	s, err := p.env.server(ctx, c, name)
	if err != nil {
		return err
	}
	if s.Spec.BMC == nil {
		return &ExitError{Code: CodeRefused, Err: fmt.Errorf("%s has no spec.bmc, so nothing can switch it: press its power button, with the network first in its boot order; or declare its BMC: kubectl edit server %s", name, name)}
	}
	if err := p.confirm(s, action); err != nil {
		return err
	}
	if p.dryRun {
		fmt.Fprintf(p.env.Streams.Out, "server/%s would be asked: power %s (dry run)\n", name, strings.ToLower(string(action)))
		return nil
	}
	id := p.env.ID()
	patch := client.MergeFrom(s.DeepCopy())
	s.Spec.PowerRequest = &metal.PowerRequest{ID: id, Action: action, RequestedAt: metav1.NewTime(p.env.Now())}
	if err := c.Patch(ctx, s, patch); err != nil {
		return fmt.Errorf("asking for power %s of %s: %w", strings.ToLower(string(action)), name, explain(err))
	}
	if !p.wait {
		fmt.Fprintf(p.env.Streams.Out, "server/%s power %s requested\n", name, strings.ToLower(string(action)))
		return nil
	}
	return p.follow(ctx, c, name, id, action)
}

// confirm asks a person before a claimed server is switched off.
func (p *power) confirm(s *metal.Server, action metal.PowerAction) error {
	if s.Spec.Record == nil || s.Spec.Record.Claim == nil || action == metal.PowerActionOn || p.yes || p.dryRun {
		return nil
	}
	what := fmt.Sprintf("%s (%s) runs for %s/%s", s.Name, where(s), s.Spec.Record.Claim.Namespace, s.Spec.Record.Claim.Name)
	f, ok := p.env.Streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &ExitError{Code: CodeRefused, Err: fmt.Errorf("%s; say --yes to switch it anyway", what)}
	}
	fmt.Fprintf(p.env.Streams.ErrOut, "%s. Power %s? [y/N] ", what, strings.ToLower(string(action)))
	answer, err := bufio.NewReader(io.LimitReader(f, 64)).ReadString('\n')
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "y") {
		return &ExitError{Code: CodeRefused, Err: errors.New("nothing was done")}
	}
	return nil
}

// where is what a person at the rack can check.
func where(s *metal.Server) string {
	var parts []string
	if i := s.Status.Inventory; i != nil && i.Serial != "" {
		parts = append(parts, "serial "+i.Serial)
	}
	if l := s.Spec.Location; l != nil && l.Rack != "" {
		parts = append(parts, fmt.Sprintf("rack %s unit %d", l.Rack, l.Unit))
	}
	if len(parts) == 0 {
		return "no serial known"
	}
	return strings.Join(parts, ", ")
}

// follow shows the steps of the request until it ends.
func (p *power) follow(ctx context.Context, c client.WithWatch, name, id string, action metal.PowerAction) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	list := &metal.ServerList{}
	w, err := c.Watch(ctx, list, client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)})
	if err != nil {
		return explain(err)
	}
	defer w.Stop()
	var last string
	for e := range w.ResultChan() {
		s, ok := e.Object.(*metal.Server)
		if !ok || s.Spec.Record == nil || s.Spec.Record.Power == nil || s.Spec.Record.Power.ID != id {
			continue
		}
		if message := powerMessage(s); message != "" && message != last {
			last = message
			fmt.Fprintf(p.env.Streams.ErrOut, "server/%s: %s\n", name, message)
		}
		switch s.Spec.Record.Power.Step {
		case metal.PowerDone:
			fmt.Fprintf(p.env.Streams.Out, "server/%s power %s done\n", name, strings.ToLower(string(action)))
			return nil
		case metal.PowerFailed, metal.PowerExpired:
			return fmt.Errorf("power %s of %s: %s; see `ingot why %s`", strings.ToLower(string(action)), name, cmp.Or(powerMessage(s), string(s.Spec.Record.Power.Step)), name)
		case metal.PowerSwitchingOff, metal.PowerSwitchingOn:
		}
	}
	if last == "" {
		last = "the controller did not take it up; is it running?"
	}
	return &ExitError{Code: CodeTimeout, Err: fmt.Errorf("power %s of %s was not confirmed within %s (%s); Ingot goes on trying, see `ingot why %s`", strings.ToLower(string(action)), name, p.timeout, last, name)}
}

// powerMessage is what the PowerReady condition says, and what is wrong with the BMC. Conditions that are older than the request say nothing of it.
func powerMessage(s *metal.Server) string {
	var parts []string
	for _, c := range s.Status.Conditions {
		switch {
		case c.ObservedGeneration < s.Generation || c.Message == "":
		case c.Type == reasons.PowerReady, c.Type == reasons.BMCReachable && c.Status == metav1.ConditionFalse:
			parts = append(parts, strings.TrimSuffix(c.Message, "."))
		}
	}
	slices.Reverse(parts) // what was asked before what is in its way
	return strings.Join(parts, ". ")
}

func (p *power) status(ctx context.Context, names []string) error {
	c, err := p.env.Client()
	if err != nil {
		return err
	}
	for _, name := range names {
		s, err := p.env.server(ctx, c, trimKind(name))
		if err != nil {
			return err
		}
		fmt.Fprintf(p.env.Streams.Out, "server/%s: %s\n", s.Name, powerLine(s, p.env.Now()))
		for _, cond := range s.Status.Conditions {
			if cond.Type == reasons.BMCReachable && cond.Status != metav1.ConditionTrue {
				fmt.Fprintf(p.env.Streams.Out, "  %s: %s\n", cond.Reason, cond.Message)
			}
		}
	}
	return nil
}
