package debian

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Limits on an index; the kernel's package has about 5,200 files.
const (
	maxFiles = 100_000
	maxLinks = 8
)

// Files reads the regular files of one data.tar by name. Names have no leading slash, and /lib is spelled usr/lib.
type Files struct {
	at      io.ReaderAt
	regular map[string]span
	links   map[string]string
}

type span struct{ offset, size int64 }

// IndexTar reads the headers of a tar archive of the given size. Names that leave the archive are refused.
func IndexTar(at io.ReaderAt, size int64) (*Files, error) {
	files := &Files{at: at, regular: map[string]span{}, links: map[string]string{}}
	section := io.NewSectionReader(at, 0, size)
	archive := tar.NewReader(section)
	for count := 0; ; count++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading tar archive: %w", err)
		}
		if count == maxFiles {
			return nil, fmt.Errorf("package has more than %d files", maxFiles)
		}
		offset, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, fmt.Errorf("finding file in tar archive: %w", err)
		}
		if err := files.add(header, offset, size); err != nil {
			return nil, err
		}
	}
}

func (f *Files) add(h *tar.Header, offset, total int64) error {
	name, err := clean(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		if sparse(h) || h.Size > total-offset {
			return fmt.Errorf("file %q is sparse or cut off", h.Name)
		}
		f.regular[name] = span{offset, h.Size}
	case tar.TypeSymlink:
		target := h.Linkname
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		if target, err = clean(target); err != nil {
			return fmt.Errorf("link %q: %w", h.Name, err)
		}
		f.links[name] = target
	}
	return nil
}

// sparse files' bytes do not lie in the archive as they are; no package needs them.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// clean makes a name relative to the root; merged /usr makes lib and usr/lib the same folder.
func clean(name string) (string, error) {
	name = strings.TrimPrefix(name, "./")
	name = strings.TrimSuffix(strings.TrimPrefix(name, "/"), "/")
	if name == "" || name == "." {
		return ".", nil
	}
	if !fs.ValidPath(path.Clean(name)) || slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("package names a file outside of itself: %q", name)
	}
	name = path.Clean(name)
	if strings.HasPrefix(name, "lib/") {
		name = "usr/" + name
	}
	return name, nil
}

// Names lists files and links below a folder, sorted.
func (f *Files) Names(folder string) []string {
	var out []string
	for name := range f.regular {
		if strings.HasPrefix(name, folder+"/") {
			out = append(out, name)
		}
	}
	for name := range f.links {
		if strings.HasPrefix(name, folder+"/") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Read gives a file's content, through links. It is fs.ErrNotExist when there is none.
func (f *Files) Read(name string) ([]byte, error) {
	for range maxLinks {
		if at, ok := f.regular[name]; ok {
			content := make([]byte, at.size)
			if _, err := f.at.ReadAt(content, at.offset); err != nil {
				return nil, fmt.Errorf("reading %s: %w", name, err)
			}
			return content, nil
		}
		target, ok := f.links[name]
		if !ok {
			break
		}
		name = target
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}
