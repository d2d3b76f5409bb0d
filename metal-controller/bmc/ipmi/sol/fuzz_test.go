package sol

import (
	"bytes"
	"testing"
	"time"
)

// FuzzHear gives a line three payloads under any numbers: it ends or goes on, shows no more than came, keeps its bounds and says nothing that table
// 15-2 has no place for.
func FuzzHear(f *testing.F) {
	f.Add(uint32(1), packet{number: 1, data: []byte("login: ")}.bytes(), uint32(2), packet{acked: 1, accepted: 3}.bytes(), uint32(3), packet{}.bytes())
	f.Add(uint32(2), packet{acked: 1, accepted: 1, flags: nack}.bytes(), uint32(1), packet{number: 1, acked: 2, data: []byte("x")}.bytes(), uint32(9), []byte{})
	f.Add(uint32(0), packet{acked: 1, flags: nack | unavailable}.bytes(), uint32(0), packet{flags: nack | deactivated}.bytes(), uint32(0), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, s1 uint32, p1 []byte, s2 uint32, p2 []byte, s3 uint32, p3 []byte) {
		l := New(tempo, 10)
		keys := []byte("typed by a person")
		l.Type(keys)
		l.Break()
		now, came, read := start, 0, 0
		for i, payload := range [][]byte{p1, p2, p3} {
			said(t, l, now)
			l.Hear(now, []uint32{s1, s2, s3}[i], payload)
			came += len(payload)
			read += l.Read(make([]byte, 1<<16))
			now = now.Add(time.Second)
		}
		said(t, l, now)
		if read > came || !bytes.HasSuffix(keys, l.keys) || l.breakAt > len(l.keys) || len(l.Notes()) > 9 {
			t.Fatalf("%d bytes came, %d were shown; %q is left to type, the break at %d", came, read, l.keys, l.breakAt)
		}
	})
}

// said sends what is due and looks at it.
func said(t *testing.T, l *Line, now time.Time) {
	for range 20 {
		payload := l.Send(now)
		if payload == nil {
			return
		}
		p, ok := parse(payload)
		if !ok || len(p.data) > l.size || p.number == 0 && len(p.data) > 0 || p.flags&^(nack|makeBreak) != 0 {
			t.Fatalf("said %x", payload)
		}
	}
	t.Fatal("it does not stop talking")
}
