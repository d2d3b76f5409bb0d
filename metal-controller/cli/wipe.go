package cli

import (
	"github.com/spf13/cobra"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
)

func newWipe(env *Env) *cobra.Command {
	a := &accept{env: env, again: true}
	cmd := &cobra.Command{
		Use:   "wipe SERVER...",
		Short: "Wipe accepted servers again that no claim holds: Available ones, or ones whose wipe is stuck",
		Long: `Wipe accepted servers again that no claim holds: Available ones, or ones whose wipe is stuck. It is the same yes as of ` + "`ingot accept`" + `:
it shows each disk and its fate first, disks that hold data need --wipe-data and the name of the server (or --yes), and it counts once.

A server that is claimed is wiped by its release; one that nobody accepted by ` + "`ingot accept`" + `.`,
		Example: `  ingot wipe rack1-07 --wait
  ingot wipe rack1-07 --level purge
  ingot wipe rack1-07 --wipe-data --yes
  ingot wipe rack1-07 --dry-run`,
		Args: usage(cobra.MinimumNArgs(1)), ValidArgsFunction: env.completeServers,
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), args) },
	}
	a.flags(cmd)
	return cmd
}

// wipeable refuses what `ingot wipe` is not for.
func wipeable(s *metal.Server) error {
	switch r := recordOf(s); {
	case r.Claim != nil:
		return refused("%s is claimed by %s/%s, so its disks are out of reach; its release wipes it: ingot release %s -n %s", s.Name, r.Claim.Namespace, r.Claim.Name, r.Claim.Name, r.Claim.Namespace)
	case !s.Spec.Accepted:
		return refused("nobody accepted %s yet, and its first wipe begins with that: ingot accept %s", s.Name, s.Name)
	}
	return nil
}
