// Program ingot is Ingot in one program: its control plane, its services and its client commands. Layer 4, wiring.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/ingot/up"
)

func main() {
	if err := root().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "ingot",
		Short:         "Turn racked servers into Kubernetes clusters",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(up.Command(), versionCommand())
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program and of its Kubernetes API",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ingot %s\nkubernetes %s\n", version.String(), version.Kubernetes)
			return err
		},
	}
}
