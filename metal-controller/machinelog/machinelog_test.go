package machinelog_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/metal-controller/machinelog"
)

var epoch = time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)

// clock only moves when told.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

// TestBounds: lines of one server are bounded by number and by bytes, the newest stay, and a line holds nothing that speaks to a terminal.
func TestBounds(t *testing.T) {
	b := machinelog.New((&clock{epoch}).read)
	for i := range 3 * machinelog.MaxLines {
		b.Add("many", machinelog.Kernel, fmt.Sprint("line ", i))
		b.Add("long", machinelog.Kernel, fmt.Sprint(i, strings.Repeat("x", 5000)))
	}
	many, long := b.Lines("many"), b.Lines("long")
	if len(many) != machinelog.MaxLines || many[len(many)-1].Text != fmt.Sprint("line ", 3*machinelog.MaxLines-1) {
		t.Errorf("%d lines, the last %q", len(many), many[len(many)-1].Text)
	}
	bytes := 0
	for _, l := range long {
		bytes += len(l.Text)
	}
	if bytes > machinelog.MaxBytes || bytes < machinelog.MaxBytes/2 || len(long[0].Text) != machinelog.MaxText {
		t.Errorf("%d bytes in %d lines", bytes, len(long))
	}
	b.Add("rude", machinelog.Talos, "a\x1b[2J\nb\u202ec\x00 ")
	if got := b.Lines("rude")[0].Text; got != "a?[2J?b?c?" {
		t.Errorf("%q", got)
	}
}

// TestVoices: the louder voice loses its lines; the other one's stay.
func TestVoices(t *testing.T) {
	b := machinelog.New((&clock{epoch}).read)
	b.Add("s", machinelog.Talos, "stage installing")
	for range 3 * machinelog.MaxLines {
		b.Add("s", machinelog.Kernel, "again")
	}
	if got := b.Lines("s"); len(got) != machinelog.MaxLines || got[0].Text != "stage installing" || got[1].Text != "again" {
		t.Errorf("%d lines, the first %+v", len(got), got[0])
	}
	for range 3 * machinelog.MaxLines {
		b.Add("s", machinelog.Talos, "again")
	}
	kernel := 0
	for _, l := range b.Lines("s") {
		if l.Source == machinelog.Kernel {
			kernel++
		}
	}
	if kernel < machinelog.MaxLines/2-1 || kernel > machinelog.MaxLines/2+1 {
		t.Errorf("%d lines are the kernel's", kernel)
	}
}

// TestRoom: what all servers said together is bounded too; who is quiet for longest is forgotten.
func TestRoom(t *testing.T) {
	c := &clock{epoch}
	b := machinelog.New(c.read)
	text := strings.Repeat("x", machinelog.MaxText)
	for i := range 3000 {
		c.now = c.now.Add(time.Second)
		for range 60 {
			b.Add(fmt.Sprint("s", i), machinelog.Kernel, text)
		}
	}
	kept := 0
	for i := range 3000 {
		kept += len(b.Lines(fmt.Sprint("s", i)))
	}
	if b.Lines("s0") != nil || b.Lines("s2999") == nil || kept*(len(text)+64) > 64<<20 || kept < 100_000 {
		t.Errorf("%d lines are kept, of the first server %d", kept, len(b.Lines("s0")))
	}
}

// TestPace: lines gather for two seconds, and those of one server are written every 15 seconds at most; the one that waits longest comes first.
func TestPace(t *testing.T) {
	c := &clock{epoch}
	b := machinelog.New(c.read)
	next := func(hurry bool) string { name, _, _ := b.Next(hurry); return name }
	for _, step := range []struct {
		after time.Duration
		add   string
		hurry bool
		want  string
	}{
		{0, "a", false, ""},
		{time.Second, "b", false, ""},
		{time.Second, "", false, "a"},
		{0, "", false, ""},
		{time.Second, "a", false, "b"},
		{13 * time.Second, "b", false, ""},
		{time.Second, "", false, "a"},
		{0, "", false, ""},
		{0, "", true, "b"},
		{0, "", true, ""}, // nothing new
	} {
		c.now = c.now.Add(step.after)
		if step.add != "" {
			b.Add(step.add, machinelog.Kernel, "x")
		}
		if got := next(step.hurry); got != step.want {
			t.Errorf("%v: %q", step, got)
		}
	}
	b.Again("b")
	if got := next(true); got != "b" {
		t.Errorf("what could not be written does not come again: %q", got)
	}
	b.Add("a", machinelog.Kernel, "x")
	b.Forget("a")
	if got := next(true); got != "" || b.Lines("a") != nil {
		t.Errorf("what was forgotten comes: %q", got)
	}
}

// TestForm: what was packed is read back, and what somebody else packed is bounded and cleaned.
func TestForm(t *testing.T) {
	b := machinelog.New((&clock{epoch}).read)
	b.Add("s", machinelog.Kernel, "[    1.000000] Linux  version")
	b.Add("s", machinelog.Talos, "")
	packed, err := machinelog.Encode(b.Lines("s"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := machinelog.Decode(packed); err != nil || !reflect.DeepEqual(got, b.Lines("s")) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := machinelog.Decode([]byte("not packed")); err == nil {
		t.Error("what is not packed is read")
	}
	bomb := pack(t, strings.Repeat("2026-05-01T12:00:00.000000Z kernel \x1b[2J\n", 1_000_000))
	got, err := machinelog.Decode(bomb)
	if err != nil || len(got) != machinelog.MaxLines || strings.Contains(got[0].Text, "\x1b") {
		t.Errorf("%d lines, %v", len(got), err)
	}
	if got, err := machinelog.Decode(pack(t, "\n2026 kernel x\n2026-05-01T12:00:00.000000Z mallory x\n2026-05-01T12:00:00.000000Z talos x")); err != nil || len(got) != 1 || got[0].Text != "x" {
		t.Errorf("%+v, %v", got, err)
	}
}

func pack(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestMerge: lines of two writes are shown once each, in order.
func TestMerge(t *testing.T) {
	line := func(seconds int, text string) machinelog.Line {
		return machinelog.Line{At: epoch.Add(time.Duration(seconds) * time.Second), Source: machinelog.Kernel, Text: text}
	}
	got := machinelog.Merge([]machinelog.Line{line(1, "a"), line(3, "c")}, []machinelog.Line{line(1, "a"), line(2, "b")})
	if want := []machinelog.Line{line(1, "a"), line(2, "b"), line(3, "c")}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestName: names of ConfigMaps sort as their times do, also for the longest name of a server.
func TestName(t *testing.T) {
	long := strings.Repeat("s", 63)
	a, b := machinelog.Name(long, epoch), machinelog.Name(long, epoch.Add(time.Microsecond))
	if a >= b || len(b) > 253 || !strings.HasPrefix(a, "log."+long+".") {
		t.Errorf("%s, %s", a, b)
	}
}

// FuzzDecode: whatever is kept is read without harm, and what is read can be packed and read again.
func FuzzDecode(f *testing.F) {
	f.Add("2026-05-01T12:00:00.000000Z kernel [1] Linux\n2026-05-01T12:00:00.000001Z talos stage running")
	f.Add("2026-05-01T12:00:00.000000Z kernel \x1b]0;x\a\n\n \xff")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = machinelog.Decode([]byte(text)) // unpacked
		got, err := machinelog.Decode(pack(t, text))
		if err != nil {
			t.Fatal(err)
		}
		packed, err := machinelog.Encode(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := machinelog.Decode(packed)
		if err != nil || len(again) != len(got) || len(got) > 0 && !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v became %+v, %v", got, again, err)
		}
	})
}
