package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// rotation is the request of `ingot bmc rotate`.
type rotation struct {
	env     *Env
	wait    bool
	timeout time.Duration
}

func newBMC(env *Env) *cobra.Command {
	cmd := &cobra.Command{Use: "bmc", Short: "Accounts of Ingot's own at the servers' BMCs", Args: usage(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newRotate(env))
	return cmd
}

func newRotate(env *Env) *cobra.Command {
	r := &rotation{env: env}
	cmd := &cobra.Command{
		Use:   "rotate SERVER...",
		Short: "Replace Ingot's account at the BMC by a fresh one, or set up the first",
		Long: "Replace Ingot's account at the BMC by a fresh one, or set up the first, from within the machine. The account in use is dropped only when\n" +
			"the next one was let in over the network; an account that a person made is never touched. An idle server is started for it and\n" +
			"switched off again; one that is in use gets its account when its agent is there the next time.",
		Example: "  ingot bmc rotate rack1-07",
		Args:    usage(cobra.MinimumNArgs(1)), ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error { return env.eachServer(cmd.Context(), args, r.ask) },
	}
	cmd.Flags().BoolVar(&r.wait, "wait", false, "wait until the new account is in use and the one before is gone")
	cmd.Flags().DurationVar(&r.timeout, "timeout", 30*time.Minute, "how long to wait for each server")
	return cmd
}

// ask writes the request.
func (r *rotation) ask(ctx context.Context, c client.WithWatch, s *metal.Server) error {
	if !s.Spec.Accepted {
		return refused("%s is not accepted: only the agent of an accepted server may touch its BMC. `ingot accept %s` first", s.Name, s.Name)
	}
	id := r.env.ID()
	changed := s.DeepCopy()
	changed.Spec.BMCRequest = &metal.BMCRequest{ID: id, Action: metal.BMCRotate, RequestedAt: metav1.NewTime(r.env.Now())}
	if err := c.Patch(ctx, changed, client.MergeFrom(s)); err != nil {
		return fmt.Errorf("asking for it: %w", explain(err))
	}
	if !r.wait {
		fmt.Fprintf(r.env.Streams.Out, "server/%s: a fresh BMC account is asked for; `ingot why %s` shows how far it is\n", s.Name, s.Name)
		return nil
	}
	return r.follow(ctx, c, s.Name, id)
}

// follow waits until the account is done, or failed.
func (r *rotation) follow(ctx context.Context, c client.WithWatch, name, id string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	w, err := c.Watch(ctx, &metal.ServerList{}, client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)})
	if err != nil {
		return explain(err)
	}
	defer w.Stop()
	last := "the controller did not take it up; is it running?"
	for e := range w.ResultChan() {
		s, ok := e.Object.(*metal.Server)
		if !ok || recordOf(s).BMCRequest != id {
			continue
		}
		a := recordOf(s).BMCAccount
		switch {
		case a == nil:
			return fmt.Errorf("%s: the controller dropped the request; does this machine's clock agree with the controller's? See `ingot why %s`", name, name)
		case a.Step == metal.BMCAccountDone:
			fmt.Fprintf(r.env.Streams.Out, "server/%s: Ingot uses the account %s\n", name, a.Username)
			return nil
		case a.Step == metal.BMCAccountFailed:
			return fmt.Errorf("%s: %s What worked before works on", name, a.Problem)
		}
		if m := condition(s, reasons.BMCAccount); m != nil && m.Message != "" {
			last = m.Message
		}
	}
	return &ExitError{Code: CodeTimeout, Err: fmt.Errorf("%s: no fresh account within %s (%s); Ingot goes on, see `ingot why %s`", name, r.timeout, last, name)}
}
