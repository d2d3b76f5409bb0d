package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/metal-controller/ingot/archive"
	"ingot.dev/ingot/metal-controller/ingot/controlplane"
	"ingot.dev/ingot/metal-controller/ingot/statedir"
	"ingot.dev/ingot/metal-controller/ingot/up"
)

type restore struct {
	env      *cli.Env
	stateDir string
	force    bool
	terminal *os.File // nil: standard error
}

// RestoreCommand is `ingot restore`.
func RestoreCommand(env *cli.Env) *cobra.Command {
	r := &restore{env: env}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup of `ingot up` back; every server is Unverified then, and nothing is done to it",
		Long: "Put a backup of 'ingot up' back into an empty state folder. Every byte of the file is checked before anything is changed.\n\n" +
			"What a backup says may be older than the machines: since it was made a server may have been claimed, or got disks with\n" +
			"data. So every server is Unverified afterwards: Ingot switches and erases nothing on it until you say 'ingot accept SERVER'\n" +
			"again, or a boot that you ask for ('ingot power cycle SERVER') shows that its disks are blank.\n\n" +
			"A restore that was interrupted is run again with the same command; 'ingot up' refuses to start until then. Never run the\n" +
			"Ingot that the backup is of beside the restored one: both would manage the same machines.",
		Example: "  ingot restore /mnt/safe/ingot-2026-11-21.tar.gz\n  ingot restore lab.tar.gz --state-dir ~/lab --force",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if r.terminal, err = up.Terminal(); err != nil {
				return err
			}
			defer r.terminal.Close()
			return r.run(cmd.Context(), args[0])
		},
	}
	cmd.Flags().StringVar(&r.stateDir, "state-dir", env.StateDir, "`folder` to restore into: empty or new")
	cmd.Flags().BoolVar(&r.force, "force", false, "move a state folder that is there aside first, to a name that is told")
	return cmd
}

func (r *restore) run(ctx context.Context, file string) error {
	if r.stateDir == "" {
		return errors.New("no state folder: give one with --state-dir")
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("resolving %s: %w", file, err)
	}
	m, err := r.check(file)
	if err != nil {
		return err
	}
	r.say("checked %s: %d files of Ingot %s, %s", file, len(m.Members), m.Ingot, m.CreatedAt.Format(time.RFC3339))
	dir, err := r.open(file)
	if err != nil {
		return err
	}
	err = r.into(ctx, dir, file)
	if err := errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("%w. The restore has not finished; run it again: ingot restore %s --state-dir %s", err, file, dir.Path())
	}
	return nil
}

// check reads the whole file and changes nothing.
func (r *restore) check(file string) (archive.Manifest, error) {
	return read(file, nil)
}

func read(file string, each func(archive.Member, io.Reader) error) (archive.Manifest, error) {
	f, err := os.Open(file)
	if err != nil {
		return archive.Manifest{}, fmt.Errorf("reading the backup: %w", err)
	}
	defer f.Close()
	m, err := archive.Read(f, suits, each)
	if err != nil {
		return m, fmt.Errorf("%s: %w; nothing was restored from it", file, err)
	}
	return m, nil
}

// suits refuses a backup that this program cannot use.
func suits(m archive.Manifest) error {
	if m.LayoutVersion > statedir.Layout || newer(m.Kubernetes, version.Kubernetes) {
		return fmt.Errorf("Ingot %s with Kubernetes %s wrote it, and this is %s with %s: %w; install that one first", m.Ingot, m.Kubernetes, version.Version, version.Kubernetes, archive.ErrNewer)
	}
	known := slices.Concat([]string{controlplane.DatabaseFile}, controlplane.RootFiles(), extraFiles)
	var have []string
	for _, e := range m.Members {
		if !slices.Contains(known, e.Name) {
			return fmt.Errorf("it holds %s, which belongs into no state folder of this version", e.Name)
		}
		have = append(have, e.Name)
	}
	for _, name := range append(controlplane.RootFiles(), controlplane.DatabaseFile) {
		if !slices.Contains(have, name) {
			return fmt.Errorf("it lacks %s", name)
		}
	}
	return nil
}

