package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// adoption is one call of `ingot adopt`.
type adoption struct {
	env     *Env
	from    string
	force   bool
	yes     bool
	dryRun  bool
	timeout time.Duration
}

func newAdopt(env *Env) *cobra.Command {
	a := &adoption{env: env}
	cmd := &cobra.Command{
		Use:   "adopt SERVER...",
		Short: "Take servers over from another installation of Ingot",
		Long: `Take servers over from another installation of Ingot, which acts on them no more after that: no power, no wipe, no boot. Run it against the
API server that shall manage them. Servers whose claims clusterctl moves go over by themselves; this is for the others.

With --from it asks the other installation first to let each server go, waits until it did, and brings the Server as it was left, with its inventory
and the Secret of its BMC. A claimed server goes over as it is: apply its ServerClaim here too, with its spec.binding, or it is ClaimMissing.

Without --from the Server must be here already, as clusterctl move leaves it, and its record must say that the other one let it go. --force takes it over
all the same: if the other installation lives, both will act on one machine, and switch off or wipe under each other. What is known of the server
may be old, so nothing is done to it until a person accepts it again, or its workload tells that it runs.`,
		Example: "  ingot adopt rack1-07 rack1-08 --from old.kubeconfig\n  ingot adopt rack1-09",
		Args:    usage(cobra.MinimumNArgs(1)), ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), args) },
	}
	f := cmd.Flags()
	f.StringVar(&a.from, "from", "", "kubeconfig `file` of the API server that manages them now")
	f.BoolVar(&a.force, "force", false, "take over a server that its installation did not let go; that one must be gone for good")
	f.BoolVarP(&a.yes, "yes", "y", false, "with --force: do not ask for the name; needed without a terminal")
	f.BoolVar(&a.dryRun, "dry-run", false, "show what would happen, and change nothing")
	f.DurationVar(&a.timeout, "timeout", 10*time.Minute, "how long to wait for each server")
	_ = cmd.MarkFlagFilename("from")
	cmd.MarkFlagsMutuallyExclusive("from", "force")
	return cmd
}

func (a *adoption) run(ctx context.Context, names []string) error {
	if a.from == "" {
		return a.env.eachServer(ctx, names, a.take)
	}
	source, err := a.source()
	if err != nil {
		return err
	}
	here, err := a.env.Client()
	if err != nil {
		return err
	}
	for _, name := range names {
		s, err := a.letGo(ctx, source, trimKind(name))
		if err == nil && !a.dryRun {
			err = a.bring(ctx, source, here, s)
		}
		if err != nil {
			return err
		}
	}
	if a.dryRun {
		return nil
	}
	return a.env.eachServer(ctx, names, a.take)
}

// source is a client of the API server that --from names.
func (a *adoption) source() (client.WithWatch, error) {
	config, err := clientcmd.BuildConfigFromFlags("", a.from)
	if err != nil {
		return nil, fmt.Errorf("reading --from: %w", err)
	}
	return a.env.clientOf(config)
}

// letGo asks the installation that manages a server to let it go, and waits until it did.
func (a *adoption) letGo(ctx context.Context, source client.WithWatch, name string) (*metal.Server, error) {
	s, err := a.env.server(ctx, source, name)
	if err != nil {
		return nil, err
	}
	m := recordOf(s).ManagedBy
	switch {
	case m == nil:
		return nil, refused("%s: nobody manages it there; is a controller running at --from?", name)
	case m.LetGo != nil:
		return s, nil
	case a.dryRun:
		fmt.Fprintf(a.env.Streams.Out, "server/%s: the installation %s would let it go, and this one take it over (dry run)\n", name, m.Installation)
		return s, nil
	}
	changed := s.DeepCopy()
	changed.Spec.OwnerRequest = &metal.OwnerRequest{ID: a.env.ID(), Action: metal.OwnerLetGo, Epoch: m.Epoch, RequestedAt: metav1.NewTime(a.env.Now())}
	if err := source.Patch(ctx, changed, client.MergeFrom(s)); err != nil {
		return nil, fmt.Errorf("asking that %s be let go: %w", name, explain(err))
	}
	fmt.Fprintf(a.env.Streams.ErrOut, "server/%s: waiting for the installation %s to let it go\n", name, m.Installation)
	id := changed.Spec.OwnerRequest.ID
	return a.until(ctx, source, name, "was not let go: something is under way on it there, see `ingot why "+name+" --kubeconfig "+a.from+"`", func(s *metal.Server) (bool, error) {
		r := recordOf(s)
		if r.OwnerRequest == id && (r.ManagedBy == nil || r.ManagedBy.LetGo == nil) {
			return false, refused("%s: the other installation dropped the request; does this machine's clock agree with its own?", s.Name)
		}
		return r.ManagedBy != nil && r.ManagedBy.LetGo != nil, nil
	})
}

