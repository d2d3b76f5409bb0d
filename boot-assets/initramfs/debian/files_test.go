package debian

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func index(t *testing.T, data []byte) *Files {
	t.Helper()
	files, err := IndexTar(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFiles(t *testing.T) {
	files := index(t, tarFile(
		member{"./boot/vmlinuz-1", []byte("kernel")},
		member{"./lib/modules/1/a.ko", []byte("module")},
		member{"./usr/lib/firmware/ice/ice.pkg", []byte("->ice-1.3.pkg")},
		member{"./usr/lib/firmware/ice/ice-1.3.pkg", []byte("firmware")},
		member{"./usr/lib/firmware/abs", []byte("->/lib/firmware/ice/ice.pkg")},
		member{"./usr/lib/firmware/loop", []byte("->loop")},
		member{"./usr/lib/firmware/gone", []byte("->nowhere")},
		member{"./empty", nil},
	))
	for name, want := range map[string]string{
		"boot/vmlinuz-1": "kernel", "usr/lib/modules/1/a.ko": "module", "usr/lib/firmware/ice/ice.pkg": "firmware", "usr/lib/firmware/abs": "firmware", "empty": "",
	} {
		if got, err := files.Read(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"usr/lib/firmware/loop", "usr/lib/firmware/gone", "boot", "../x", ""} {
		if _, err := files.Read(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: got %v, want not exist", name, err)
		}
	}
	want := []string{"usr/lib/firmware/ice/ice-1.3.pkg", "usr/lib/firmware/ice/ice.pkg"}
	if got := files.Names("usr/lib/firmware/ice"); !slices.Equal(got, want) {
		t.Errorf("Names = %v", got)
	}
}

func TestIndexTarRefuses(t *testing.T) {
	good := tarFile(member{"./a/b", []byte("content")})
	index(t, good)
	var pax bytes.Buffer
	w := tar.NewWriter(&pax)
	_ = w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatPAX, PAXRecords: map[string]string{"XXX.sparse.z": "1"}})
	_ = w.Close()
	index(t, pax.Bytes())
	sparse := bytes.Replace(pax.Bytes(), []byte("XXX.sparse"), []byte("GNU.sparse"), 1)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"up":         {tarFile(member{"./../etc/passwd", []byte("x")}), "outside"},
		"up later":   {tarFile(member{"a/../../etc/passwd", []byte("x")}), "outside"},
		"up by link": {tarFile(member{"usr/lib/x", []byte("->../../../etc/passwd")}), "outside"},
		"sparse":     {sparse, "sparse"},
		"cut off":    {good[:514], "cut off"},
		"not tar":    {bytes.Repeat([]byte("x"), 1024), "tar archive"},
	} {
		if _, err := IndexTar(bytes.NewReader(c.data), int64(len(c.data))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// Whatever names a package has, a file that is read has the bytes that were packed under its name.
func TestFilesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		contents := rapid.MapOfN(rapid.StringMatching(`[a-c][a-c/]{0,5}[a-c]`), rapid.SliceOfN(rapid.Byte(), 0, 1500), 0, 8).Draw(t, "files")
		var members []member
		want := map[string][]byte{}
		for name, data := range contents {
			data = append([]byte("="), data...)
			plain, err := clean(name)
			if _, double := want[plain]; err != nil || double {
				continue
			}
			want[plain] = data
			members = append(members, member{"./" + name, data})
		}
		packed := tarFile(members...)
		files, err := IndexTar(bytes.NewReader(packed), int64(len(packed)))
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range want {
			if got, err := files.Read(name); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%s: %q, %v; want %q", name, got, err, data)
			}
		}
	})
}
