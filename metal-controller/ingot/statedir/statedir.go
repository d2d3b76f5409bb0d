// Package statedir opens the one folder in which `ingot up` keeps everything. Layer 2: file system only.
//
// Invariants: one process at a time uses a folder (a kernel lock, gone with its holder however that ends); a folder of a layout that this
// program does not know is not changed by one byte; a folder that holds other people's files is refused rather than mixed with ours; a folder in
// which a restore has not finished is opened by a restore only.
package statedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Layout is the version of the folder's layout that this program writes and reads.
const Layout = 1

const (
	stateFile = "state.json"
	lockFile  = "lock"
)

// State is the content of state.json.
type State struct {
	LayoutVersion int    `json:"layoutVersion"`
	Version       string `json:"version"` // of the Ingot that last opened the folder
}

// Dir is an opened and locked state folder.
type Dir struct {
	path string
	lock *os.File
}

// Open creates the folder at path if need be (mode 0700), locks it and records version, the program's own, in it.
// Its errors are for people: they name the folder and the next step.
func Open(path, version string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("resolving state folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, explain(path, "creating", err)
	}
	if err := check(path); err != nil { // before the lock: a foreign or newer folder stays as it is
		return nil, err
	}
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, lock: lock}
	if err := d.record(version); err != nil {
		_ = d.Close() // the first error is the one to tell
		return nil, err
	}
	return d, nil
}

// OpenUnchanged opens and locks a folder of ours that exists, and writes nothing into it but the lock.
func OpenUnchanged(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("resolving state folder: %w", err)
	}
	if err := checkRestoring(path); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(path, stateFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no state of Ingot in %s; name its folder with --state-dir", path)
	}
	if err := check(path); err != nil {
		return nil, err
	}
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	return &Dir{path: path, lock: lock}, nil
}

// Path is the folder's absolute path.
func (d *Dir) Path() string { return d.path }

// Close gives the lock back.
func (d *Dir) Close() error { return d.lock.Close() }

// record checks again under the lock, since the holder before us may have changed the layout, and writes the state file.
func (d *Dir) record(version string) error {
	if err := check(d.path); err != nil {
		return err
	}
	return d.writeState(version)
}

func (d *Dir) writeState(version string) error {
	data, err := json.Marshal(State{LayoutVersion: Layout, Version: version})
	if err != nil {
		return err
	}
	if err := WriteFile(filepath.Join(d.path, stateFile), append(data, '\n'), 0o600); err != nil {
		return explain(d.path, "writing", err)
	}
	return nil
}

// check refuses a folder of another layout and one that is not ours. It only reads.
func check(path string) error {
	if err := checkRestoring(path); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(path, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return checkEmpty(path)
	}
	if err != nil {
		return explain(path, "reading", err)
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil || s.LayoutVersion < 1 {
		return fmt.Errorf("state folder %s: its %s cannot be understood; restore the folder from a backup, or name another one with --state-dir", path, stateFile)
	}
	if s.LayoutVersion > Layout {
		return fmt.Errorf("state folder %s has layout version %d, written by Ingot %q; this is an older Ingot that knows version %d. Nothing was changed. "+
			"Start the newer Ingot, or name another folder with --state-dir", path, s.LayoutVersion, s.Version, Layout)
	}
	return nil
}

// checkEmpty accepts a folder in which nothing is, or only what a crash before the first state file leaves.
func checkEmpty(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return explain(path, "reading", err)
	}
	for _, e := range entries {
		if e.Name() != lockFile && e.Name() != "lost+found" && !strings.HasPrefix(e.Name(), tempPrefix) {
			return fmt.Errorf("folder %s is not empty and is no state folder of Ingot (it has %q but no %s); name an empty or new folder with --state-dir", path, e.Name(), stateFile)
		}
	}
	return nil
}

// explain adds the folder and the next step to an error of the file system.
func explain(path, verb string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s state folder %s: no permission (user id %d); run as the folder's owner or as root, or name a folder of your own with --state-dir: %w", verb, path, os.Geteuid(), err)
	case isNoSpace(err):
		return fmt.Errorf("%s state folder %s: the disk is full; free some space, or name a folder on another disk with --state-dir: %w", verb, path, err)
	default:
		return fmt.Errorf("%s state folder %s (name another one with --state-dir): %w", verb, path, err)
	}
}
