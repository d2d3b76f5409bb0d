package sol

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	start = time.Unix(1e9, 0)
	tempo = Tempo{Retry: time.Second, Tries: 3, Pause: 300 * time.Millisecond}
)

// wantSent wants exactly these payloads to be due, in this order.
func wantSent(t *testing.T, l *Line, now time.Time, want ...packet) {
	t.Helper()
	var got []string
	for payload := l.Send(now); payload != nil; payload = l.Send(now) {
		got = append(got, string(payload))
	}
	var wanted []string
	for _, p := range want {
		wanted = append(wanted, string(p.bytes()))
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("sent %q; want %q", got, wanted)
	}
}

func wantRead(t *testing.T, l *Line, want string) {
	t.Helper()
	got := make([]byte, 1<<20)
	got = got[:l.Read(got)]
	if string(got) != want {
		t.Errorf("read %.80q; want %.80q", got, want)
	}
}

// TestKeys go out one packet at a time, of the size that the BMC takes, under numbers from 1 to 15, and unchanged when they are repeated (table 15-2).
func TestKeys(t *testing.T) {
	l := New(tempo, headerSize+3)
	if due, ok := l.Due(); ok {
		t.Errorf("due at %v with nothing to say", due)
	}
	l.Type([]byte("abcd"))
	wantSent(t, l, start, packet{number: 1, data: []byte("abc")})
	l.Type([]byte("e"))
	if due, ok := l.Due(); !ok || !due.Equal(start.Add(time.Second)) {
		t.Errorf("the repetition is due at %v", due)
	}
	wantSent(t, l, start.Add(999*time.Millisecond))
	wantSent(t, l, start.Add(time.Second), packet{number: 1, data: []byte("abc")})
	l.Hear(start, 1, packet{acked: 2, accepted: 3}.bytes()) // another packet's
	wantSent(t, l, start.Add(time.Second))
	l.Hear(start, 2, packet{acked: 1, accepted: 3}.bytes())
	l.Hear(start, 3, packet{acked: 1, accepted: 3}.bytes()) // of the repetition
	wantSent(t, l, start, packet{number: 2, data: []byte("de")})
	l.Hear(start, 4, packet{acked: 2}.bytes()) // an ACK of everything, by a BMC that does not count
	if !l.Idle() {
		t.Error("not idle after all was taken")
	}
	for i := range 30 {
		l.Type([]byte("x"))
		number := uint8((i+2)%15 + 1)
		wantSent(t, l, start, packet{number: number, data: []byte("x")})
		l.Hear(start, uint32(5+i), packet{acked: number, accepted: 1}.bytes())
	}
}

// TestRefusedKeys: what was not taken goes into another packet, at once or after a pause, and to a host that is off it is gone.
func TestRefusedKeys(t *testing.T) {
	l := New(tempo, 1000)
	l.Type([]byte("abcdef"))
	wantSent(t, l, start, packet{number: 1, data: []byte("abcdef")})
	l.Hear(start, 1, packet{acked: 1, accepted: 2, flags: nack}.bytes())
	wantSent(t, l, start, packet{number: 2, data: []byte("cdef")})
	l.Hear(start, 2, packet{acked: 2, flags: nack}.bytes())
	wantSent(t, l, start)
	if due, ok := l.Due(); !ok || !due.Equal(start.Add(tempo.Pause)) {
		t.Errorf("due at %v", due)
	}
	wantSent(t, l, start.Add(tempo.Pause), packet{number: 3, data: []byte("cdef")})
	l.Hear(start, 3, packet{acked: 3, accepted: 3}.bytes()) // an ACK that counts too few
	l.Type([]byte("gh"))
	wantSent(t, l, start.Add(tempo.Pause), packet{number: 4, data: []byte("fgh")})
	l.Hear(start, 4, packet{acked: 4, accepted: 1}.bytes())
	wantSent(t, l, start.Add(tempo.Pause), packet{number: 5, data: []byte("gh")})
	l.Hear(start, 5, packet{acked: 5, flags: nack | unavailable}.bytes())
	if !l.Idle() {
		t.Error("what a host that is off refused is typed again")
	}
	if notes := l.Notes(); !slices.Equal(notes, []Note{HostOff}) || len(l.Notes()) != 0 {
		t.Errorf("notes %v", notes)
	}
	l.Hear(start, 6, packet{}.bytes())
	if notes := l.Notes(); !slices.Equal(notes, []Note{HostOn}) {
		t.Errorf("notes %v", notes)
	}
}

