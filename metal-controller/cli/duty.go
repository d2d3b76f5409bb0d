package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// pausedAnnotation stops everything that Ingot would begin by itself on a server.
const pausedAnnotation = "metal.ingot.dev/paused"

// setting is a command that changes one thing of servers at once and tells what that means.
type setting struct {
	use, short, long, example string
	// change changes the server; it is false when the server is so already.
	change func(*metal.Server) bool
	// done and already are what is told, after the server's name.
	done, already string
}

func settings() []setting {
	return []setting{
		{
			"cordon SERVER...", "Keep servers out of new claims; what runs on them goes on", "", "  ingot cordon rack1-07",
			func(s *metal.Server) bool { was := s.Spec.Cordoned; s.Spec.Cordoned = true; return !was },
			"cordoned: no new claim takes it, and what runs goes on; `ingot uncordon %s` ends it", "is cordoned already",
		},
		{
			"uncordon SERVER...", "Let claims take servers again", "", "  ingot uncordon rack1-07",
			func(s *metal.Server) bool { was := s.Spec.Cordoned; s.Spec.Cordoned = false; return was },
			"uncordoned: claims may take %s when it is Available", "is not cordoned",
		},
		{
			"pause SERVER...", "Let Ingot begin nothing by itself on servers: no boot, no wipe, no power",
			"Let Ingot begin nothing by itself on servers: no boot, no wipe, no power. What a person asks for (`ingot power`) is\n" +
				"still done, and a wipe that an agent has begun goes on: disks cannot be half erased. It is the annotation " + pausedAnnotation + ".",
			"  ingot pause rack1-07", pause, "paused: Ingot begins nothing by itself; `ingot resume %s` ends it", "is paused already",
		},
		{
			"resume SERVER...", "End a pause", "", "  ingot resume rack1-07", resume,
			"resumed: Ingot goes on where it was; `ingot why %s` shows with what", "is not paused",
		},
	}
}

func pause(s *metal.Server) bool {
	if _, ok := s.Annotations[pausedAnnotation]; ok {
		return false
	}
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, pausedAnnotation, "true")
	return true
}

func resume(s *metal.Server) bool {
	_, ok := s.Annotations[pausedAnnotation]
	delete(s.Annotations, pausedAnnotation)
	return ok
}

func (set setting) command(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: set.use, Short: set.short, Long: set.long, Example: set.example,
		Args: usage(cobra.MinimumNArgs(1)), ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.eachServer(cmd.Context(), args, set.one(env))
		},
	}
}

// eachServer does something with every server that is named, and goes on after one that fails.
func (e *Env) eachServer(ctx context.Context, names []string, do func(context.Context, client.WithWatch, *metal.Server) error) error {
	c, err := e.Client()
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		s, err := e.server(ctx, c, trimKind(name))
		if err == nil {
			err = do(ctx, c, s)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return joined(failed)
}

func (set setting) one(env *Env) func(context.Context, client.WithWatch, *metal.Server) error {
	return func(ctx context.Context, c client.WithWatch, s *metal.Server) error {
		patch := client.MergeFrom(s.DeepCopy())
		if !set.change(s) {
			fmt.Fprintf(env.Streams.Out, "server/%s %s; nothing was changed\n", s.Name, set.already)
			return nil
		}
		if err := c.Patch(ctx, s, patch); err != nil {
			return fmt.Errorf("changing %s: %w", s.Name, explain(err))
		}
		fmt.Fprintf(env.Streams.Out, "server/%s "+set.done+"\n", s.Name, s.Name)
		return nil
	}
}

// quarantine is the request of `ingot quarantine` and `ingot lift`.
type quarantine struct {
	env     *Env
	message string
	wait    bool
	timeout time.Duration
}

func newQuarantine(env *Env) *cobra.Command {
	q := &quarantine{env: env}
	cmd := &cobra.Command{
		Use:   "quarantine SERVER... --message TEXT",
		Short: "Keep servers out of allocation, with the reason; a running server keeps running",
		Long: "Keep servers out of allocation, with the reason. A running server keeps running. No boot and no wipe begins, and `ingot lift`\n" +
			"restores the state before: it wipes nothing that was clean.",
		Example: "  ingot quarantine rack1-07 --message 'fan 3 fails, ticket 4711'",
		Args:    usage(cobra.MinimumNArgs(1)), ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.message == "" || len(q.message) > maxMessage {
				return &ExitError{Code: CodeUsage, Err: fmt.Errorf("%s needs --message TEXT with at most %d bytes: why, for whoever finds the server next", cmd.CommandPath(), maxMessage)}
			}
			return env.eachServer(cmd.Context(), args, q.set)
		},
	}
	cmd.Flags().StringVarP(&q.message, "message", "m", "", "why, as `text` for whoever finds the server next")
	q.flags(cmd)
	return cmd
}

