package debian

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

type member struct {
	name string
	data []byte
}

// arFile writes an ar archive as dpkg-deb does.
func arFile(members ...member) []byte {
	out := bytes.NewBufferString(arMagic)
	for _, m := range members {
		fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		out.Write(m.data)
		if len(m.data)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

// tarFile writes regular files, or links where the content begins with "->".
func tarFile(files ...member) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), Typeflag: tar.TypeReg}
		if target, ok := strings.CutPrefix(string(f.data), "->"); ok {
			h.Typeflag, h.Linkname, h.Size, f.data = tar.TypeSymlink, target, 0, nil
		}
		_ = w.WriteHeader(h)
		_, _ = w.Write(f.data)
	}
	_ = w.Close()
	return out.Bytes()
}

// packed compresses by the name's ending.
func packed(name string, data []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch name {
	case "data.tar.xz":
		w, _ = xz.NewWriter(&out)
	case "data.tar.zst":
		w, _ = zstd.NewWriter(&out)
	case "data.tar.gz":
		w = gzip.NewWriter(&out)
	default:
		return data
	}
	_, _ = w.Write(data)
	_ = w.Close()
	return out.Bytes()
}

// debFile is a package with the files in it.
func debFile(files ...member) []byte {
	return arFile(member{"debian-binary", []byte("2.0\n")}, member{"control.tar.xz", []byte("odd")},
		member{"data.tar.xz", packed("data.tar.xz", tarFile(files...))})
}

func TestCopyData(t *testing.T) {
	want := tarFile(member{"./usr/lib/firmware/x.bin", []byte("firmware")})
	for _, name := range []string{"data.tar", "data.tar.xz", "data.tar.zst", "data.tar.gz"} {
		deb := arFile(member{"debian-binary", []byte("2.0\n")}, member{"control.tar.xz/", []byte("odd")}, member{name, packed(name, want)})
		var got bytes.Buffer
		if err := CopyData(&got, bytes.NewReader(deb)); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: %d bytes, want %d; %v", name, got.Len(), len(want), err)
		}
	}
}

func TestCopyDataRefuses(t *testing.T) {
	good := debFile(member{"./a", []byte("a")})
	if err := CopyData(io.Discard, bytes.NewReader(good)); err != nil {
		t.Fatalf("control: %v", err)
	}
	huge := arFile(member{"data.tar", nil})
	copy(huge[8+48:], "9999999999")
	negative := arFile(member{"control", nil}, member{"data.tar", nil})
	copy(negative[8+48:], "-1        ")
	for name, c := range map[string]struct {
		deb  []byte
		want string
	}{
		"empty":            {nil, "magic"},
		"not ar":           {[]byte("PK\x03\x04 something else"), "magic"},
		"no data":          {arFile(member{"debian-binary", []byte("2.0\n")}), "no data.tar"},
		"cut in header":    {good[:30], "in the middle of a header"},
		"cut in member":    {good[:8+60+2], "skipping"},
		"cut in data":      {good[:len(good)-20], "decompressing"},
		"no end mark":      {bytes.Replace(good, []byte("`\n"), []byte("xx"), 1), "end mark"},
		"huge member":      {huge, "impossible size"},
		"negative member":  {negative, "impossible size"},
		"unknown form":     {arFile(member{"data.tar.lz", []byte("x")}), "not known"},
		"not what it says": {arFile(member{"data.tar.xz", []byte("plain")}), "opening data.tar.xz"},
		"too many members": {arFile(make([]member, 40)...), "no data.tar"},
	} {
		if err := CopyData(io.Discard, bytes.NewReader(c.deb)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// Whatever the bytes, there is no crash, and what is indexed can be read.
func FuzzPackage(f *testing.F) {
	f.Add(debFile(member{"./usr/lib/firmware/x.bin", []byte("firmware")}, member{"./lib/y", []byte("->../usr/lib/firmware/x.bin")}))
	f.Add(arFile(member{"debian-binary", []byte("2.0\n")}, member{"data.tar", tarFile(member{"../x", []byte("1")})}))
	f.Add(arFile(member{"data.tar", tarFile(member{"a", []byte("->a")})}))
	f.Add([]byte(arMagic))
	f.Fuzz(func(t *testing.T, deb []byte) {
		var out bytes.Buffer
		if CopyData(&limited{&out, 8 << 20}, bytes.NewReader(deb)) != nil {
			return
		}
		files, err := IndexTar(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			return
		}
		for name := range files.regular {
			if strings.HasPrefix(name, "/") || strings.HasPrefix(name, "../") || name == ".." {
				t.Errorf("a file outside of the package: %q", name)
			}
			if _, err := files.Read(name); err != nil {
				t.Errorf("an indexed file cannot be read: %v", err)
			}
		}
	})
}

// limited keeps the fuzzer's memory small.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, io.ErrShortWrite
	}
	return l.w.Write(p)
}
