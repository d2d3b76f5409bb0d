package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

func newWhy(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:               "why SERVER|claim/NAME",
		Short:             "Explain the state of a server or a claim: what is so, why, and who has to act next",
		Example:           "  ingot why rack1-07\n  ingot why claim/worker-1 -n team",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: env.completeWhy,
		RunE: func(cmd *cobra.Command, args []string) error {
			if is, name := isClaim(args[0]); is {
				return env.whyClaim(cmd.Context(), name)
			}
			return env.why(cmd.Context(), args[0])
		},
	}
}

func (e *Env) why(ctx context.Context, name string) error {
	name = trimKind(name)
	c, err := e.Client()
	if err != nil {
		return err
	}
	s, err := e.server(ctx, c, name)
	if err != nil {
		return err
	}
	explainServer(e.Streams.Out, s, e.Now())
	return nil
}

// trimKind accepts server/NAME as kubectl does.
func trimKind(name string) string {
	for _, kind := range []string{"server/", "servers/", "srv/"} {
		name = strings.TrimPrefix(name, kind)
	}
	return name
}

// explainServer prints what the controller wrote down, the most important first.
func explainServer(out io.Writer, s *metal.Server, now time.Time) {
	fmt.Fprintf(out, "%s is %s%s.\n", s.Name, stateOf(s), readyClause(s))
	if s.Status.ObservedGeneration < s.Generation {
		fmt.Fprintln(out, "The controller has not seen the last change yet; what follows is older. Is it running?")
	}
	fmt.Fprintln(out)
	printConditions(out, s.Status.Conditions, now)
	fmt.Fprintln(out)
	if showDisks(s) {
		printDisks(out, s.Status.Disks)
		fmt.Fprintln(out)
	}
	for _, line := range wipeProgress(s) {
		fmt.Fprintf(out, "Wiping:       %s (told %s ago)\n", line, age(s.Status.Wipe.UpdatedAt, now))
	}
	if line := claimLine(s, now); line != "" {
		fmt.Fprintln(out, "Claim:       ", line)
	}
	fmt.Fprintln(out, "Power:       ", powerLine(s, now))
	fmt.Fprintln(out, "Next netboot:", bootLine(s))
	if i := s.Status.Inventory; i != nil {
		fmt.Fprintf(out, "Hardware:     %s\n", strings.Join(nonEmpty(i.Manufacturer, i.Product, i.CPU, i.Memory, i.Disks, i.NICs), ", "))
	}
	for _, b := range s.Status.Boots {
		fmt.Fprintf(out, "%-13s %s\n", bootAge(b, now), bootStages(b))
	}
	for _, command := range nextSteps(s) {
		fmt.Fprintf(out, "Next:         %s\n", command)
	}
}

// showDisks says that a person can learn something from the table of disks: one is in the way, waits for a yes, or nobody accepted the server yet.
func showDisks(s *metal.Server) bool {
	return len(s.Status.Disks) > 0 && !s.Spec.Accepted || slices.ContainsFunc(s.Status.Disks, func(d metal.DiskStatus) bool { return d.Verdict == metal.DiskBlocked || d.NeedsConfirmation })
}

// nextSteps are the commands that bring a server on which a person has to act further; none for the others.
func nextSteps(s *metal.Server) []string {
	var steps []string
	add := func(wanted bool, step string) {
		if wanted {
			steps = append(steps, fmt.Sprintf(step, s.Name))
		}
	}
	has := func(kind string, wanted ...string) bool {
		c := condition(s, kind)
		return c != nil && c.Status != metav1.ConditionTrue && slices.Contains(wanted, c.Reason)
	}
	_, paused := s.Annotations[pausedAnnotation]
	add(recordOf(s).Quarantine != nil, "ingot lift %s  # when it is put right")
	add(paused, "ingot resume %s")
	add(s.Spec.Cordoned, "ingot uncordon %s  # lets claims take it")
	add(has(reasons.Ready, reasons.NotAccepted, reasons.EvidenceNeeded, reasons.Restored), "ingot accept %s --dry-run  # shows what would be erased")
	add(has(reasons.Clean, reasons.DataNeedsConfirmation, reasons.DisksChanged), "ingot accept %s --wipe-data")
	add(has(reasons.Clean, reasons.DisksBlocked), "ingot accept %s --ignore-disk SERIAL")
	add(has(reasons.Released, reasons.FencingUnconfirmed), "ingot release --server %s --confirm-powered-off  # only when you saw that it is off")
	add(hasReason(s, reasons.ClaimMissing), "ingot release --server %s  # if its claim shall not come back")
	add(hasReason(s, reasons.AgentImageMissing), "ingot up --agent-image FOLDER  # or pxe-server, with the image that is missing; then %s goes on by itself")
	if s.Spec.BMC == nil {
		return append(steps, byHand(s)...)
	}
	add(hasReason(s, reasons.DiskBootFailed) || hasReason(s, reasons.WorkloadSilent), "ingot console %s")
	add(has(reasons.BootExpected, reasons.BootNotHonored), "ingot console %s")
	add(has(reasons.BootExpected, reasons.BootNotHonored), "ingot power cycle %s  # tries again")
	return steps
}