// until waits until a Server is as wanted.
func (a *adoption) until(ctx context.Context, c client.WithWatch, name, otherwise string, fits func(*metal.Server) (bool, error)) (*metal.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	w, err := c.Watch(ctx, &metal.ServerList{}, client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)})
	if err != nil {
		return nil, explain(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		s, ok := e.Object.(*metal.Server)
		if !ok {
			continue
		}
		if yes, err := fits(s); yes || err != nil {
			return s, err
		}
	}
	return nil, &ExitError{Code: CodeTimeout, Err: fmt.Errorf("%s %s", name, otherwise)}
}

// take asks this installation to take a Server over that is here.
func (a *adoption) take(ctx context.Context, c client.WithWatch, s *metal.Server) error {
	m := recordOf(s).ManagedBy
	switch {
	case m == nil:
		return refused("%s: no installation manages it yet, and this one takes it by itself", s.Name)
	case m.LetGo == nil && condition(s, reasons.Ready) != nil && condition(s, reasons.Ready).Reason != reasons.UnmanagedHere:
		return refused("%s: this installation manages it already", s.Name)
	case m.LetGo == nil && !a.force:
		return refused("%s: the installation %s did not let it go. `ingot adopt %s --from KUBECONFIG` asks it to; if it is gone for good: --force", s.Name, m.Installation, s.Name)
	case a.dryRun:
		fmt.Fprintf(a.env.Streams.Out, "server/%s: would be taken over from the installation %s (dry run)\n", s.Name, m.Installation)
		return nil
	}
	if err := a.sure(s); err != nil {
		return err
	}
	id := a.env.ID()
	changed := s.DeepCopy()
	changed.Spec.OwnerRequest = &metal.OwnerRequest{ID: id, Action: metal.OwnerAdopt, Epoch: m.Epoch, Force: a.force && m.LetGo == nil, RequestedAt: metav1.NewTime(a.env.Now())}
	if err := c.Patch(ctx, changed, client.MergeFrom(s)); err != nil {
		return fmt.Errorf("asking for it: %w", explain(err))
	}
	after, err := a.until(ctx, c, s.Name, "was not taken over; is the controller running? See `ingot why "+s.Name+"`", func(s *metal.Server) (bool, error) {
		if h := condition(s, reasons.HandedOver); h != nil && h.Reason == reasons.OwnerRequestExpired && strings.Contains(h.Message, id) {
			return false, refused("%s: %s", s.Name, h.Message)
		}
		r := recordOf(s)
		return r.OwnerRequest == id && r.ManagedBy != nil && r.ManagedBy.LetGo == nil, nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.env.Streams.Out, "server/%s: taken over (hand-over %d)\n", after.Name, recordOf(after).ManagedBy.Epoch)
	if u := recordOf(after).Unverified; u != nil {
		fmt.Fprintf(a.env.Streams.Out, "  nothing is done to it until `ingot accept %s`, or until its workload tells that it runs\n", after.Name)
	}
	return nil
}

// sure asks twice before two installations may act on one machine.
func (a *adoption) sure(s *metal.Server) error {
	m := recordOf(s).ManagedBy
	if m.LetGo != nil || !a.force {
		return nil
	}
	fmt.Fprintf(a.env.Streams.ErrOut, "WARNING: the installation %s did not let %s go. If it still runs, or ever runs again, two installations act on one machine:\n"+
		"each may switch it off, or erase its disks, under the other's workload. Go on only if that installation is gone for good.\n", m.Installation, s.Name)
	if a.yes {
		return nil
	}
	return a.env.typed(s.Name, "Type the name of the server to take it over: ")
}