// TestBreak: after what was typed before it, before what comes after, and never as part of a packet with keys.
func TestBreak(t *testing.T) {
	l := New(tempo, 1000)
	l.Type([]byte("ab"))
	l.Break()
	l.Break()
	l.Type([]byte("c"))
	wantSent(t, l, start, packet{number: 1, data: []byte("ab")})
	l.Hear(start, 1, packet{acked: 1, accepted: 1, flags: nack}.bytes())
	wantSent(t, l, start, packet{number: 2, data: []byte("b")})
	l.Hear(start, 2, packet{acked: 2, accepted: 1}.bytes())
	wantSent(t, l, start, packet{number: 3, flags: makeBreak})
	wantSent(t, l, start.Add(time.Second), packet{number: 3, flags: makeBreak})
	l.Hear(start, 3, packet{acked: 3}.bytes())
	wantSent(t, l, start, packet{number: 4, data: []byte("c")})
}

// TestSilence ends a line after its tries.
func TestSilence(t *testing.T) {
	l := New(tempo, 1000)
	l.Type([]byte("a"))
	for i := range tempo.Tries {
		wantSent(t, l, start.Add(time.Duration(i)*tempo.Retry), packet{number: 1, data: []byte("a")})
		if l.Err() != nil {
			t.Fatalf("it ended after %d", i)
		}
	}
	wantSent(t, l, start.Add(time.Minute))
	if !errors.Is(l.Err(), ErrSilent) {
		t.Errorf("%v", l.Err())
	}
	if _, ok := l.Due(); ok {
		t.Error("something is due after the end")
	}
}

// TestOutput: each packet is acknowledged, and shown once; what was appended to a repeated one is shown too (15.11).
func TestOutput(t *testing.T) {
	l := New(tempo, 1000)
	hear := func(sequence uint32, p packet, accepted uint8) {
		t.Helper()
		l.Hear(start, sequence, p.bytes())
		wantSent(t, l, start, packet{acked: p.number, accepted: accepted})
	}
	hear(1, packet{number: 1, data: []byte("boot")}, 4)
	hear(3, packet{number: 1, data: []byte("boot")}, 4)
	hear(4, packet{number: 1, data: []byte("booting")}, 7)
	l.Hear(start, 2, packet{number: 1, data: []byte("boot")}.bytes()) // overtaken on the way
	wantSent(t, l, start)
	hear(6, packet{number: 2, data: []byte(" Linux")}, 6)
	l.Hear(start, 5, packet{number: 1, data: []byte("booting")}.bytes()) // overtaken by the next packet
	wantSent(t, l, start)
	wantRead(t, l, "booting Linux")
	l.Hear(start, 7, packet{data: []byte("x")}.bytes()) // number 0 carries no characters
	wantSent(t, l, start)
	wantRead(t, l, "")
	if notes := l.Notes(); len(notes) != 0 {
		t.Errorf("notes %v", notes)
	}
	for i, p := range []packet{{number: 5, data: []byte("!")}, {number: 6, data: []byte("!"), flags: overrun}} {
		hear(uint32(8+i), p, 1)
		if notes := l.Notes(); !slices.Equal(notes, []Note{OutputLost}) {
			t.Errorf("%+v: notes %v", p, notes)
		}
	}
	if !l.Unread() {
		t.Error("nothing to read")
	}
	wantRead(t, l, "!!")
	if l.Unread() {
		t.Error("something is left to read")
	}
	hear(10, packet{number: 7, data: make([]byte, 300)}, maxData) // more than an acknowledgement can count
	hear(11, packet{number: 8, flags: overrun | unavailable}, 0)
	hear(12, packet{number: 9, flags: overrun | unavailable}, 0)
	if notes := l.Notes(); !slices.Equal(notes, []Note{HostOff, OutputLost}) {
		t.Errorf("the same twice: notes %v", notes)
	}
}

// TestFirstOutput: the BMC begins with whatever number, and nothing was lost before.
func TestFirstOutput(t *testing.T) {
	l := New(tempo, 1000)
	l.Hear(start, 1, packet{number: 9, data: []byte("x")}.bytes())
	if notes := l.Notes(); len(notes) != 0 {
		t.Errorf("notes %v", notes)
	}
	wantRead(t, l, "x")
}

// TestOvertaken: what the network delivers late says nothing any more: no acknowledgement, no state, no output.
func TestOvertaken(t *testing.T) {
	l := New(tempo, headerSize+1)
	for i := range 15 {
		l.Type([]byte("x"))
		l.Send(start)
		l.Hear(start, uint32(10+i), packet{acked: uint8(i + 1), accepted: 1}.bytes())
	}
	l.Type([]byte("y"))
	wantSent(t, l, start, packet{number: 1, data: []byte("y")})
	for _, late := range []uint32{10, 24} {
		l.Hear(start, late, packet{acked: 1, accepted: 1}.bytes()) // of the first packet under this number
		if l.Idle() {
			t.Errorf("the acknowledgement of another packet, number %d in the session, counts", late)
		}
	}
	l.Hear(start, 30, packet{flags: nack | unavailable}.bytes())
	l.Hear(start, 29, packet{}.bytes())
	l.Hear(start, 30, packet{}.bytes())
	l.Hear(start, 31, []byte{0, 0, 0}) // too short to say anything
	if notes := l.Notes(); !slices.Equal(notes, []Note{HostOff}) {
		t.Errorf("notes %v", notes)
	}
	l.Hear(start, 32, packet{number: 1, data: []byte("new")}.bytes())
	l.Hear(start, 32, packet{number: 2, data: []byte("old")}.bytes())
	wantRead(t, l, "new")
}

