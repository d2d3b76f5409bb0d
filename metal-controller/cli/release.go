package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

type release struct {
	env        *Env
	server     string
	confirmed  bool
	loseMember bool
	message    string
	yes        bool
	dryRun     bool
	wait       bool
	timeout    time.Duration
}

func newRelease(env *Env) *cobra.Command {
	r := &release{env: env}
	cmd := &cobra.Command{
		Use:   "release CLAIM",
		Short: "Give a claimed server back: it is shut down, proven off, and its own disks are wiped",
		Long: `Give a claimed server back: its claim is deleted, its operating system is shut down, and once its BMC proves it off, its own disks are
wiped and it is Available again. Without a BMC a person restarts the machine from the network: the agent that enrols on it then is the proof.
First it shows which server that is, and asks for the name of the claim (or --yes).

A control plane of a Talos cluster leaves its etcd first, through another control plane. While etcd does not let it go, since too few others are left
or up, nothing is released. --lose-etcd-member goes on all the same: the cluster may stand still after that, and its data may be gone.

With --server it is the word of a person about a server itself, for what Ingot cannot know:
  --confirm-powered-off   a release is under way (or the claim is gone), and no BMC proves that the machine is off. You saw that it is: a
                          machine that runs on would write to storage and answer on the network while Ingot hands its place to another.
  without it              the claim is gone without having been released, as after a restore (ClaimMissing). The machine is shut down
                          and proven off as in any release. If the claim shall live, apply it again instead.`,
		Example: `  ingot release worker-1 --wait
  ingot release db-1 -n databases --yes
  ingot release --server rack1-07 --confirm-powered-off -m 'unplugged, ticket 4711'
  ingot release --server rack1-07`,
		Args: r.args,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return env.completeClaims(cmd, args, prefix, "")
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	f := cmd.Flags()
	f.StringVar(&r.server, "server", "", "say something of this `server` instead of deleting a claim")
	f.BoolVar(&r.confirmed, "confirm-powered-off", false, "with --server: you saw that the machine is off")
	f.BoolVar(&r.loseMember, "lose-etcd-member", false, "release a control plane that its cluster's etcd does not let go, also one that is being released")
	f.StringVarP(&r.message, "message", "m", "", "with --server: why, as `text` for whoever looks at it later")
	f.BoolVarP(&r.yes, "yes", "y", false, "do not ask for the name; needed without a terminal")
	f.BoolVar(&r.dryRun, "dry-run", false, "show what would happen, and change nothing")
	f.BoolVar(&r.wait, "wait", false, "wait until the server no longer belongs to the claim, and show how far it is")
	f.DurationVar(&r.timeout, "timeout", 0, "how long to wait; 0 has no limit")
	_ = cmd.RegisterFlagCompletionFunc("server", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return env.completeServers(cmd, nil, prefix)
	})
	return cmd
}

// args wants a claim or --server, and refuses what would mean two things at once.
func (r *release) args(cmd *cobra.Command, args []string) error {
	help := fmt.Sprintf("; see `%s --help`", cmd.CommandPath())
	switch {
	case r.server != "" && len(args) > 0:
		return misused("%s takes CLAIM or --server, not both%s", cmd.CommandPath(), help)
	case r.server != "" && r.loseMember:
		return misused("--lose-etcd-member says something of a claim; name it instead of --server%s", help)
	case r.server == "" && (r.confirmed || r.message != ""):
		return misused("--confirm-powered-off and --message say something of a server; name it with --server%s", help)
	case len(r.message) > maxMessage:
		return misused("--message has at most %d bytes%s", maxMessage, help)
	case r.server != "":
		return nil
	}
	return usage(cobra.ExactArgs(1))(cmd, args)
}

func (r *release) run(ctx context.Context, args []string) error {
	c, err := r.env.Client()
	if err != nil {
		return err
	}
	if r.server != "" {
		return r.byServer(ctx, c, trimKind(r.server))
	}
	return r.byClaim(ctx, c, trimClaim(args[0]))
}

// byClaim shows what a claim holds, asks, and deletes it.
func (r *release) byClaim(ctx context.Context, c client.WithWatch, name string) error {
	claim, err := r.env.claim(ctx, c, name)
	if err != nil {
		return err
	}
	s, err := r.held(ctx, c, claim)
	if err != nil {
		return err
	}
	r.show(claim, s)
	switch {
	case r.dryRun:
		fmt.Fprintln(r.env.Streams.Out, "Nothing was changed (dry run).")
		return nil
	case claim.DeletionTimestamp != nil:
		if err := r.loses(ctx, c, claim); err != nil {
			return err
		}
	case !r.yes && claim.Spec.Binding != nil:
		if err := r.env.typed(name, fmt.Sprintf("Type the name of the claim to release %s: ", claim.Spec.Binding.Server)); err != nil {
			return err
		}
		fallthrough
	default:
		if err := r.loses(ctx, c, claim); err != nil {
			return err
		}
		if err := r.delete(ctx, c, claim); err != nil {
			return err
		}
		fmt.Fprintf(r.env.Streams.Out, "claim/%s is deleted%s\n", name, afterwards(claim))
	}
	if !r.wait {
		return nil
	}
	return r.followClaim(ctx, c, claim)
}

