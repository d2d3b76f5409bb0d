package controlplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	clientSocket = "etcd.sock"
	peerSocket   = "peer.sock"
	// maxSocketPath is the length of sun_path without its final zero: unix(7).
	maxSocketPath = 107
)

// socketDir is a folder of mode 0700 whose socket paths the kernel accepts.
type socketDir struct {
	path      string
	temporary bool
}

// openSocketDir uses the folder that the caller would like, or, if its path is too long for a socket, a fresh temporary one.
func openSocketDir(preferred string) (*socketDir, error) {
	if fits(preferred) {
		if err := os.MkdirAll(preferred, 0o700); err != nil {
			return nil, fmt.Errorf("creating folder for sockets: %w", err)
		}
		return &socketDir{path: preferred}, os.Chmod(preferred, 0o700)
	}
	var errs []error
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run", os.TempDir(), "/tmp"} {
		if base == "" || !fits(filepath.Join(base, "ingot-0123456789")) {
			continue
		}
		path, err := os.MkdirTemp(base, "ingot-") // mode 0700
		if err == nil {
			return &socketDir{path: path, temporary: true}, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("the path %s is too long for a socket (at most %d bytes) and no short folder can be made; name a shorter folder with --state-dir: %w",
		preferred, maxSocketPath, errors.Join(errs...))
}

func fits(dir string) bool { return len(filepath.Join(dir, clientSocket)) <= maxSocketPath }

func (s *socketDir) join(name string) string { return filepath.Join(s.path, name) }

func (s *socketDir) close() error {
	if s.temporary {
		return os.RemoveAll(s.path)
	}
	return nil
}