// maxMessage is what the API takes.
const maxMessage = 512

func newLift(env *Env) *cobra.Command {
	q := &quarantine{env: env}
	cmd := &cobra.Command{
		Use:   "lift SERVER...",
		Short: "End a quarantine: the server gets its state before back",
		Long: "End a quarantine: the server gets its state before back. Nothing that was clean is wiped. After a wipe that failed, the wipe\n" +
			"begins again, in a new boot: replace the disk first, or the quarantine comes back.",
		Example: "  ingot lift rack1-07",
		Args:    usage(cobra.MinimumNArgs(1)), ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error { return env.eachServer(cmd.Context(), args, q.lift) },
	}
	q.flags(cmd)
	return cmd
}

func (q *quarantine) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&q.wait, "wait", true, "wait until the controller has recorded it")
	cmd.Flags().DurationVar(&q.timeout, "timeout", 30*time.Second, "how long to wait for each server")
}

func (q *quarantine) set(ctx context.Context, c client.WithWatch, s *metal.Server) error {
	if r := recordOf(s).Quarantine; r != nil {
		fmt.Fprintf(q.env.Streams.Out, "server/%s is quarantined already (%s: %s); nothing was changed\n", s.Name, r.Reason, r.Message)
		return nil
	}
	return q.ask(ctx, c, s, metal.QuarantineSet, fmt.Sprintf("quarantined: nothing new begins on it, and what runs goes on; when it is put right: `ingot lift %s`", s.Name))
}

func (q *quarantine) lift(ctx context.Context, c client.WithWatch, s *metal.Server) error {
	r := recordOf(s).Quarantine
	if r == nil {
		fmt.Fprintf(q.env.Streams.Out, "server/%s is not quarantined; nothing was changed\n", s.Name)
		return nil
	}
	next := fmt.Sprintf("has its state before back; `ingot why %s` shows it", s.Name)
	if r.Reason == reasons.WipeFailed {
		next = fmt.Sprintf("is wiped again, in a new boot; `ingot why %s` shows how far it is", s.Name)
	}
	return q.ask(ctx, c, s, metal.QuarantineLift, "is no longer quarantined and "+next)
}

// ask writes the request, and says what it came to.
func (q *quarantine) ask(ctx context.Context, c client.WithWatch, s *metal.Server, action metal.QuarantineAction, done string) error {
	id := q.env.ID()
	changed := s.DeepCopy()
	changed.Spec.QuarantineRequest = &metal.QuarantineRequest{ID: id, Action: action, Message: q.message, RequestedAt: metav1.NewTime(q.env.Now())}
	err := c.Patch(ctx, changed, client.MergeFrom(s))
	if apierrors.IsInvalid(err) {
		return &ExitError{Code: CodeUsage, Err: err}
	}
	if err != nil {
		return fmt.Errorf("asking for it: %w", explain(err))
	}
	if !q.wait {
		fmt.Fprintf(q.env.Streams.Out, "server/%s: asked to %s\n", s.Name, lowerFirst(string(action)))
		return nil
	}
	if err := q.follow(ctx, c, s.Name, id, action); err != nil {
		return err
	}
	fmt.Fprintf(q.env.Streams.Out, "server/%s %s\n", s.Name, done)
	return nil
}

// follow waits until the record says that the request was done or dropped.
func (q *quarantine) follow(ctx context.Context, c client.WithWatch, name, id string, action metal.QuarantineAction) error {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	w, err := c.Watch(ctx, &metal.ServerList{}, client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)})
	if err != nil {
		return explain(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		s, ok := e.Object.(*metal.Server)
		if !ok || recordOf(s).QuarantineRequest != id {
			continue
		}
		if (recordOf(s).Quarantine != nil) == (action == metal.QuarantineSet) {
			return nil
		}
		return fmt.Errorf("%s: the controller dropped the request; does this machine's clock agree with the controller's? See `ingot why %s`", name, name)
	}
	return &ExitError{Code: CodeTimeout, Err: fmt.Errorf("%s: the controller did not answer within %s; is it running? The request counts for ten minutes, see `ingot why %s`", name, q.timeout, name)}
}
