// Package archive reads and writes the one file of `ingot backup`: a tar in gzip (RFC 1952) whose first member, manifest.json, names every other
// member with its size and SHA-256. Layer 2: files only, standard library only; it knows nothing of what the members mean.
//
// Invariants: nothing is handed on before its name, size and place fit the manifest; a member that does not have its digest is an error before the
// next one is begun; a file that was cut off, that goes on behind its end, or that a byte of was changed is an error. The manifest proves no author:
// who can write the file can write another manifest. Keep backups where nobody can.
package archive

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// FormatVersion is the version of the file that this program writes and reads.
const FormatVersion = 1

// Limits of what is read.
const (
	maxManifest = 1 << 20
	maxMembers  = 1000
	maxName     = 200
	// MaxSize is what one member may hold, in bytes.
	MaxSize = 16 << 30
)

// ErrNewer says that a newer program wrote the file.
var ErrNewer = errors.New("a newer Ingot wrote this backup")

// Manifest is the first member.
type Manifest struct {
	FormatVersion int `json:"formatVersion"`
	// Ingot and Kubernetes are the versions of the program that wrote the file, for instance v0.2.0 and v1.37.1.
	Ingot      string `json:"ingot"`
	Kubernetes string `json:"kubernetes"`
	// LayoutVersion of the state folder.
	LayoutVersion int `json:"layoutVersion"`
	// CreatedAt is when the backup was begun; what it holds is at least that new.
	CreatedAt time.Time `json:"createdAt"`
	// Members follow in this order, and no others.
	Members []Member `json:"members"`
}

// Member is one file of the backup.
type Member struct {
	// Name is a path with slashes, below the state folder: fs.ValidPath holds.
	Name string `json:"name"`
	// Size in bytes.
	Size int64 `json:"size"`
	// SHA256 of the content, lower-case hexadecimal.
	SHA256 string `json:"sha256"`
}

// ParseManifest reads a manifest. It is strict: what is unknown, missing, double or beyond a limit is an error, and ErrNewer one of a newer format.
func ParseManifest(data []byte) (Manifest, error) {
	var version struct {
		FormatVersion int `json:"formatVersion"`
	}
	if len(data) > maxManifest {
		return Manifest{}, errors.New("its manifest is too long")
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return Manifest{}, fmt.Errorf("its manifest cannot be read: %w", err)
	}
	if version.FormatVersion > FormatVersion {
		return Manifest{}, fmt.Errorf("its format is %d and this program knows %d: %w", version.FormatVersion, FormatVersion, ErrNewer)
	}
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("its manifest cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Manifest{}, errors.New("something follows its manifest")
	}
	return m, m.check()
}

func (m *Manifest) check() error {
	if m.FormatVersion != FormatVersion || m.LayoutVersion < 1 || m.CreatedAt.IsZero() {
		return errors.New("its manifest lacks versions or its time")
	}
	if len(m.Members) == 0 || len(m.Members) > maxMembers {
		return fmt.Errorf("its manifest names %d members", len(m.Members))
	}
	seen := map[string]bool{}
	for _, e := range m.Members {
		if err := e.check(); err != nil {
			return err
		}
		if seen[e.Name] {
			return fmt.Errorf("its manifest names %q twice", e.Name)
		}
		seen[e.Name] = true
	}
	return nil
}

func (e Member) check() error {
	digest, err := hex.DecodeString(e.SHA256)
	switch {
	case len(e.Name) > maxName || !fs.ValidPath(e.Name) || e.Name == "." || e.Name == manifestName || strings.ContainsFunc(e.Name, strange):
		return fmt.Errorf("its manifest names the member %.200q, which is no path below a folder", e.Name)
	case e.Size < 0 || e.Size > MaxSize:
		return fmt.Errorf("the size of its member %s is %d", e.Name, e.Size)
	case err != nil || len(digest) != 32 || strings.ToLower(e.SHA256) != e.SHA256:
		return fmt.Errorf("the digest of its member %s is no SHA-256", e.Name)
	}
	return nil
}

// strange leaves what every file system and every terminal takes.
func strange(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._/", r)
}
