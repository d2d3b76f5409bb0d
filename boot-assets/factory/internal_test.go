package factory

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseCmdline(t *testing.T) {
	for line, want := range map[string]string{
		"talos.platform=metal console=tty0\n":                      "",
		" talos.platform=metal\tx ip=a:b:c printk.devkmsg=on -x=1": "cannot be an argument",
		"talos.platform=metal console=tty0  a.b-c=\"x\n":           "cannot be an argument",
		"":                                   "does not have talos.platform",
		"console=tty0":                       "does not have talos.platform",
		"404 page not found":                 "does not have talos.platform",
		"talos.platform=metal --":            "cannot be an argument",
		"talos.platform=metal a=${net0/mac}": "cannot be an argument",
		`talos.platform=metal a=\x`:          "cannot be an argument",
		"talos.platform=metal é=1":           "not ASCII",
		"talos.platform=metal ingot.pin=x":   "Ingot's own",
		"talos.platform=metal initrd=x":      "Ingot's own",
		"talos.platform=metal " + strings.Repeat("a", 513):  "longer than 512",
		"talos.platform=metal" + strings.Repeat(" a=b", 62): "at most 62 fit",
		"talos.platform=metal" + strings.Repeat(" a=b", 61): "",
	} {
		_, err := parseCmdline(line)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

// FuzzCmdline: what is taken can stand on a line of a boot script, and reads back as it was.
func FuzzCmdline(f *testing.F) {
	for _, s := range []string{"talos.platform=metal console=tty0\n", "<!DOCTYPE html>", "talos.platform=metal a=\"b c\"", "talos.platform=metal ${x}", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args, err := parseCmdline(line)
		if err != nil {
			return
		}
		text := strings.Join(args, " ")
		again, err := parseCmdline(text)
		if err != nil || !slices.Equal(again, args) || len(args) > maxArgs || strings.ContainsAny(text, "\r\n\\\"\x00") || strings.Contains(text, "${") {
			t.Errorf("%q: %q, %v", line, args, err)
		}
	})
}

// FuzzVersions: what is taken is of the form that Environments take.
func FuzzVersions(f *testing.F) {
	for _, s := range []string{`["v1.13.0","v1.14.0-beta.1"]`, `[]`, `null`, `{}`, `["latest", "v1"]`, `[1]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parseVersions(data)
		if err != nil && all != nil || len(all) > maxKnown {
			t.Errorf("%d versions, %v", len(all), err)
		}
		for _, v := range all {
			if !version.MatchString(v) {
				t.Errorf("%q", v)
			}
		}
	})
}

// FuzzPlausible: it never looks beyond what is there, and takes no page for a file.
func FuzzPlausible(f *testing.F) {
	f.Add([]byte("MZ"))
	f.Add([]byte("<!DOCTYPE html>"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, head []byte) {
		for _, k := range []Kind{Kernel, Initramfs, UKI, "other"} {
			page := len(head) < 2 || head[0] == '<' && len(head) <= 0x202
			if plausible(k, head) && page {
				t.Errorf("%q is a %s", head, k)
			}
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// slow waits before its head and sends a few bytes each second.
type slow struct {
	r     *http.Request
	bytes int
}

func (s *slow) Read(b []byte) (int, error) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
		copy(b, "MZ")
		return min(s.bytes, len(b)), nil
	case <-s.r.Context().Done():
		return 0, s.r.Context().Err()
	}
}
func (*slow) Close() error { return nil }

// TestPatience: a factory may take minutes to make a file, and not to send it.
func TestPatience(t *testing.T) {
	for name, tc := range map[string]struct {
		head  time.Duration
		bytes int
		want  string
		most  time.Duration
	}{
		"never answers":      {time.Hour, 1, "came in 5m0s", buildTime},
		"sends nothing":      {time.Minute, 1, "came in 30s", 2 * time.Minute},
		"control: it builds": {4 * time.Minute, 1000, "", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				c, err := New(Config{Transport: transport(func(r *http.Request) (*http.Response, error) {
					timer := time.NewTimer(tc.head)
					defer timer.Stop()
					select {
					case <-timer.C:
						return &http.Response{StatusCode: 200, ProtoMajor: 2, ContentLength: 100_000, Body: &slow{r, tc.bytes}, Request: r}, nil
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
				})})
				if err != nil {
					t.Fatal(err)
				}
				f, err := c.Open(t.Context(), Release{Schematic: "s", Version: "v1.13.0", Arch: "amd64"}, Kernel)
				if err == nil {
					defer f.Close()
					_, err = io.CopyN(io.Discard, f, 100_000)
				}
				took := time.Since(begun)
				if tc.want == "" && err != nil || tc.want != "" && (!errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), tc.want)) || took > tc.most {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}
