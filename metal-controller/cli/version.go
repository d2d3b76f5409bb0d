package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"ingot.dev/ingot/crds/version"
)

func newVersion(env *Env) *cobra.Command {
	var clientOnly bool
	cmd := &cobra.Command{
		Use: "version", Short: "Show the version of this program and of the control plane", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(env.Streams.Out, "Client:       ", version.String())
			if clientOnly {
				return nil
			}
			if env.configured() != nil {
				fmt.Fprintln(env.Streams.Out, "Control plane: none configured")
				return nil
			}
			d, err := env.config.ToDiscoveryClient()
			if err != nil {
				return fmt.Errorf("reading the kubeconfig: %w", err)
			}
			v, err := d.ServerVersion()
			if err != nil {
				return fmt.Errorf("asking the control plane: %w", explain(err))
			}
			fmt.Fprintln(env.Streams.Out, "Control plane: Kubernetes", v.GitVersion)
			return nil
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "only the version of this program")
	return cmd
}
