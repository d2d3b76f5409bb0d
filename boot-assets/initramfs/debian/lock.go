package debian

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// Package is one line of a lock file.
type Package struct {
	// Name, Version and Arch as Debian writes them; Arch may be all.
	Name, Version, Arch string
	// Suite and Component of the archive that offers it.
	Suite, Component string
	// SHA256 of the .deb, lower-case hexadecimal.
	SHA256 string
}

// ArchAll is the architecture of packages that fit every machine.
const ArchAll = "all"

const (
	maxLock     = 64 << 10
	maxPackages = 256
)

// What each column may hold; a word can never be taken for an option of apt or leave its column.
var (
	nameForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,127}$`)
	versionForm = regexp.MustCompile(`^[0-9][A-Za-z0-9.+~:-]{0,127}$`)
	wordForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
)

// ParseLock reads a lock file: six columns, separated by blanks; lines that begin with # are comments.
func ParseLock(data []byte) ([]Package, error) {
	if len(data) > maxLock {
		return nil, fmt.Errorf("lock file has %d bytes, more than %d", len(data), maxLock)
	}
	var packages []Package
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		p, err := parsePackage(line)
		if err == nil && (seen[p.Name] || len(packages) == maxPackages) {
			err = fmt.Errorf("package %s stands there twice, or there are more than %d", p.Name, maxPackages)
		}
		if err != nil {
			return nil, fmt.Errorf("lock file, line %d: %w", number, err)
		}
		seen[p.Name] = true
		packages = append(packages, p)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading lock file: %w", err)
	}
	return packages, nil
}

func parsePackage(line string) (Package, error) {
	f := strings.Fields(line)
	if len(f) != 6 {
		return Package{}, fmt.Errorf("%d columns, want 6: name version arch suite component sha256", len(f))
	}
	p := Package{Name: f[0], Version: f[1], Arch: f[2], Suite: f[3], Component: f[4], SHA256: f[5]}
	return p, p.validate()
}

func (p Package) validate() error {
	switch {
	case !nameForm.MatchString(p.Name):
		return fmt.Errorf("%q is no package name", p.Name)
	case !versionForm.MatchString(p.Version):
		return fmt.Errorf("%q is no version", p.Version)
	case !wordForm.MatchString(p.Arch) || !wordForm.MatchString(p.Suite) || !wordForm.MatchString(p.Component):
		return fmt.Errorf("architecture %q, suite %q or component %q is not plain", p.Arch, p.Suite, p.Component)
	}
	if sum, err := hex.DecodeString(p.SHA256); err != nil || len(sum) != 32 || strings.ToLower(p.SHA256) != p.SHA256 {
		return fmt.Errorf("%q is no lower-case SHA-256", p.SHA256)
	}
	return nil
}

// FormatLock writes a lock file that ParseLock reads, with the comment lines of head first.
func FormatLock(head []byte, packages []Package) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(head) {
		if !bytes.HasPrefix(line, []byte("#")) {
			break
		}
		out.Write(line)
	}
	for _, p := range packages {
		fmt.Fprintln(&out, p.Name, p.Version, p.Arch, p.Suite, p.Component, p.SHA256)
	}
	return out.Bytes()
}
