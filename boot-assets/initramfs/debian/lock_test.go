package debian

import (
	"reflect"
	"strings"
	"testing"
)

const sum = "803d36a7cda13355ae8152122470288b2636f19f1cb58162dd9d8b408af9b1b4"

const goodLine = "linux-image-6.12.117+deb12-amd64 6.12.117-1~deb12u1 amd64 bookworm-security main " + sum

func TestParseLock(t *testing.T) {
	got, err := ParseLock([]byte("# head\n\n" + goodLine + "\nfirmware-bnx2 20250410-2 all trixie non-free-firmware " + sum + "\n"))
	want := []Package{
		{"linux-image-6.12.117+deb12-amd64", "6.12.117-1~deb12u1", "amd64", "bookworm-security", "main", sum},
		{"firmware-bnx2", "20250410-2", "all", "trixie", "non-free-firmware", sum},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	again, err := ParseLock(FormatLock([]byte("# head\nrest\n"), got))
	if err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("written and read again: %+v, %v", again, err)
	}
	if text := string(FormatLock([]byte("# head\nrest\n"), got)); !strings.HasPrefix(text, "# head\nlinux-image") {
		t.Errorf("comments were not kept: %q", text)
	}
}

func TestParseLockRefuses(t *testing.T) {
	if _, err := ParseLock([]byte(goodLine)); err != nil {
		t.Fatalf("control: %v", err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"too few columns":   {"a 1 amd64 trixie main", "5 columns"},
		"option as name":    {strings.Replace(goodLine, "linux-image", "-o", 1), "no package name"},
		"path as name":      {strings.Replace(goodLine, "linux-image", "../x", 1), "no package name"},
		"option as version": {strings.Replace(goodLine, "6.12.117-1", "--help", 1), "no version"},
		"address as suite":  {strings.Replace(goodLine, "bookworm-security", "http://x", 1), "not plain"},
		"short digest":      {goodLine[:len(goodLine)-2], "no lower-case SHA-256"},
		"upper-case digest": {strings.ToUpper(goodLine), "no package name"},
		"twice":             {goodLine + "\n" + goodLine, "line 2: package"},
		"too large":         {strings.Repeat("#\n", 40<<10), "more than"},
	} {
		if _, err := ParseLock([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add([]byte(goodLine))
	f.Add([]byte("# comment\n\n" + goodLine + "\r\n"))
	f.Add([]byte("a b c d e f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		packages, err := ParseLock(data)
		if err != nil {
			return
		}
		again, err := ParseLock(FormatLock(nil, packages))
		if err != nil || (len(packages) > 0 && !reflect.DeepEqual(again, packages)) {
			t.Errorf("%+v became %+v, %v", packages, again, err)
		}
	})
}
