package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// fakeApt puts an apt-get into PATH that "downloads" the packages of a folder, and says as apt does when it has none.
// It records its arguments, so that tests see what would have been asked.
func fakeApt(t *testing.T) (archive, record string) {
	t.Helper()
	bin, archive := t.TempDir(), t.TempDir()
	record = filepath.Join(bin, "asked")
	script := `#!/bin/sh
echo "$@" >> "` + record + `"
for last; do :; done
case " $* " in
*" update "*) exit 0 ;;
*" indextargets "*) echo "bookworm http://mirror.test/debian/"; echo "bookworm-security http://mirror.test/debian-security/"; exit 0 ;;
*" download "*)
	name=${last%%=*}
	test -e "` + archive + `/$name.deb" && exec cp "` + archive + `/$name.deb" "${name}_1_all.deb"
	echo "E: Version '${last#*=}' for '$name' was not found" >&2; exit 100 ;;
esac
exit 1
`
	for name, text := range map[string]string{"apt-get": script, "apt-cache": fakeAptCache} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return archive, record
}

// fakeAptCache offers a newer kernel and a newer firmware package, and knows nothing else.
const fakeAptCache = `#!/bin/sh
for last; do :; done
case " $* " in
*" pkgnames "*) echo linux-image-6.12.117+deb12-amd64; echo linux-image-6.12.118+deb12-amd64 ;;
*" madison linux-image-6.12.118"*) echo " $last | 6.12.118-1 | http://mirror.test/s bookworm-security/main amd64 Packages" ;;
*" madison firmware-x "*) echo " $last | 2 | http://mirror.test/d trixie/main amd64 Packages" ;;
*" show "*) echo "Package: ${last%%=*}"; echo "Architecture: amd64"; echo "SHA256: ` + sum + `" ;;
esac
`

