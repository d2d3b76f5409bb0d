package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// completeWhy completes names of Servers, and of claims behind claim/.
func (e *Env) completeWhy(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if is, _ := isClaim(prefix); is {
		return e.completeClaims(cmd, args, prefix, prefix[:strings.Index(prefix, "/")+1])
	}
	return e.completeServer(cmd, args, prefix)
}

// whyClaim explains a claim, and then its server if it has one.
func (e *Env) whyClaim(ctx context.Context, name string) error {
	c, err := e.Client()
	if err != nil {
		return err
	}
	claim, err := e.claim(ctx, c, name)
	if err != nil {
		return err
	}
	explainClaim(e.Streams.Out, claim, e.Now())
	if claim.Spec.Binding == nil {
		return nil
	}
	s := &metal.Server{}
	err = c.Get(ctx, client.ObjectKey{Name: claim.Spec.Binding.Server}, s)
	switch {
	case apierrors.IsForbidden(err):
		return nil // the claim's conditions are what its owner may see
	case apierrors.IsNotFound(err):
		fmt.Fprintf(e.Streams.Out, "\nThere is no server/%s any more.\n", claim.Spec.Binding.Server)
		return nil
	case err != nil:
		return explain(err)
	}
	fmt.Fprintln(e.Streams.Out)
	explainServer(e.Streams.Out, s, e.Now())
	return nil
}

// explainClaim prints what the controller wrote down about a claim.
func explainClaim(out io.Writer, c *metal.ServerClaim, now time.Time) {
	fmt.Fprintf(out, "%s %s.\n", claimName(c), claimClause(c))
	if c.Status.ObservedGeneration < c.Generation {
		fmt.Fprintln(out, "The controller has not seen the last change yet; what follows is older. Is it running?")
	}
	fmt.Fprintln(out)
	printConditions(out, c.Status.Conditions, now)
	fmt.Fprintln(out)
	if len(c.Status.Unfit) > 0 && c.Spec.Binding == nil {
		printUnfit(out, c.Status.Unfit)
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out, "Wants:       ", describe(c))
	fmt.Fprintln(out, "Config:      ", configLine(c))
	if len(c.Status.Addresses) > 0 {
		fmt.Fprintln(out, "Addresses:   ", strings.Join(c.Status.Addresses, ", "))
	}
	for _, command := range claimSteps(c) {
		fmt.Fprintln(out, "Next:        ", command)
	}
}

// claimClause is what a claim is, as the rest of a sentence.
func claimClause(c *metal.ServerClaim) string {
	ready := claimCondition(c, reasons.Ready)
	because := ""
	if ready != nil && ready.Status != metav1.ConditionTrue {
		because = ": " + plain(strings.TrimSuffix(cmp.Or(ready.Message, ready.Reason), "."))
	}
	switch {
	case c.DeletionTimestamp != nil:
		return "is being released" + because
	case c.Spec.Binding == nil && because == "":
		return "is new: the controller has not looked at it yet"
	case c.Spec.Binding == nil:
		return "waits" + because
	case ready != nil && ready.Status == metav1.ConditionTrue:
		return "is bound to " + c.Spec.Binding.Server + " and ready"
	}
	return "is bound to " + c.Spec.Binding.Server + because
}

// configLine says where the machine config comes from; never what it is.
func configLine(c *metal.ServerClaim) string {
	line := "none"
	if c.Spec.ConfigSecret != "" {
		line = "secret/" + c.Spec.ConfigSecret
	}
	if n := len(c.Spec.Patches); n > 0 {
		line += fmt.Sprintf(", with %d of the claim's own patches", n)
	}
	return line
}

// claimSteps are the commands that bring a claim further on which a person has to act; none for the others.
func claimSteps(c *metal.ServerClaim) []string {
	var steps []string
	add := func(step string, wanted ...string) {
		fits := func(k metav1.Condition) bool {
			return k.Status != metav1.ConditionTrue && slices.Contains(wanted, k.Reason)
		}
		if slices.ContainsFunc(c.Status.Conditions, fits) {
			steps = append(steps, step)
		}
	}
	add("ingot get classes", reasons.ClassMissing)
	add("ingot get environments", reasons.EnvironmentMissing, reasons.EnvironmentNotAllowed)
	add(fmt.Sprintf("kubectl create secret generic %s -n %s --from-file=%s=FILE", cmp.Or(c.Spec.ConfigSecret, "NAME"), c.Namespace, configKey), reasons.ConfigMissing)
	add(fmt.Sprintf("kubectl create secret generic %s-talosconfig -n %s --from-file=talosconfig=FILE", cmp.Or(c.Cluster(), "CLUSTER"), c.Namespace), reasons.ProofMissing)
	if slices.ContainsFunc(c.Status.Unfit, func(u metal.Unfit) bool { return u.Reason == reasons.NotAccepted }) && c.Spec.Binding == nil {
		steps = append(steps, "ingot accept SERVER --dry-run  # of one that is not accepted")
	}
	return steps
}

// printConditions is the table of conditions, the most important first.
func printConditions(out io.Writer, conditions []metav1.Condition, now time.Time) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "CONDITION\tSTATUS\tREASON\tSINCE\tMESSAGE")
	for _, c := range ordered(conditions) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Type, c.Status, c.Reason, age(c.LastTransitionTime, now), c.Message)
	}
	_ = w.Flush() // a reader that is gone is no reason to stop
}
