package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// keyring is where Debian's package debian-archive-keyring puts the archive's keys.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Archive says where packages come from. Empty fields are asked of this machine's apt.
type Archive struct {
	// Main is the address of the archive of releases.
	Main string
	// Security is the address of the archive of suites that end in -security.
	Security string
}

// ArchiveFromEnv reads DEBIAN_ARCHIVE and DEBIAN_SECURITY_ARCHIVE; the second defaults to the first one's usual neighbour.
func ArchiveFromEnv(getenv func(string) string) Archive {
	a := Archive{Main: getenv("DEBIAN_ARCHIVE"), Security: getenv("DEBIAN_SECURITY_ARCHIVE")}
	if trimmed, ok := strings.CutSuffix(strings.TrimSuffix(a.Main, "/"), "/debian"); ok && a.Security == "" {
		a.Security = trimmed + "/debian-security"
	}
	return a
}

// complete fills empty addresses with those that this machine's apt uses.
func (a Archive) complete(ctx context.Context) (Archive, error) {
	if a.Main != "" && a.Security != "" {
		return a, nil
	}
	out, err := run(exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"))
	if err != nil {
		return a, fmt.Errorf("asking apt for its archive: %w", err)
	}
	a.fill(string(out))
	if a.Main == "" || a.Security == "" {
		return a, errors.New("apt knows no Debian archive with its security suite; set DEBIAN_ARCHIVE and DEBIAN_SECURITY_ARCHIVE to their addresses")
	}
	return a, nil
}

// fill reads lines of "codename address". Only Debian's archives end in these two names by convention.
func (a *Archive) fill(targets string) {
	for line := range strings.Lines(targets) {
		codename, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		security := strings.HasSuffix(codename, "-security")
		plain := strings.TrimSuffix(address, "/")
		switch {
		case security && a.Security == "" && strings.HasSuffix(plain, "-security"):
			a.Security = address
		case !security && a.Main == "" && strings.HasSuffix(plain, "/debian"):
			a.Main = address
		}
	}
}

// sources is a sources.list for exactly the suites and components of the packages.
func (a Archive) sources(packages []Package, arch string) string {
	var out strings.Builder
	seen := map[string]bool{}
	for _, p := range packages {
		address := a.Main
		if strings.HasSuffix(p.Suite, "-security") {
			address = a.Security
		}
		line := fmt.Sprintf("deb [arch=%s signed-by=%s] %s %s %s\n", arch, keyring, address, p.Suite, p.Component)
		if !seen[line] {
			out.WriteString(line)
		}
		seen[line] = true
	}
	return out.String()
}

// apt is a private configuration of apt in a folder of its own.
type apt struct{ dir, arch string }

// newApt writes the configuration and fetches the package lists, whose signatures apt checks.
func newApt(ctx context.Context, dir string, archive Archive, packages []Package, arch string) (*apt, error) {
	archive, err := archive.complete(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(keyring); err != nil {
		return nil, errors.New("the archive's keys are missing; install the package debian-archive-keyring")
	}
	for _, folder := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, fmt.Errorf("making apt's folder: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(archive.sources(packages, arch)), 0o644); err != nil {
		return nil, fmt.Errorf("writing apt's sources: %w", err)
	}
	a := &apt{dir: dir, arch: arch}
	if _, err := a.run(ctx, "apt-get", "--error-on=any", "update"); err != nil {
		return nil, fmt.Errorf("reading Debian's package lists (is the network up?): %w", err)
	}
	return a, nil
}

// run calls one of apt's programs with nothing of the machine's configuration but its transport settings.
func (a *apt) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	options := []string{
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(a.dir, "sources.list"),
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::Etc::preferences=/dev/null",
		"-o", "Dir::Etc::preferencesparts=/dev/null",
		"-o", "Dir::State::lists=" + filepath.Join(a.dir, "lists"),
		"-o", "Dir::State::status=/dev/null",
		"-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "APT::Sandbox::User=root",
		"-o", "APT::Architecture=" + a.arch,
		"-o", "APT::Architectures=" + a.arch,
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::AllowInsecureRepositories=false",
		"-o", "APT::Get::AllowUnauthenticated=false",
	}
	cmd := exec.CommandContext(ctx, program, append(options, args...)...)
	cmd.Dir = filepath.Join(a.dir, "debs")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return run(cmd)
}

// run gives standard output; the error carries the last lines of what the program complained about.
func run(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		text := strings.TrimSpace(stderr.String())
		if len(text) > 600 {
			text = text[len(text)-600:]
		}
		return out, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, text)
	}
	return out, nil
}
