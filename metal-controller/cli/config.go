package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/machineconfig"
)

func newConfig(env *Env) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Preview machine configs, and show which machine got which"}
	group(cmd)
	cmd.AddCommand(newConfigPreview(env), newConfigAudit(env))
	return cmd
}

func newConfigPreview(env *Env) *cobra.Command {
	var values bool
	cmd := &cobra.Command{
		Use:   "preview CLAIM",
		Short: "Show what the machine config of a claim is made of: each value with where it comes from",
		Long: "Show what the machine config of a claim is made of: each value with where it comes from: the claim's Secret, Ingot itself, or a\n" +
			"patch of class, claim or server. Values are shown with --values; what looks like a secret never is. A config that Talos would not take is\n" +
			"shown too, and then it is said why, and the command fails.\n\nIt reads the Secret with your rights, not with Ingot's.",
		Example: "  ingot config preview web-0 -n prod\n  ingot config preview web-0 -n prod --values",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.previewConfig(cmd.Context(), args[0], values)
		},
	}
	cmd.Flags().BoolVar(&values, "values", false, "show values too; what looks like a secret never is shown")
	return cmd
}

func (e *Env) previewConfig(ctx context.Context, name string, values bool) error {
	c, err := e.Client()
	if err != nil {
		return err
	}
	claim, err := e.claim(ctx, c, trimClaim(name))
	if err != nil {
		return err
	}
	p, err := e.buildConfig(ctx, c, claim)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.Streams.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "DOCUMENT\tPATH\tVALUE\tFROM")
	for _, l := range machineconfig.Preview(p.config, values) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(l.Document), printable(l.Path), l.Value, l.Origin)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range p.notes {
		fmt.Fprintln(e.Streams.ErrOut, n)
	}
	if p.invalid != nil {
		return fmt.Errorf("the machine config is invalid: Talos would not take it: %w", p.invalid)
	}
	return nil
}

// readOne reads one object; one that is not there gets an error that names the next step.
func readOne[O client.Object](ctx context.Context, c client.Client, into O, key client.ObjectKey) (O, error) {
	err := c.Get(ctx, key, into)
	switch {
	case apierrors.IsNotFound(err):
		kind, next := missing(into, key)
		return into, fmt.Errorf("%s %q does not exist; %s", kind, key.Name, next)
	case err != nil:
		return into, explain(err)
	}
	return into, nil
}

// printable keeps a config's odd keys from moving the cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

func newConfigAudit(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "audit SERVER",
		Short: "Show which machine config left for a server, when and to which address, and who was refused",
		Long: "Show which machine config left for a server: when, in which boot, to which address, and the SHA-256 of its bytes; and who was refused.\n" +
			"The last boot and the installed system are on record; the rest are events, which the API server keeps for about an hour. The log of the\n" +
			"controllers has all of it, in lines that begin with `audit`.",
		Example:           "  ingot config audit rack1-07",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: env.completeServer,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.auditConfig(cmd.Context(), trimKind(args[0]))
		},
	}
}

func (e *Env) auditConfig(ctx context.Context, name string) error {
	c, err := e.Client()
	if err != nil {
		return err
	}
	s, events, err := e.history(ctx, c, name)
	if err != nil {
		return err
	}
	lines := append(releases(s), handovers(events.Items)...)
	slices.SortStableFunc(lines, func(a, b entry) int { return a.at.Compare(b.at) })
	if len(lines) == 0 {
		fmt.Fprintf(e.Streams.Out, "No machine config left for %s, and nobody was refused one.\n", name)
	}
	for _, l := range lines {
		fmt.Fprintf(e.Streams.Out, "%s  %s\n", l.at.UTC().Format(time.RFC3339), l.text)
	}
	return nil
}

// releases are what the record says.
func releases(s *metal.Server) (lines []entry) {
	r := s.Spec.Record
	if r == nil {
		return nil
	}
	add := func(what, boot string, c *metal.ConfigRelease) {
		if c != nil {
			lines = append(lines, entry{c.At.Time, fmt.Sprintf("on record: %s %s got the machine config %s at %s", what, boot, c.SHA256, c.Source)})
		}
	}
	if i := r.Installed; i != nil {
		add("the installed system of the boot", i.BootID, i.Config)
	}
	if b := r.Boot; b != nil && (r.Installed == nil || r.Installed.BootID != b.ID) {
		add("the boot", b.ID, b.Config)
	}
	return lines
}

// handovers are the events about machine configs.
func handovers(events []corev1.Event) (lines []entry) {
	about := []string{reasons.ConfigReleased, reasons.ConfigRefused, reasons.ConfigContested, reasons.ConfigChanged}
	for i := range events {
		if ev := &events[i]; slices.Contains(about, ev.Reason) {
			lines = append(lines, eventEntry(ev))
		}
	}
	return lines
}
