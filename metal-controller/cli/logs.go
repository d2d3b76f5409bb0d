package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/machinelog"
)

// eventNamespace is where Kubernetes keeps events of cluster-scoped objects.
const eventNamespace = metav1.NamespaceDefault

func newLogs(env *Env) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs SERVER",
		Short: "Show what happened to a server: its events, the stages of its last boots, and what it said last, in order",
		Long: "Show what happened to a server: its events and the stages of its last three boots, in order of time.\n" +
			"A server that runs Talos also tells how it fares: the last lines of its kernel's log are marked kernel,\n" +
			"its events talos. Nothing proves that they are its own. What may be a secret is taken out of them; all\n" +
			"that the machine prints is on its console: `ingot console SERVER`.",
		Example:           "  ingot logs rack1-07\n  ingot logs rack1-07 --follow",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: env.completeServer,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.logs(cmd.Context(), trimKind(args[0]), follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on showing new events")
	return cmd
}

// entry is one line of the log.
type entry struct {
	at   time.Time
	text string
}

func (e *Env) logs(ctx context.Context, name string, follow bool) error {
	c, err := e.Client()
	if err != nil {
		return err
	}
	s, events, err := e.history(ctx, c, name)
	if err != nil {
		return err
	}
	said := e.said(ctx, c, name)
	for _, line := range merge(s, events.Items, said.lines) {
		e.printEntry(line)
	}
	if !follow {
		return nil
	}
	return e.follow(ctx, c, name, events.ResourceVersion, said)
}

// history reads a Server and the events about it.
func (e *Env) history(ctx context.Context, c client.Client, name string) (*metal.Server, *corev1.EventList, error) {
	s, err := e.server(ctx, c, name)
	if err != nil {
		return nil, nil, err
	}
	events := &corev1.EventList{}
	if err := c.List(ctx, events, client.InNamespace(eventNamespace), about(name)); err != nil {
		return nil, nil, fmt.Errorf("reading events: %w", explain(err))
	}
	return s, events, nil
}

func (e *Env) printEntry(line entry) {
	fmt.Fprintf(e.Streams.Out, "%s  %s\n", line.at.Format("2006-01-02 15:04:05.000"), line.text)
}

// about selects the events of one Server.
func about(name string) client.MatchingFieldsSelector {
	return client.MatchingFieldsSelector{Selector: fields.SelectorFromSet(fields.Set{"involvedObject.kind": "Server", "involvedObject.name": name})}
}

// merge puts events, boot stages and what the machine said in order of time.
func merge(s *metal.Server, events []corev1.Event, said []machinelog.Line) []entry {
	var all []entry
	for _, b := range s.Status.Boots {
		for _, stage := range b.Stages {
			all = append(all, entry{stage.At.Time, fmt.Sprintf("boot %s  %s", b.ID, stage.Stage)})
		}
	}
	for i := range events {
		all = append(all, eventEntry(&events[i]))
	}
	for _, l := range said {
		all = append(all, saidEntry(l))
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	return all
}

func eventEntry(e *corev1.Event) entry {
	at := e.LastTimestamp.Time
	if at.IsZero() {
		at = e.EventTime.Time
	}
	count := ""
	if e.Count > 1 {
		count = fmt.Sprintf(" (%d times)", e.Count)
	}
	return entry{at, fmt.Sprintf("%s %s: %s%s", e.Type, e.Reason, e.Message, count)}
}
