// Package backup is `ingot backup` and `ingot restore`: all that Ingot cannot learn again, in one file. Layer 4, wiring.
//
// Invariants: a backup is one moment of etcd (its own snapshot), whole and checked before it has its name; a restore changes nothing before every
// byte of the file was checked; a folder is not a state folder until every Server in it is marked as restored, so that no controller ever acts on
// what a backup says: DESIGN section 3, rule 1.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ingot.dev/ingot/crds/version"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/metal-controller/ingot/archive"
	"ingot.dev/ingot/metal-controller/ingot/controlplane"
	"ingot.dev/ingot/metal-controller/ingot/statedir"
)

// extraFiles are backed up when they are there. The leases keep machines' addresses; without them nothing is lost but that.
var extraFiles = []string{"pxe-server/leases"}

type save struct {
	env      *cli.Env
	stateDir string
	force    bool
}

// Command is `ingot backup`.
func Command(env *cli.Env) *cobra.Command {
	s := &save{env: env}
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all state of `ingot up` into one file, while it runs or not",
		Long: "Write all state of 'ingot up' into one file: servers with their records, credentials, and the keys that they are sealed\n" +
			"with. Ingot may run meanwhile; the file holds one moment of it. Whoever has the file can read the passwords of every BMC\n" +
			"and become an administrator: its mode is 0600, and it belongs where only you can read and write it.\n\n" +
			"Run it on the machine of 'ingot up', as the same user. 'ingot restore FILE' puts it back.",
		Example: "  ingot backup /mnt/safe/ingot-2026-11-21.tar.gz\n  ingot backup lab.tar.gz --state-dir ~/lab",
		Args:    oneFile,
		RunE:    func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&s.stateDir, "state-dir", env.StateDir, "`folder` of the state, as of 'ingot up'")
	cmd.Flags().BoolVar(&s.force, "force", false, "replace the file if it exists")
	return cmd
}

func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return &cli.ExitError{Code: cli.CodeUsage, Err: fmt.Errorf("%s needs one FILE; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())}
}

func (s *save) run(ctx context.Context, file string) error {
	if s.stateDir == "" {
		return errors.New("no state folder: give one with --state-dir")
	}
	if _, err := os.Lstat(file); err == nil && !s.force {
		return exists(file)
	}
	dir, err := filepath.Abs(s.stateDir)
	if err != nil {
		return fmt.Errorf("resolving state folder: %w", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(file), ".ingot-backup-*") // mode 0700, on the file system of the backup: a rename must do
	if err != nil {
		return fmt.Errorf("making a folder beside %s: %w", file, err)
	}
	err = s.into(ctx, dir, work, file)
	return errors.Join(err, os.RemoveAll(work))
}

func exists(file string) error {
	return &cli.ExitError{Code: cli.CodeRefused, Err: fmt.Errorf("%s exists; take another name, or --force to replace it", file)}
}

// into makes the backup in a folder of its own and gives it its name when it is whole.
func (s *save) into(ctx context.Context, dir, work, file string) error {
	began := s.env.Now().UTC().Truncate(time.Second)
	database := filepath.Join(work, "snapshot.db")
	if err := s.snapshot(ctx, dir, database); err != nil {
		return err
	}
	made := filepath.Join(work, "backup")
	m, err := pack(made, archive.Manifest{Ingot: version.Version, Kubernetes: version.Kubernetes, LayoutVersion: statedir.Layout, CreatedAt: began}, files(dir, database))
	if err != nil {
		return err
	}
	if err := s.name(made, file); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	s.say("wrote %s: %d files, %.1f MB. It holds keys and passwords: keep it where only you can read and write it.", file, len(m.Members), float64(info.Size())/1e6)
	return nil
}

// snapshot copies the data of a control plane that runs, or starts its etcd alone.
func (s *save) snapshot(ctx context.Context, dir, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing the snapshot: %w", err)
	}
	err = s.fill(ctx, dir, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	s.say("took a snapshot of %s", dir)
	return nil
}

func (s *save) fill(ctx context.Context, dir string, f *os.File) error {
	d, err := statedir.OpenUnchanged(dir)
	if errors.Is(err, statedir.ErrInUse) {
		return controlplane.Snapshot(ctx, dir, f)
	}
	if err != nil {
		return err
	}
	err = controlplane.SnapshotStopped(ctx, dir, f)
	return errors.Join(err, d.Close())
}

// files are the members of a backup: the data first, then the keys that it depends on.
func files(dir, database string) []archive.File {
	all := []archive.File{{Name: controlplane.DatabaseFile, Path: database}}
	for _, name := range controlplane.RootFiles() {
		all = append(all, archive.File{Name: name, Path: filepath.Join(dir, filepath.FromSlash(name))})
	}
	for _, name := range extraFiles {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			all = append(all, archive.File{Name: name, Path: path})
		}
	}
	return all
}

// pack writes the archive, and reads it again: a backup that cannot be read is none.
func pack(path string, m archive.Manifest, files []archive.File) (archive.Manifest, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return m, fmt.Errorf("writing the backup: %w", err)
	}
	defer f.Close() // what counts was synced
	if m, err = archive.Write(f, m, files); err != nil {
		return m, fmt.Errorf("writing the backup: %w", err)
	}
	if err := f.Sync(); err != nil {
		return m, fmt.Errorf("writing the backup: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return m, fmt.Errorf("reading the backup again: %w", err)
	}
	if _, err := archive.Read(f, nil, nil); err != nil {
		return m, fmt.Errorf("reading the backup again: %w", err)
	}
	return m, nil
}

// name gives the whole backup its name, in one step.
func (s *save) name(made, file string) error {
	var flags uint = unix.RENAME_NOREPLACE
	if s.force {
		flags = 0
	}
	err := unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, file, flags)
	if errors.Is(err, unix.EINVAL) && flags != 0 { // a file system that cannot tell; it was looked at before
		err = os.Rename(made, file)
	}
	if errors.Is(err, fs.ErrExist) {
		return exists(file)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

func (s *save) say(format string, args ...any) {
	fmt.Fprintf(s.env.Streams.ErrOut, format+"\n", args...)
}