// held is the server of a claim; nil when it has none, or when the person may not read it.
func (r *release) held(ctx context.Context, c client.Client, claim *metal.ServerClaim) (*metal.Server, error) {
	if claim.Spec.Binding == nil {
		return nil, nil
	}
	s := &metal.Server{}
	err := c.Get(ctx, client.ObjectKey{Name: claim.Spec.Binding.Server}, s)
	switch {
	case err == nil:
		return s, nil
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		return nil, nil
	}
	return nil, explain(err)
}

func afterwards(claim *metal.ServerClaim) string {
	if claim.Spec.Binding == nil {
		return "; it held no server"
	}
	return fmt.Sprintf("; %s is shut down, proven off and wiped: see `ingot why %s`", claim.Spec.Binding.Server, claim.Spec.Binding.Server)
}

// show prints what a release comes to.
func (r *release) show(claim *metal.ServerClaim, s *metal.Server) {
	out := r.env.Streams.Out
	if claim.Spec.Binding == nil {
		fmt.Fprintf(out, "%s holds no server; nothing will be wiped.\n", claimName(claim))
		return
	}
	where1 := ""
	if s != nil {
		where1 = " (" + where(s) + ")"
	}
	fmt.Fprintf(out, "%s holds server/%s%s.\n", claimName(claim), claim.Spec.Binding.Server, where1)
	for _, o := range claim.OwnerReferences {
		fmt.Fprintf(out, "It belongs to %s/%s, which may claim a server again; to end that, delete its owner instead.\n", plain(o.Kind), plain(o.Name))
	}
	if claim.DeletionTimestamp != nil {
		fmt.Fprintf(out, "It is being released already, since %s.\n", age(*claim.DeletionTimestamp, r.env.Now()))
		return
	}
	fmt.Fprintf(out, "Its operating system will be shut down, and all data on %s will be gone for good.\n", wipedDisks(s))
}

// wipedDisks names the disks that the wipe after a release erases: those that the workload was given, which the wipe before covered.
func wipedDisks(s *metal.Server) string {
	if s == nil || recordOf(s).Wipe == nil {
		return "its own disks"
	}
	var all []metal.DiskStatus
	for _, id := range recordOf(s).Wipe.Disks {
		d := metal.DiskStatus{DiskID: id}
		for _, known := range s.Status.Disks {
			if known.DiskID == id {
				d = known
			}
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		return "its own disks"
	}
	return joinWords(labels(all))
}

// loses writes the word down that the server need not leave its cluster's etcd, for the binding that was shown.
func (r *release) loses(ctx context.Context, c client.Client, claim *metal.ServerClaim) error {
	if !r.loseMember || claim.Spec.Binding == nil {
		return nil
	}
	before := claim.DeepCopy()
	if claim.Annotations == nil {
		claim.Annotations = map[string]string{}
	}
	claim.Annotations[metal.LoseMemberAnnotation] = claim.Spec.Binding.BindingID
	if err := c.Patch(ctx, claim, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("writing %s: %w", claimName(claim), explain(err))
	}
	fmt.Fprintf(r.env.Streams.Out, "%s is released although its server may be a member of etcd\n", claimName(claim))
	return nil
}

// delete deletes the claim if it still is what was shown.
func (r *release) delete(ctx context.Context, c client.Client, shown *metal.ServerClaim) error {
	now := shown
	for range attempts {
		err := c.Delete(ctx, now, client.Preconditions{UID: &now.UID, ResourceVersion: &now.ResourceVersion})
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("deleting %s: %w", claimName(shown), explain(err))
		}
		if now, err = r.env.claim(ctx, c, shown.Name); err != nil {
			return err
		}
		if now.UID != shown.UID || !equality.Semantic.DeepEqual(now.Spec.Binding, shown.Spec.Binding) {
			break
		}
	}
	return refused("%s changed while you looked at it, so what was shown may be wrong; nothing was done. Look again: ingot release %s -n %s --dry-run", claimName(shown), shown.Name, shown.Namespace)
}

// releaseRequest is the gesture as the API keeps it.
func (r *release) request(s *metal.Server, id string) *metal.ReleaseRequest {
	return &metal.ReleaseRequest{
		ID: id, BindingID: recordOf(s).Claim.BindingID, ConfirmPoweredOff: r.confirmed, Message: r.message, RequestedAt: metav1.NewTime(r.env.Now()),
	}
}
