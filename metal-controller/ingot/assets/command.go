// Package assets is `ingot assets`: boot files of `ingot up` without a network. Layer 4, wiring.
package assets

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/metal-controller/ingot/services"
	"ingot.dev/ingot/metal-controller/ingot/statedir"
	"ingot.dev/ingot/pxe-server/assets"
)

// Command is `ingot assets`.
func Command(env *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "assets",
		Short: "Put boot files of Environments into the cache of `ingot up`, or list them",
		Long: "The boot files that Environments name are fetched into the cache of 'ingot up'. Where there is no network, put them there\n" +
			"yourself. Each is known by its SHA-256; the url of the Environment is asked only for what is not in the cache.",
	}
	cli.Group(cmd)
	cmd.AddCommand(cli.WithoutClientFlags(importCommand(env), listCommand(env))...)
	return cmd
}

func importCommand(env *cli.Env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Put boot files into the cache; print their digests and where they go in an Environment",
		Long: "Put boot files into the cache of 'ingot up', which may run meanwhile, and print what to write into an Environment.\n" +
			"What no Environment names is removed again after a week. Run it as the same user as 'ingot up'.",
		Example: "  ingot assets import vmlinuz initramfs.zst\n  ingot assets import uki.efi --state-dir ~/lab",
		Args:    cli.Usage(cobra.MinimumNArgs(1)), // files: the shell completes them
		RunE: func(cmd *cobra.Command, files []string) error {
			folder, err := prepare(dir)
			if err != nil {
				return err
			}
			return assets.Import(cmd.Context(), env.Streams.Out, folder, files)
		},
	}
	addStateDir(cmd, env, &dir)
	return cmd
}

func listCommand(env *cli.Env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "list", Short: "List the boot files in the cache", Example: "  ingot assets list",
		Args: cli.Usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if dir == "" {
				return errNoFolder
			}
			return assets.List(env.Streams.Out, filepath.Join(dir, services.PXEDir))
		},
	}
	addStateDir(cmd, env, &dir)
	return cmd
}

var errNoFolder = errors.New("no state folder: give one with --state-dir")

func addStateDir(cmd *cobra.Command, env *cli.Env, dir *string) {
	cmd.Flags().StringVar(dir, "state-dir", env.StateDir, "`folder` of the state, as of 'ingot up'")
	_ = cmd.MarkFlagDirname("state-dir") // fails for a flag that does not exist only
}

// prepare makes sure that the folder is one of Ingot's, or becomes it. One in use is: the cache in it takes files beside its user.
func prepare(dir string) (string, error) {
	if dir == "" {
		return "", errNoFolder
	}
	state, err := statedir.Open(dir, version.Version)
	switch {
	case errors.Is(err, statedir.ErrInUse):
	case err != nil:
		return "", err
	default:
		if err := state.Close(); err != nil { // not held any longer: `ingot up` may start meanwhile
			return "", err
		}
	}
	return filepath.Join(dir, services.PXEDir), nil
}