// TestFull: without room the BMC has to wait, and is asked again once there is room, also when that is lost on the way (table 15-3).
func TestFull(t *testing.T) {
	l := New(tempo, 1000)
	chunk := bytes.Repeat([]byte("x"), 128)
	for i := range maxOutput / len(chunk) {
		l.Hear(start, uint32(i+1), packet{number: uint8(i%15 + 1), data: chunk}.bytes())
		l.Send(start)
	}
	last := packet{number: uint8(maxOutput/len(chunk)%15) + 1, data: []byte("y")}
	l.Hear(start, 10000, last.bytes())
	wantSent(t, l, start, packet{acked: last.number, flags: nack})
	wantSent(t, l, start.Add(time.Hour))
	if due, ok := l.Due(); ok {
		t.Errorf("due at %v without room", due)
	}
	l.Read(make([]byte, 1)) // room for just that
	for i := range tempo.Tries {
		now := start.Add(time.Duration(i) * tempo.Retry)
		if due, ok := l.Due(); !ok || !due.Equal(now) {
			t.Errorf("due at %v, %v", due, ok)
		}
		wantSent(t, l, now, packet{acked: last.number})
	}
	wantSent(t, l, start.Add(time.Hour))
	l.Hear(start, 10001, last.bytes())
	wantSent(t, l, start, packet{acked: last.number, accepted: 1})
	wantRead(t, l, strings.Repeat("x", maxOutput-1)+"y")
}

// TestResumed: once the packet came, it is asked for no more, and of two things that are due the sooner counts.
func TestResumed(t *testing.T) {
	l := New(tempo, 1000)
	chunk := bytes.Repeat([]byte("x"), maxOutput)
	l.Hear(start, 1, packet{number: 1, data: chunk}.bytes())
	last := packet{number: 2, data: []byte("y")}
	l.Hear(start.Add(time.Minute), 2, last.bytes())
	l.Type([]byte("a"))
	wantSent(t, l, start, packet{acked: 2, flags: nack}, packet{number: 1, data: []byte("a")})
	wantRead(t, l, string(chunk))
	if due, ok := l.Due(); !ok || !due.Equal(start.Add(tempo.Retry)) {
		t.Errorf("due at %v, %v", due, ok)
	}
	wantSent(t, l, start.Add(time.Minute), packet{acked: 2}, packet{number: 1, data: []byte("a")})
	l.Hear(start, 3, packet{number: 2, acked: 1, accepted: 1, data: []byte("y")}.bytes())
	wantSent(t, l, start.Add(time.Hour), packet{acked: 2, accepted: 1})
	if due, ok := l.Due(); ok {
		t.Errorf("due at %v with nothing to say", due)
	}
}

// TestTypeIsBounded: there is room for so much, and again once it was taken.
func TestTypeIsBounded(t *testing.T) {
	l := New(tempo, 1000)
	if n := l.Type(make([]byte, maxKeys+1)); n != maxKeys || l.Type([]byte("x")) != 0 {
		t.Errorf("there was room for %d", n)
	}
	l.Send(start)
	l.Hear(start, 1, packet{acked: 1, accepted: usualSize}.bytes())
	if n := l.Type(make([]byte, maxKeys)); n != usualSize {
		t.Errorf("there is room for %d", n)
	}
}

// TestDeactivated ends a line; what came with it is shown and acknowledged, and nothing else is sent.
func TestDeactivated(t *testing.T) {
	l := New(tempo, 1000)
	l.Type([]byte("a"))
	l.Hear(start, 1, packet{number: 1, flags: nack | deactivated, data: []byte("bye")}.bytes())
	wantSent(t, l, start, packet{acked: 1, accepted: 3})
	l.Hear(start, 2, packet{number: 2, data: []byte("more")}.bytes())
	wantSent(t, l, start)
	wantRead(t, l, "bye")
	if !errors.Is(l.Err(), ErrDeactivated) {
		t.Errorf("%v", l.Err())
	}
}

// TestSizes: a BMC's word about its room is kept as far as it makes sense.
func TestSizes(t *testing.T) {
	for room, want := range map[int]int{0: usualSize, 4: usualSize, 5: 1, 20: 16, 68: 64, 60000: usualSize} {
		if l := New(tempo, room); l.size != want {
			t.Errorf("room for %d: %d keys in a packet; want %d", room, l.size, want)
		}
	}
}
