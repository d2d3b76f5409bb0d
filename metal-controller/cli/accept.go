package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

type accept struct {
	env      *Env
	wipeData bool
	level    string
	ignore   []string
	yes      bool
	dryRun   bool
	wait     bool
	timeout  time.Duration
	// again is `ingot wipe`: another wipe of a server that was accepted, also when it is clean.
	again bool
}

func newAccept(env *Env) *cobra.Command {
	a := &accept{env: env}
	cmd := &cobra.Command{
		Use:   "accept SERVER...",
		Short: "Say yes to a server: Ingot then restarts it, erases its own disks and makes it Available",
		Long: `Say yes to a server: Ingot then restarts it, erases its own disks and makes it Available.

First it shows each disk and what will happen to it. Only the server's own disks are ever erased: directly attached, with a
world-wide id that no other server shows. Shared, fabric, removable and virtual disks are never touched; they keep the
server from becoming Available until --ignore-disk names them.

Disks that hold data need --wipe-data as well, and the name of the server typed as an answer (or --yes). Exactly the disks
that were shown are confirmed: one that is put in later needs another yes. What a repository or a backup says again
confirms nothing: a yes counts once, and within ten minutes.`,
		Example: `  ingot accept rack1-07
  ingot accept rack1-07 --wipe-data --wait
  ingot accept rack1-07 rack1-08 --wipe-data --yes --level purge
  ingot accept rack1-07 --ignore-disk usb --ignore-disk naa.5000c500a1b2c3d4
  ingot accept rack1-07 --dry-run`,
		Args: usage(cobra.MinimumNArgs(1)), ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), args) },
	}
	a.flags(cmd)
	cmd.Flags().StringArrayVar(&a.ignore, "ignore-disk", nil, "never touch this `disk` and do not wait for it: a serial number, a WWID, usb or removable (repeatable)")
	complete(cmd, "ignore-disk", "usb", "removable")
	return cmd
}

// flags are those that accept and wipe share.
func (a *accept) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&a.wipeData, "wipe-data", false, "erase the server's own disks that hold data, too")
	f.StringVar(&a.level, "level", "", "how thoroughly to erase: quick, clear or purge (default clear)")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask for the server's name; needed without a terminal")
	f.BoolVar(&a.dryRun, "dry-run", false, "show what would happen, and change nothing")
	f.BoolVar(&a.wait, "wait", false, "wait until the server is Available or needs a person, and show how far it is")
	f.DurationVar(&a.timeout, "timeout", 0, "how long to wait for each server; 0 has no limit")
	complete(cmd, "level", "quick", "clear", "purge")
}

// complete completes the values of a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // fails for a flag that does not exist only
}

func (a *accept) run(ctx context.Context, names []string) error {
	level, err := wipeLevel(a.level)
	if err != nil {
		return err
	}
	c, err := a.env.Client()
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		if err := a.one(ctx, c, trimKind(name), level); err != nil {
			failed = append(failed, err)
		}
	}
	return joined(failed)
}

// joined keeps the exit code of a single error.
func joined(failed []error) error {
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

// wipeLevel reads what a person types.
func wipeLevel(text string) (metal.WipeLevel, error) {
	if text == "" {
		return "", nil
	}
	for _, l := range []metal.WipeLevel{metal.WipeQuick, metal.WipeClear, metal.WipePurge} {
		if strings.EqualFold(text, string(l)) {
			return l, nil
		}
	}
	return "", &ExitError{Code: CodeUsage, Err: fmt.Errorf("--level %q: choose quick, clear or purge", text)}
}

// one shows what will happen to a server, asks, and records the person's yes.
func (a *accept) one(ctx context.Context, c client.WithWatch, name string, level metal.WipeLevel) error {
	s, err := a.env.server(ctx, c, name)
	if err != nil {
		return err
	}
	if a.again {
		if err := wipeable(s); err != nil {
			return err
		}
	}
	g, err := a.plan(ctx, c, s, level)
	if err != nil {
		return err
	}
	if g.nothing() {
		fmt.Fprintln(a.env.Streams.Out, g.whyNothing(a.env.Now()))
		if a.wait && !a.dryRun {
			return a.follow(ctx, c, name, "")
		}
		return nil
	}
	g.show(a.env.Streams.Out)
	if a.dryRun {
		fmt.Fprintf(a.env.Streams.Out, "Nothing was changed (dry run).\n")
		return nil
	}
	if err := a.confirm(g); err != nil {
		return err
	}
	id := a.env.ID()
	if err := a.patch(ctx, c, g, id); err != nil {
		return err
	}
	fmt.Fprint(a.env.Streams.Out, g.next())
	if !a.wait {
		return nil
	}
	if !g.ask {
		id = ""
	}
	return a.follow(ctx, c, name, id)
}

// plan reads what there is and works out what the gesture would do.
func (a *accept) plan(ctx context.Context, c client.Client, s *metal.Server, level metal.WipeLevel) (*gesture, error) {
	i := &metal.ServerInventory{}
	if err := c.Get(ctx, client.ObjectKey{Name: s.Name}, i); client.IgnoreNotFound(err) != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("reading the inventory of %s: %w", s.Name, explain(err))
	}
	return plan(s, i.Spec.Disks, wish{wipeData: a.wipeData, level: level, ignore: a.ignore, again: a.again})
}

