package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

const manifestName = "manifest.json"

// File is a file on this machine and the name of its member.
type File struct{ Name, Path string }

// Write writes a backup of the files, in their order. The manifest's members are filled in. A file that changes meanwhile is an error.
func Write(w io.Writer, m Manifest, files []File) (Manifest, error) {
	m.FormatVersion, m.Members = FormatVersion, nil
	for _, f := range files {
		e, err := measure(f)
		if err != nil {
			return m, err
		}
		m.Members = append(m.Members, e)
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("making a backup: %w", err)
	}
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return m, err
	}
	t := tar.NewWriter(zip)
	if err := put(t, m, files); err != nil {
		return m, err
	}
	return m, errors.Join(t.Close(), zip.Close())
}

func put(t *tar.Writer, m Manifest, files []File) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := t.WriteHeader(header(manifestName, int64(len(text)), m)); err != nil {
		return err
	}
	if _, err := t.Write(text); err != nil {
		return err
	}
	for i, f := range files {
		if err := t.WriteHeader(header(f.Name, m.Members[i].Size, m)); err != nil {
			return err
		}
		if err := copyFile(t, f, m.Members[i]); err != nil {
			return fmt.Errorf("backing up %s: %w", f.Path, err)
		}
	}
	return nil
}

func header(name string, size int64, m Manifest) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: m.CreatedAt}
}

func measure(f File) (Member, error) {
	in, err := os.Open(f.Path)
	if err != nil {
		return Member{}, fmt.Errorf("backing up %s: %w", f.Path, err)
	}
	defer in.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	if err != nil {
		return Member{}, fmt.Errorf("backing up %s: %w", f.Path, err)
	}
	return Member{Name: f.Name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

func copyFile(w io.Writer, f File, want Member) error {
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(in, want.Size))
	if err != nil {
		return err
	}
	if n != want.Size || hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
		return errors.New("it changed meanwhile; run the command again")
	}
	return nil
}

// Read reads a backup to its end. begin judges the manifest before anything else is read; each gets every member in order. What each does not read
// is read for it, and the digest is checked when it returns. nil functions only check.
func Read(r io.Reader, begin func(Manifest) error, each func(Member, io.Reader) error) (Manifest, error) {
	in := bufio.NewReader(r)
	zip, err := gzip.NewReader(in)
	if err != nil {
		return Manifest{}, fmt.Errorf("this is no backup of Ingot: %w", whole(err))
	}
	zip.Multistream(false)
	t := tar.NewReader(zip)
	m, err := manifest(t)
	if err != nil {
		return m, err
	}
	if begin != nil {
		if err := begin(m); err != nil {
			return m, err
		}
	}
	for _, e := range m.Members {
		if err := member(t, e, each); err != nil {
			return m, err
		}
	}
	return m, end(t, zip, in)
}

func manifest(t *tar.Reader) (Manifest, error) {
	h, err := t.Next()
	if err != nil {
		return Manifest{}, fmt.Errorf("this is no backup of Ingot: %w", whole(err))
	}
	if h.Name != manifestName || h.Typeflag != tar.TypeReg || h.Size > maxManifest {
		return Manifest{}, errors.New("this is no backup of Ingot: it does not begin with a manifest")
	}
	text, err := io.ReadAll(t)
	if err != nil {
		return Manifest{}, fmt.Errorf("the backup is damaged: %w", whole(err))
	}
	m, err := ParseManifest(text)
	if errors.Is(err, ErrNewer) {
		return m, err
	}
	if err != nil {
		return m, fmt.Errorf("the backup is damaged: %w", err)
	}
	return m, nil
}

// member hands one on and checks it.
func member(t *tar.Reader, e Member, each func(Member, io.Reader) error) error {
	h, err := t.Next()
	if err != nil {
		return fmt.Errorf("the backup is damaged: reading %s: %w", e.Name, whole(err))
	}
	if h.Name != e.Name || h.Size != e.Size || h.Typeflag != tar.TypeReg {
		return fmt.Errorf("the backup is damaged: where %s should be, there is %.200q", e.Name, h.Name)
	}
	sum := sha256.New()
	content := io.TeeReader(t, sum)
	if each != nil {
		if err := each(e, content); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, content); err != nil {
		return fmt.Errorf("the backup is damaged: reading %s: %w", e.Name, whole(err))
	}
	if hex.EncodeToString(sum.Sum(nil)) != e.SHA256 {
		return fmt.Errorf("the backup is damaged: %s does not have the digest that the manifest names", e.Name)
	}
	return nil
}

// end checks that nothing follows, and the check sum of gzip, which covers the manifest as well.
func end(t *tar.Reader, zip *gzip.Reader, in *bufio.Reader) error {
	if h, err := t.Next(); err == nil {
		return fmt.Errorf("the backup is damaged: its manifest does not name %.200q", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("the backup is damaged: %w", whole(err))
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(zip, maxPadding)); err != nil || n == maxPadding {
		return fmt.Errorf("the backup is damaged behind its last member: %w", errors.Join(whole(err), tooLong(n)))
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("the backup is damaged: something follows its end")
	}
	return nil
}

// maxPadding bounds the zeros behind the last member, in bytes.
const maxPadding = 1 << 20

func tooLong(n int64) error {
	if n == maxPadding {
		return errors.New("it does not end")
	}
	return nil
}

// whole says in words that a file was cut off.
func whole(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("it is cut off")
	}
	return err
}
