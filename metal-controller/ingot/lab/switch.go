package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/sfyra-tests/rack"
)

// newFaults is `ingot lab faults`: it writes the annotation that a lab which runs obeys.
func newFaults(env *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "faults [SERVER=KIND ...]",
		Short: "Show how BMCs of the lab that runs misbehave, or switch that",
		Long: "Show how BMCs of the lab that runs misbehave, or switch that. A server that is named\n" +
			"misbehaves in the named ways and in no other; none mends its BMC. The kinds:\n\n" + faultHelp(),
		Example: "  ingot lab faults\n  ingot lab faults rack1-01=slow rack1-01=lying rack1-02=none",
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := parseFaults(args, rack.MaxServers)
			if err != nil {
				return &cli.ExitError{Code: cli.CodeUsage, Err: err}
			}
			c, err := env.Client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return showFaults(cmd.Context(), c, env)
			}
			return switchFaults(cmd.Context(), c, env, wanted)
		},
		ValidArgsFunction: func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return completeFaults(typed, rack.MaxServers)
		},
	}
}

// switchFaults writes what is wanted to each server, by name.
func switchFaults(ctx context.Context, c client.Client, env *cli.Env, wanted faults) error {
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		s := &metal.Server{}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, s); err != nil {
			failed = append(failed, fmt.Errorf("switching the fault of %s: %w", name, err))
			continue
		}
		patch := client.MergeFrom(s.DeepCopy())
		annotate(s, wanted[name])
		if err := c.Patch(ctx, s, patch); err != nil {
			failed = append(failed, fmt.Errorf("switching the fault of %s: %w", name, err))
			continue
		}
		fmt.Fprintf(env.Streams.Out, "server/%s: %s\n", name, said(wanted[name]))
	}
	return errors.Join(failed...)
}

// annotate says on the Server how its BMC misbehaves.
func annotate(s *metal.Server, kinds []string) {
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	if s.Annotations[faultsAnnotation] = strings.Join(kinds, ","); len(kinds) == 0 {
		delete(s.Annotations, faultsAnnotation)
	}
}

func showFaults(ctx context.Context, c client.Client, env *cli.Env) error {
	list := &metal.ServerList{}
	if err := c.List(ctx, list); err != nil {
		return fmt.Errorf("listing the servers: %w", err)
	}
	for i := range list.Items {
		s := &list.Items[i]
		fmt.Fprintf(env.Streams.Out, "%s: %s\n", s.Name, said(strings.FieldsFunc(s.Annotations[faultsAnnotation], func(r rune) bool { return r == ',' })))
	}
	return nil
}

func said(kinds []string) string {
	if len(kinds) == 0 {
		return honest
	}
	return strings.Join(kinds, ", ")
}