// verb is the command that the person typed.
func (a *accept) verb() string {
	if a.again {
		return "wipe"
	}
	return "accept"
}

// confirm refuses what the flags do not allow, and asks before data goes.
func (a *accept) confirm(g *gesture) error {
	data := g.data()
	if len(data) == 0 {
		return nil
	}
	name, list := g.server.Name, strings.Join(labels(data), ", ")
	if !a.wipeData {
		return &ExitError{Code: CodeRefused, Err: fmt.Errorf("%s has %s with data: %s. Nothing was done. To erase that data: ingot %s %s --wipe-data; to keep a disk: ingot accept %s --ignore-disk SERIAL",
			name, number(len(data), "disk"), list, a.verb(), name, name)}
	}
	if a.yes {
		return nil
	}
	return a.env.typed(name, fmt.Sprintf("The data on %s (%s) will be gone for good. Type the name of the server to erase it: ", list, where(g.server)))
}

// attempts is how often a change of the server that has nothing to do with what was shown may come in between.
const attempts = 5

// patch records the yes, if the server still is what was shown.
func (a *accept) patch(ctx context.Context, c client.Client, g *gesture, id string) error {
	s := g.server
	for range attempts {
		changed := s.DeepCopy()
		g.apply(changed, id, metav1.NewTime(a.env.Now()))
		err := c.Patch(ctx, changed, client.MergeFromWithOptions(s, client.MergeFromWithOptimisticLock{}))
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("asking to %s %s: %w", a.verb(), s.Name, explain(err))
		}
		if s, err = a.env.server(ctx, c, s.Name); err != nil {
			return err
		}
		if !sameSight(g.server, s) {
			break
		}
	}
	return &ExitError{Code: CodeRefused, Err: fmt.Errorf("%s changed while you looked at it, so what was shown may be wrong; nothing was done. Look again: ingot %s %s", g.server.Name, a.verb(), g.server.Name)}
}

// sameSight says whether all that a person's yes rests on is as it was shown. Readings of the power and the like may have changed.
func sameSight(shown, now *metal.Server) bool {
	a, b := recordOf(shown), recordOf(now)
	return shown.UID == now.UID && shown.Spec.Accepted == now.Spec.Accepted &&
		equality.Semantic.DeepEqual(shown.Spec.AcceptRequest, now.Spec.AcceptRequest) &&
		equality.Semantic.DeepEqual(shown.Spec.IgnoredDisks, now.Spec.IgnoredDisks) &&
		equality.Semantic.DeepEqual(shown.Spec.BMC, now.Spec.BMC) &&
		equality.Semantic.DeepEqual(shown.Status.Disks, now.Status.Disks) &&
		equality.Semantic.DeepEqual(shown.Status.Inventory, now.Status.Inventory) &&
		equality.Semantic.DeepEqual(a.Acceptance, b.Acceptance) &&
		equality.Semantic.DeepEqual(a.Unverified, b.Unverified) &&
		equality.Semantic.DeepEqual(a.Wipe, b.Wipe) &&
		equality.Semantic.DeepEqual(a.Claim, b.Claim)
}

func recordOf(s *metal.Server) metal.ServerRecord {
	if s.Spec.Record == nil {
		return metal.ServerRecord{}
	}
	return *s.Spec.Record
}

// number writes "1 disk", "2 disks".
func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// labels name disks for people: by serial number, which is on the disk's sticker.
func labels(list []metal.DiskStatus) []string {
	var all []string
	for _, d := range list {
		all = append(all, fmt.Sprintf("%s (serial %s)", plain(cmp.Or(d.Name, "disk")), plain(cmp.Or(d.Serial, d.WWID))))
	}
	return all
}
