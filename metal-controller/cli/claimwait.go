package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// claimStuck are the reasons at which waiting for a claim is of no use: somebody has to change something first.
var claimStuck = []string{
	reasons.ClassMissing, reasons.InvalidClass, reasons.NamespaceNotAllowed, reasons.EnvironmentNotAllowed, reasons.EnvironmentMissing,
	reasons.ConfigInvalid, reasons.DiskBootFailed,
}

// follow shows how far a claim is until its workload runs or a person has to act.
func (c *claim) follow(ctx context.Context, api client.WithWatch, wanted *metal.ServerClaim) error {
	waiting, cancel := within(ctx, c.timeout)
	defer cancel()
	last := wanted
	var told []string
	err := watchOne(waiting, api, &metal.ServerClaimList{}, client.ObjectKeyFromObject(wanted), func(o client.Object) (bool, error) {
		now, ok := o.(*metal.ServerClaim)
		if !ok || now.UID != wanted.UID {
			return true, fmt.Errorf("%s was deleted", claimName(wanted))
		}
		last = now
		told = tell(c.env.Streams.ErrOut, "claim/"+now.Name, told, claimStages(now))
		return c.arrived(now)
	})
	if waiting.Err() == nil {
		return err
	}
	printUnfit(c.env.Streams.ErrOut, last.Status.Unfit)
	return stoppedWaiting(ctx, c.timeout, "the workload of "+claimName(wanted), strings.Join(claimStages(last), "; "), lookAt(wanted))
}

// tell prints the lines that were not told before, and gives those that are told now.
func tell(out io.Writer, about string, told, lines []string) []string {
	for _, line := range lines {
		if !slices.Contains(told, line) {
			fmt.Fprintf(out, "%s: %s\n", about, line)
		}
	}
	return lines
}

// lookAt is the command that says more about a claim.
func lookAt(c *metal.ServerClaim) string {
	return fmt.Sprintf("ingot why claim/%s -n %s", c.Name, c.Namespace)
}

// arrived says whether there is nothing left to wait for, and why it did not end well.
func (c *claim) arrived(now *metal.ServerClaim) (bool, error) {
	ready := claimCondition(now, reasons.Ready)
	switch {
	case now.DeletionTimestamp != nil:
		return true, fmt.Errorf("%s is being released", claimName(now))
	case ready == nil || ready.ObservedGeneration < now.Generation:
		return false, nil
	case ready.Status == metav1.ConditionTrue:
		server := ""
		if now.Spec.Binding != nil {
			server = now.Spec.Binding.Server
		}
		fmt.Fprintf(c.env.Streams.Out, "claim/%s is %s on %s\n", now.Name, ready.Reason, server)
		return true, nil
	case slices.Contains(claimStuck, ready.Reason):
		return true, fmt.Errorf("%s waits for a person: %s; see `%s`", claimName(now), reasonLine(ready), lookAt(now))
	}
	return false, nil
}

// claimStages are where a claim is: the server that it got, and what Ready says.
func claimStages(c *metal.ServerClaim) []string {
	var all []string
	if c.Spec.Binding != nil {
		all = append(all, "Bound to "+c.Spec.Binding.Server)
	}
	if ready := claimCondition(c, reasons.Ready); ready != nil {
		return append(all, reasonLine(ready))
	}
	return append(all, "waiting for the controller; is it running?")
}

// reasonLine is a condition in one line.
func reasonLine(c *metav1.Condition) string {
	if c.Message == "" {
		return c.Reason
	}
	return c.Reason + ": " + plain(strings.TrimSuffix(c.Message, "."))
}

func claimCondition(c *metal.ServerClaim, kind string) *metav1.Condition {
	for i := range c.Status.Conditions {
		if c.Status.Conditions[i].Type == kind {
			return &c.Status.Conditions[i]
		}
	}
	return nil
}

// printUnfit is the table of the servers that a waiting claim cannot have; nothing without any.
func printUnfit(out io.Writer, unfit []metal.Unfit) {
	if len(unfit) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "UNFIT\tCOUNT\tSERVERS\tWHY")
	for _, u := range unfit {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", plain(u.Reason), u.Count, plain(unfitServers(u)), plain(cmp.Or(u.Message, "-")))
	}
	_ = w.Flush() // a reader that is gone is no reason to stop
}

// unfitServers names the first servers of a group, and how many more there are.
func unfitServers(u metal.Unfit) string {
	list := strings.Join(u.Servers, ", ")
	if more := int(u.Count) - len(u.Servers); more > 0 && list != "" {
		list += fmt.Sprintf(" and %d more", more)
	}
	return cmp.Or(list, "-")
}
