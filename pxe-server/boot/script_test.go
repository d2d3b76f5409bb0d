package boot

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// parse reads what render writes as iPXE reads it (core/exec.c): a line is expanded, then split at blanks; "||", "&&" and ";" end a command; a
// word that starts with "#" ends the line; a line that starts with ":" is a label. Anything that render must not write is an error.
func parse(text []byte) (script, error) {
	lines := strings.Split(string(text), "\n")
	if lines[0] != "#!ipxe" || lines[len(lines)-1] != "" {
		return nil, errors.New("no header or no end")
	}
	var s script
	for _, line := range lines[1 : len(lines)-1] {
		st, err := parseLine(line)
		if err != nil {
			return nil, err
		}
		s = append(s, st)
	}
	return s, nil
}

func parseLine(line string) (statement, error) {
	if line == named || line == follow { // constants of ours; no text from outside becomes one, since both hold "||"
		return statement{verbatim: line}, nil
	}
	if strings.Contains(line, "${") {
		return statement{}, fmt.Errorf("%q is expanded", line)
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
		return statement{}, fmt.Errorf("%q has characters that iPXE does not print", line)
	}
	if name, ok := strings.CutPrefix(line, ":"); ok {
		return label(name), nil
	}
	var st statement
	words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) })
	for i, w := range words {
		switch {
		case w == "&&" || w == ";" || strings.HasPrefix(w, "#"):
			return statement{}, fmt.Errorf("%q holds more than one command, or a comment", line)
		case w == "||":
			if len(words) != i+3 || words[i+1] != "goto" {
				return statement{}, fmt.Errorf("%q: || without a goto", line)
			}
			st.onFail = words[i+2]
			return st, nil
		}
		st.words = append(st.words, w)
	}
	return st, nil
}

// hostile draws the strings that injections are made of, alone and mixed.
func hostile() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{
			"\n", "\r", "\r\n", "${", "${net0/mac}", "$", "{", "||", "&&", ";", "|", "&", "#", "# x", ":", ":failed", `"`, "'", "`", "\\", "\\\n", "--", "-n", "-", " ",
			"\t", "\x00", "\x7f", "\x1b[2J", "\u2028", "ü", "\xff", "𝄞", "goto failed", "exit", "shell", "imgfree", "chain http://x", "echo", "=", "%0a", "%24%7b",
		}),
		rapid.StringN(0, 12, -1),
		rapid.StringMatching(`[a-z0-9.=:/-]{0,20}`),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces"), rapid.SampledFrom([]string{"", " "}).Draw(t, "glue"))
	})
}

// TestT29Text: whatever a name, serial number or reason holds, a line for people stays one echo and reads back as it was.
func TestT29Text(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkText(t, hostile().Draw(t, "text")) })
}

func checkText(t interface {
	Fatalf(string, ...any)
}, text string,
) {
	in := script{say("server %s waits.", text), do("sleep", "1")}
	out, err := in.render()
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if n := strings.Count(string(out), "\n"); n != 3 {
		t.Fatalf("%q gives %d lines:\n%s", text, n, out)
	}
	back, err := parse(out)
	if err != nil || !reflect.DeepEqual(back, in) {
		t.Fatalf("%q reads back as %v (%v)", text, back, err)
	}
}

// TestT29Words: a word is refused or stays one word. Of all draws half are made of harmless words only, so that some are kept.
func TestT29Words(t *testing.T) {
	refused, kept := 0, 0
	plain := rapid.StringMatching(`[a-z0-9./-]{1,20}`)
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.OneOf(rapid.SliceOfN(hostile(), 1, 4), rapid.SliceOfN(plain, 1, 4)).Draw(t, "words")
		words := append([]string{"kernel"}, drawn...)
		in := script{do(words...).orGoto("failed"), label("failed"), do("exit", "1")}
		out, err := in.render()
		if err != nil {
			refused++
			if !errors.Is(err, ErrUnsafe) || out != nil {
				t.Fatalf("%q: %v", words, err)
			}
			return
		}
		kept++
		if back, err := parse(out); err != nil || !reflect.DeepEqual(back, in) {
			t.Fatalf("%q reads back as %v (%v)", words, back, err)
		}
	})
	if refused == 0 || kept == 0 {
		t.Errorf("%d refused, %d kept: the draw proves nothing", refused, kept)
	}
}

func params() Params {
	return Params{
		Firmware: UEFIPXE, FirstStage: "http://192.0.2.1:7480/boot/v1/boot.ipxe",
		Kernel: "http://192.0.2.1:7480/boot/v1/agent/vmlinuz", Initrd: "http://192.0.2.1:7480/boot/v1/agent/initramfs.zst",
		Files: "http://192.0.2.1:7480/boot/v1/blob/", BootMAC: "52:54:00:00:00:0a", AgentURL: "https://192.0.2.1:7443", AgentPin: strings.Repeat("0f", 32),
		ImageArgs: []string{"console=tty0", "console=ttyS0,115200n8", "panic=30"},
	}
}

// TestT29Kernel: everything that goes on the kernel line is refused, or the script reads back with exactly our arguments in our order.
func TestT29Kernel(t *testing.T) { rapid.Check(t, kernelKeepsItsForm) }

// FuzzScript is the same property of a whole script, with the fuzzer's bytes for its draws.
func FuzzScript(f *testing.F) {
	for _, seed := range []string{"", "agent", "\x00\x01\x02\x03\x04\x05\x06\x07", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(rapid.MakeFuzz(kernelKeepsItsForm))
}

func kernelKeepsItsForm(t *rapid.T) {
	p := params()
	p.AgentArgs = rapid.SliceOfN(hostile(), 0, 3).Draw(t, "args")
	p.AgentURL = "https://" + rapid.OneOf(hostile(), rapid.Just("192.0.2.1:7443")).Draw(t, "host")
	d := Decision{Target: Agent, Server: hostile().Draw(t, "server"), By: ByMAC, Reason: hostile().Draw(t, "reason"), BootID: rapid.OneOf(hostile(), rapid.Just("b1")).Draw(t, "id")}
	out, err := Script(d, p)
	if err != nil {
		return
	}
	s, err := parse(out)
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	want := append([]string{
		"kernel", "--name", "vmlinuz", p.Kernel, "initrd=initrd", "ingot.boot=" + d.BootID, "ingot.url=" + p.AgentURL,
		"ingot.pin=" + p.AgentPin, "ingot.mac=" + p.BootMAC,
	}, append(p.ImageArgs, p.AgentArgs...)...)
	if len(s) != 18 || !reflect.DeepEqual(s[2].words, want) {
		t.Fatalf("%d statements, want 18; kernel line %q, want %q", len(s), s[2].words, want)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a\nshell", "${net0/mac}", "|| shell", "# x", "-n", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { checkText(t, text) })
}
