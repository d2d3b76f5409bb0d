package tftp

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"
)

func rrq(parts ...string) []byte { return []byte("\x00\x01" + strings.Join(parts, "\x00") + "\x00") }

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"snponly.efi": "snponly.efi", "/snponly.efi": "snponly.efi", "snponly.efi\xff": "snponly.efi", "amd64/snponly.efi": "amd64/snponly.efi",
		"../secret": "", "a/../b": "", "//etc/passwd": "", "/": "", "": "", ".": "", "a//b": "", "a/": "", "./a": "",
		"%2e%2e/secret": "", `..\secret`: "", `a\b`: "", "C:/boot": "", "a\nb": "", "a b": "", "é": "", "a\xff\xff": "",
		strings.Repeat("a", 255): strings.Repeat("a", 255), strings.Repeat("a", 256): "",
	} {
		got, ok := cleanName(in)
		if got != want || ok != (want != "") {
			t.Errorf("cleanName(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestParseRequest(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want request
		code uint16 // of the refusal
		mute bool
	}{
		"plain":            {in: rrq("f", "octet"), want: request{name: "f"}},
		"mode in capitals": {in: rrq("f", "OCTET"), want: request{name: "f"}},
		"name with NUL":    {in: rrq("f", "", "octet"), want: request{name: "f"}},
		"options":          {in: rrq("f", "octet", "blksize", "1024", "tsize", "0", "windowsize", "4"), want: request{name: "f", block: 1024, tsize: true, window: 4}},
		"clamped":          {in: rrq("f", "octet", "BLKSIZE", "65464", "windowsize", "64"), want: request{name: "f", block: maxBlock, window: maxWindow}},
		"odd options":      {in: rrq("f", "octet", "blksize", "7", "windowsize", "0", "tsize", "5", "x", "y", "blksize", "z", "last"), want: request{name: "f"}},
		"write":            {in: append([]byte{0, 2}, "f\x00octet\x00"...), code: errAccess},
		"netascii":         {in: rrq("f", "netascii"), code: errIllegal},
		"mail":             {in: rrq("f", "mail"), code: errIllegal},
		"no mode":          {in: rrq("f"), code: errIllegal},
		"no end":           {in: []byte("\x00\x01f\x00octet"), code: errIllegal},
		"many options":     {in: rrq(append([]string{"f", "octet"}, make([]string, 40)...)...), code: errIllegal},
		"traversal":        {in: rrq("../f", "octet"), code: errNotFound},
		"stray ACK":        {in: []byte{0, 4, 0, 1}, mute: true},
		"stray error":      {in: []byte{0, 5, 0, 1, 0}, mute: true},
		"short":            {in: []byte{0, 1, 0}, mute: true},
		"64 KiB":           {in: rrq(strings.Repeat("a", 1<<16), "octet"), mute: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, no, ok := parseRequest(c.in)
			switch {
			case ok == c.mute:
				t.Errorf("answered %v, want %v", ok, !c.mute)
			case (no != nil) != (c.code != 0) || no != nil && no.code != c.code:
				t.Errorf("refusal %+v, want code %d", no, c.code)
			case no == nil && r != c.want:
				t.Errorf("got %+v, want %+v", r, c.want)
			}
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range [][]byte{rrq("f", "octet"), rrq("f", "", "octet", "tsize", "0"), rrq("../f", "octet"), rrq("/a\xff", "octet", "blksize", "8"), {0, 2, 0}, {0, 4, 0, 1}} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, no, ok := parseRequest(b)
		if !ok || no != nil {
			if no != nil && len(no.packet()) > 64 {
				t.Fatalf("a refusal of %d bytes", len(no.packet()))
			}
			return
		}
		if !fs.ValidPath(r.name) || strings.ContainsAny(r.name, "\\%\x00:") || strings.Contains(r.name, "..") && !fs.ValidPath(r.name) {
			t.Fatalf("accepted the name %q", r.name)
		}
		if r.block > maxBlock || r.window > maxWindow || r.block != 0 && r.block < minBlock {
			t.Fatalf("accepted %+v", r)
		}
		if o := r.oack(1 << 40); len(o) > 64 || o != nil && !bytes.HasPrefix(o, []byte{0, opOACK}) {
			t.Fatalf("OACK %q", o)
		}
	})
}
