package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// steps keeps the files or folders that steps of the build made, under a name and a digest of all that it depends on.
type steps struct {
	dir string
	say func(text string)
}

// make gives the file of a step, and makes it only when it is not there yet: do writes to the path that it is given.
// Older results of the same step are removed.
func (s *steps) make(name string, depends []string, do func(path string) error) (string, error) {
	prefix := filepath.Join(s.dir, name+"-")
	path := prefix + digest([]byte(strings.Join(depends, "\x00")))[:16]
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return "", fmt.Errorf("making the cache: %w", err)
	}
	begin := time.Now()
	part := path + ".part"
	if err := errors.Join(os.RemoveAll(part), do(part)); err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	old, _ := filepath.Glob(prefix + strings.Repeat("[0-9a-f]", 16)) // the pattern is well-formed
	for _, o := range old {
		_ = os.RemoveAll(o)
	}
	if err := os.Rename(part, path); err != nil {
		return "", fmt.Errorf("keeping %s: %w", name, err)
	}
	s.say(fmt.Sprintf("%s in %.1f s", name, time.Since(begin).Seconds()))
	return path, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