// byHand is what is left for a server without a BMC whose installed system does not boot: no command of ours reaches it.
func byHand(s *metal.Server) []string {
	r := recordOf(s)
	if r.Claim == nil || r.Release != nil || r.Installed == nil || !hasReason(s, reasons.WorkloadSilent) && !hasReason(s, reasons.DiskBootFailed) && !hasReason(s, reasons.AwaitingPower) {
		return nil
	}
	return []string{
		"look at the machine's screen; press its power button if it hangs or is off",
		fmt.Sprintf("ingot release %s -n %s  # only if its system cannot be saved; then restart the machine from the network", r.Claim.Name, r.Claim.Namespace),
	}
}

// claimLine is whom a server belongs to, and how far it came; empty for one that belongs to nobody.
func claimLine(s *metal.Server, now time.Time) string {
	r := recordOf(s)
	if r.Claim == nil {
		return ""
	}
	line := fmt.Sprintf("%s/%s, since %s", r.Claim.Namespace, r.Claim.Name, age(r.Claim.At, now))
	for _, part := range [][2]string{{"class", r.Claim.Class}, {"Environment", r.Claim.Environment}} {
		if part[1] != "" {
			line += fmt.Sprintf(", %s %s", part[0], part[1])
		}
	}
	if i := r.Installed; i != nil && i.BindingID == r.Claim.BindingID {
		line += fmt.Sprintf("; installed %s ago", age(i.At, now))
		if i.RunningAt != nil {
			line += fmt.Sprintf(", first seen running %s ago", age(*i.RunningAt, now))
		}
	}
	return line
}

func stateOf(s *metal.Server) string {
	if s.Status.State == "" {
		return "new: the controller has not looked at it yet"
	}
	return string(s.Status.State)
}

// readyClause is the Ready condition as half a sentence.
func readyClause(s *metal.Server) string {
	for _, c := range s.Status.Conditions {
		if c.Type != reasons.Ready {
			continue
		}
		if c.Status == metav1.ConditionTrue {
			return " and ready"
		}
		return ": " + strings.TrimSuffix(c.Message, ".")
	}
	return ""
}

// ordered puts Ready first, then what is not true, then the rest by name.
func ordered(conditions []metav1.Condition) []metav1.Condition {
	sorted := slices.Clone(conditions)
	rank := func(c metav1.Condition) int {
		switch {
		case c.Type == reasons.Ready:
			return 0
		case c.Status != metav1.ConditionTrue:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(sorted, func(a, b metav1.Condition) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Type, b.Type)
	})
	return sorted
}

func powerLine(s *metal.Server, now time.Time) string {
	p := s.Status.Power
	switch {
	case s.Spec.BMC == nil:
		return "unknown; no spec.bmc, so a person presses the button"
	case p == nil || p.ObservedAt == nil:
		return "unknown; the BMC has not answered yet"
	}
	if p.State == metal.PowerUnknown {
		return fmt.Sprintf("unknown; the last reading that counts is %s old", age(*p.ObservedAt, now))
	}
	return fmt.Sprintf("%s, as the BMC said %s ago", p.State, age(*p.ObservedAt, now))
}

// bootAge is when a boot began.
func bootAge(b metal.BootTimeline, now time.Time) string {
	if len(b.Stages) == 0 {
		return "Boot:"
	}
	return "Boot " + age(metav1.NewTime(b.Stages[0].At.Time), now) + " ago:"
}

func bootLine(s *metal.Server) string {
	b := s.Status.Boot
	if b == nil {
		return "not decided yet"
	}
	switch b.Target {
	case metal.BootTargetAgent:
		return "Ingot's agent"
	case metal.BootTargetLocalDisk:
		return "its own disk"
	case metal.BootTargetOS:
		return "the operating system of its Environment"
	case metal.BootTargetIdle:
		return "it waits in the boot script"
	case metal.BootTargetNoAnswer:
		return "no answer"
	}
	return string(b.Target)
}

// bootStages is one boot's timeline in one line: each stage with the seconds since the first.
func bootStages(b metal.BootTimeline) string {
	var parts []string
	for _, s := range b.Stages {
		parts = append(parts, fmt.Sprintf("%s +%.1fs", s.Stage, s.At.Sub(b.Stages[0].At.Time).Seconds()))
	}
	line := strings.Join(parts, ", ")
	if b.Firmware != "" {
		line += " (" + b.Firmware + ")"
	}
	return line
}

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func age(at metav1.Time, now time.Time) string {
	if at.IsZero() {
		return "?"
	}
	return duration.HumanDuration(max(0, now.Sub(at.Time)))
}