// newer compares the minor versions of Kubernetes: the API server keeps objects in a form that an older minor version may not know.
func newer(theirs, ours string) bool {
	var a, b [2]int
	_, errA := fmt.Sscanf(theirs, "v%d.%d", &a[0], &a[1])
	_, errB := fmt.Sscanf(ours, "v%d.%d", &b[0], &b[1])
	return errA != nil || errB != nil || slices.Compare(a[:], b[:]) > 0
}

// open makes the folder ready and marks it as one that is being restored.
func (r *restore) open(file string) (*statedir.Dir, error) {
	about := statedir.Restoring{File: file, Since: r.env.Now().UTC().Truncate(time.Second)}
	dir, err := statedir.OpenRestore(r.stateDir, version.Version, about)
	if !errors.Is(err, statedir.ErrNotEmpty) || !r.force {
		return dir, err
	}
	aside, err := statedir.Aside(r.stateDir, r.env.Now())
	if err != nil {
		return nil, err
	}
	r.say("moved the state folder that was there to %s", aside)
	return statedir.OpenRestore(r.stateDir, version.Version, about)
}

// into restores into a folder that is marked, and takes the mark away when every Server in it carries its own.
func (r *restore) into(ctx context.Context, dir *statedir.Dir, file string) error {
	if err := extract(dir.Path(), file); err != nil {
		return err
	}
	r.say("restored the files to %s", dir.Path())
	if err := controlplane.UseSnapshot(dir.Path()); err != nil {
		return err
	}
	n, err := r.mark(ctx, dir)
	if err != nil {
		return err
	}
	if err := dir.Restored(); err != nil {
		return err
	}
	r.say("restored. %s Unverified: Ingot does nothing to a server until `ingot accept SERVER`, or until a boot that you ask for shows blank disks.\nNext: ingot up --state-dir %s",
		servers(n), dir.Path())
	return nil
}

func servers(n int) string {
	if n == 1 {
		return "Its 1 server is"
	}
	return fmt.Sprintf("Its %d servers are", n)
}

// extract writes the members below the folder, each checked again.
func extract(dir, file string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening %s: %w", dir, err)
	}
	defer root.Close()
	_, err = read(file, func(e archive.Member, content io.Reader) error {
		if err := root.MkdirAll(path.Dir(e.Name), 0o700); err != nil {
			return fmt.Errorf("restoring %s: %w", e.Name, err)
		}
		f, err := root.OpenFile(e.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("restoring %s: %w", e.Name, err)
		}
		_, err = io.Copy(f, content)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("restoring %s: %w", e.Name, err)
		}
		return nil
	})
	return err
}

// mark runs the control plane alone, with no controller beside it, until every Server says that it was restored.
func (r *restore) mark(ctx context.Context, dir *statedir.Dir) (int, error) {
	run, end := context.WithCancel(ctx)
	defer end()
	marked, done := 0, false
	start := func(ctx context.Context, env up.Env) (func() error, error) {
		n, err := Unverify(ctx, env.ControlPlane.ControllerConfig(), r.env.Now())
		if err != nil {
			return nil, err
		}
		marked, done = n, true
		end()
		return func() error { <-ctx.Done(); return nil }, nil
	}
	err := up.RunIn(run, up.Config{
		APIAddress: netip.MustParseAddr("127.0.0.1"), Progress: r.out(), Terminal: r.terminal, Now: r.env.Now, Task: true,
		Services: []up.Service{{Name: "marks of the servers", Start: start}},
	}, dir)
	if err == nil && !done {
		err = context.Cause(ctx)
	}
	return marked, err
}

func (r *restore) out() io.Writer {
	if r.terminal != nil {
		return r.terminal
	}
	return r.env.Streams.ErrOut
}

func (r *restore) say(format string, args ...any) {
	fmt.Fprintln(r.out(), strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"))
}
