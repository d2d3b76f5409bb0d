// Package assets is what people do with the boot files of a pxe-server: put files there, and list them. Layer 4; pxe-server and ingot have commands of it.
package assets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"ingot.dev/ingot/pxe-server/setup"
)

// Import puts files into the cache in a pxe-server's state folder and says on out what to write into an Environment. A pxe-server that runs on the
// folder sees each file whole or not at all.
func Import(ctx context.Context, out io.Writer, stateDir string, files []string) error {
	cache, err := setup.OpenAssets(setup.Config{StateDir: stateDir})
	if err != nil {
		return err
	}
	var all []error
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			all = append(all, fmt.Errorf("importing: %w", err))
			continue
		}
		what, r, err := identify(f)
		if err == nil {
			d, failed := cache.Import(ctx, r)
			if err = failed; err == nil {
				fmt.Fprintf(out, "%s: %.1f MB, %s\n  spec.boot[].%s.sha256: %s\n", name, float64(d.Size)/1e6, what.text, what.field, d.SHA256)
			}
		}
		if err != nil {
			all = append(all, fmt.Errorf("%s: %w", name, err))
		}
		all = append(all, f.Close())
	}
	return errors.Join(append(all, cache.Close())...)
}

// List writes a table of the files that are there.
func List(out io.Writer, stateDir string) error {
	if _, err := os.Stat(stateDir); err != nil {
		return fmt.Errorf("there are no boot files: %w; name the folder with --state-dir", err)
	}
	cache, err := setup.OpenAssets(setup.Config{StateDir: stateDir})
	if err != nil {
		return err
	}
	files, err := cache.List()
	if err := errors.Join(err, cache.Close()); err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "SHA256\tSIZE\tSINCE")
	for _, f := range files {
		fmt.Fprintf(t, "%s\t%.1f MB\t%s\n", f.SHA256, float64(f.Size)/1e6, f.At.UTC().Format("2006-01-02 15:04Z"))
	}
	return t.Flush()
}