func TestUpdate(t *testing.T) {
	fakeApt(t)
	cache := &Cache{Dir: t.TempDir(), Arch: "amd64"}
	got, err := cache.Update(t.Context(), []Package{
		{"linux-image-6.12.117+deb12-amd64", "6.12.117-1", "amd64", "bookworm-security", "main", strings.Repeat("0", 64)},
		{"firmware-x", "1", "amd64", "trixie", "main", strings.Repeat("0", 64)},
	})
	want := []Package{
		{"linux-image-6.12.118+deb12-amd64", "6.12.118-1", "amd64", "bookworm-security", "main", sum},
		{"firmware-x", "2", "amd64", "trixie", "main", sum},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = cache.Update(t.Context(), []Package{{"firmware-y", "1", "all", "trixie", "main", sum}})
	if err == nil || !strings.Contains(err.Error(), "looking for firmware-y in trixie") {
		t.Errorf("a package that is gone: %v", err)
	}
}

// offer puts a package into the fake archive and gives its line of the lock.
func offer(t *testing.T, archive, name string, files ...member) Package {
	t.Helper()
	deb := debFile(files...)
	if err := os.WriteFile(filepath.Join(archive, name+".deb"), deb, 0o644); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(deb)
	return Package{name, "1", "all", "trixie", "main", hex.EncodeToString(digest[:])}
}

func read(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

func TestFetch(t *testing.T) {
	archive, record := fakeApt(t)
	p := offer(t, archive, "firmware-x", member{"./usr/lib/firmware/x.bin", []byte("firmware")})
	cache := &Cache{Dir: filepath.Join(t.TempDir(), "debs"), Arch: "amd64"}
	if err := cache.Fetch(t.Context(), []Package{p}); err != nil {
		t.Fatal(err)
	}
	files, closeFiles, err := cache.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFiles()
	if got, err := files.Read("usr/lib/firmware/x.bin"); err != nil || string(got) != "firmware" {
		t.Errorf("got %q, %v", got, err)
	}
	left, _ := os.ReadDir(cache.Dir)
	if len(left) != 1 {
		t.Errorf("%d entries in the cache, want only the archive", len(left))
	}

	asked := read(record)
	if !strings.Contains(asked, "download firmware-x=1") || !strings.Contains(asked, "AllowInsecureRepositories=false") {
		t.Errorf("apt was asked %q", asked)
	}
	if err := cache.Fetch(t.Context(), []Package{p}); err != nil || read(record) != asked {
		t.Errorf("a warm cache asked the archive again (%v)", err)
	}
}

// Two programs may fill one cache at the same time.
func TestFetchTwiceAtOnce(t *testing.T) {
	archive, _ := fakeApt(t)
	p := offer(t, archive, "firmware-x", member{"./a", bytes.Repeat([]byte("1"), 1<<20)})
	dir := t.TempDir()
	var group errgroup.Group
	for range 4 {
		group.Go(func() error { return (&Cache{Dir: dir, Arch: "amd64"}).Fetch(t.Context(), []Package{p}) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	_, closeFiles, err := (&Cache{Dir: dir}).Open(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := closeFiles(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d entries in the cache", len(left))
	}
}

// A package whose content is hostile is refused even if its digest is the lock's.
func TestFetchedTraversalIsRefused(t *testing.T) {
	archive, _ := fakeApt(t)
	p := offer(t, archive, "firmware-x", member{"./../../etc/passwd", []byte("x")})
	cache := &Cache{Dir: t.TempDir(), Arch: "amd64"}
	if err := cache.Fetch(t.Context(), []Package{p}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := cache.Open(p); err == nil || !strings.Contains(err.Error(), "outside of itself") {
		t.Errorf("got %v", err)
	}
}

func TestFetchStops(t *testing.T) {
	archive, _ := fakeApt(t)
	p := offer(t, archive, "firmware-x", member{"./a", []byte("1")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Cache{Dir: t.TempDir(), Arch: "amd64"}).Fetch(ctx, []Package{p}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Without an archive of Debian the error names the variables that help.
func TestNoArchive(t *testing.T) {
	bin := t.TempDir()
	for script, want := range map[string]string{
		"#!/bin/sh\necho noble http://mirror.test/ubuntu/\n": "set DEBIAN_ARCHIVE",
		"#!/bin/sh\necho broken >&2; exit 3\n":               "apt-get: exit status 3: broken",
	} {
		if err := os.WriteFile(filepath.Join(bin, "apt-get"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		if _, err := (Archive{}).complete(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	chosen := Archive{"http://a.test", "http://b.test"}
	if got, err := chosen.complete(t.Context()); err != nil || got != chosen {
		t.Errorf("what the user chose needs no apt: %v, %v", got, err)
	}
}

func TestFetchRefusesAnotherDigest(t *testing.T) {
	archive, _ := fakeApt(t)
	p := offer(t, archive, "firmware-x", member{"./a", []byte("1")})
	offer(t, archive, "firmware-x", member{"./a", []byte("2")})
	cache := &Cache{Dir: t.TempDir(), Arch: "amd64"}
	err := cache.Fetch(t.Context(), []Package{p})
	if err == nil || !strings.Contains(err.Error(), "packages.lock says "+p.SHA256) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(cache.Dir); len(left) != 0 {
		t.Errorf("something was left in the cache: %v", left)
	}
}

func TestFetchSaysWhatToDoWhenTheVersionIsGone(t *testing.T) {
	fakeApt(t)
	gone := Package{"firmware-x", "1", "all", "trixie", "main", sum}
	cache := &Cache{Dir: t.TempDir(), Arch: "amd64"}
	err := cache.Fetch(t.Context(), []Package{gone})
	if err == nil || !strings.Contains(err.Error(), "mkimage --update-lock") || !strings.Contains(err.Error(), "Version '1' for 'firmware-x' was not found") {
		t.Errorf("got %v", err)
	}
}

func TestOpenRefusesAChangedArchive(t *testing.T) {
	archive, _ := fakeApt(t)
	p := offer(t, archive, "firmware-x", member{"./a", []byte("1")})
	cache := &Cache{Dir: t.TempDir(), Arch: "amd64"}
	if _, _, err := cache.Open(p); err == nil || !strings.Contains(err.Error(), "not in the cache") {
		t.Errorf("before fetching: got %v", err)
	}
	if err := cache.Fetch(t.Context(), []Package{p}); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(cache.Dir, "*.tar"))
	if err := os.WriteFile(names[0], []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := cache.Open(p); err == nil || !strings.Contains(err.Error(), "has been changed") || !strings.Contains(err.Error(), "remove") {
		t.Errorf("after changing it: got %v", err)
	}
}
