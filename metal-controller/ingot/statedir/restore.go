package statedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// restoringFile is there from before the first byte of a restore until after the last: a folder with it is not whole, and nothing but a restore opens it.
const restoringFile = "restoring"

// ErrNotEmpty says that a folder to restore into is a state folder already.
var ErrNotEmpty = errors.New("is a state folder already")

// Restoring says what a restore that has not finished was about.
type Restoring struct {
	// File that is restored, as an absolute path.
	File string `json:"file"`
	// Since when.
	Since time.Time `json:"since"`
}

// checkRestoring refuses a folder in which a restore has not finished. It only reads.
func checkRestoring(path string) error {
	r, err := readRestoring(path)
	if err != nil || r == nil {
		return err
	}
	return fmt.Errorf("state folder %s is not whole: a restore of %s, begun %s, has not finished. Run it again: ingot restore %s --state-dir %s",
		path, r.File, r.Since.Format(time.RFC3339), r.File, path)
}

// readRestoring is nil when no restore is under way.
func readRestoring(path string) (*Restoring, error) {
	data, err := os.ReadFile(filepath.Join(path, restoringFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(path, "reading", err)
	}
	r := &Restoring{}
	if err := json.Unmarshal(data, r); err != nil || r.File == "" {
		return nil, fmt.Errorf("folder %s holds a file %q that is none of Ingot; name another folder with --state-dir", path, restoringFile)
	}
	return r, nil
}

// OpenRestore opens a folder to restore into: an empty or new one, or one in which a restore has not finished, whose leavings it removes. Until
// Restored is called, Open refuses the folder.
func OpenRestore(path, version string, about Restoring) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("resolving state folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, explain(path, "creating", err)
	}
	if err := checkRestorable(path); err != nil {
		return nil, err
	}
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, lock: lock}
	if err := d.begin(version, about); err != nil {
		_ = d.Close() // the first error is the one to tell
		return nil, err
	}
	return d, nil
}

// checkRestorable accepts an empty folder and one of a restore that has not finished. It only reads.
func checkRestorable(path string) error {
	r, err := readRestoring(path)
	if err != nil || r != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(path, stateFile)); err == nil {
		return fmt.Errorf("%s %w: a restore needs an empty or new folder; name one with --state-dir, or move this one aside with --force", path, ErrNotEmpty)
	}
	return checkEmpty(path)
}

// begin marks the folder, and then makes it empty: what is in it came from a restore that has not finished.
func (d *Dir) begin(version string, about Restoring) error {
	if err := checkRestorable(d.path); err != nil { // again, under the lock
		return err
	}
	data, err := json.Marshal(about)
	if err != nil {
		return err
	}
	if err := WriteFile(filepath.Join(d.path, restoringFile), append(data, '\n'), 0o600); err != nil {
		return explain(d.path, "writing", err)
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return explain(d.path, "reading", err)
	}
	for _, e := range entries {
		if e.Name() == restoringFile || e.Name() == lockFile || e.Name() == "lost+found" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(d.path, e.Name())); err != nil {
			return explain(d.path, "clearing", err)
		}
	}
	return d.writeState(version)
}

// Restored ends a restore: from now on Open takes the folder. Everything below it is on the disk before the mark goes.
func (d *Dir) Restored() error {
	if err := unix.Syncfs(int(d.lock.Fd())); err != nil {
		return explain(d.path, "finishing the restore into", err)
	}
	if err := os.Remove(filepath.Join(d.path, restoringFile)); err != nil {
		return explain(d.path, "finishing the restore into", err)
	}
	return syncDir(d.path)
}

// Aside moves a state folder of ours that nobody uses away, and returns its new path. Nothing of it is changed.
func Aside(path string, now time.Time) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("resolving state folder: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", fmt.Errorf("resolving state folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(path, stateFile)); err != nil {
		return "", fmt.Errorf("folder %s is no state folder of Ingot (it has no %s), so it is not moved; name another one with --state-dir", path, stateFile)
	}
	lock, err := acquire(path)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	to := path + ".before-restore-" + now.UTC().Format("20060102T150405Z")
	if err := unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE); err != nil {
		return "", fmt.Errorf("moving state folder %s to %s: %w; move it yourself, or name an empty folder with --state-dir", path, to, err)
	}
	return to, syncDir(filepath.Dir(path))
}
