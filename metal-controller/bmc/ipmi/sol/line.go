package sol

import (
	"errors"
	"time"
)

// Why a line ends by itself.
var (
	// ErrDeactivated: the BMC says that the payload is no longer active here.
	ErrDeactivated = errors.New("the BMC ended it")
	// ErrSilent: the BMC acknowledges nothing.
	ErrSilent = errors.New("the BMC no longer acknowledges what is typed")
)

const (
	// maxKeys and maxOutput bound what waits to be taken by the BMC and by the reader, in bytes.
	maxKeys   = 64 << 10
	maxOutput = 64 << 10
	// usualSize is what a packet carries to a BMC that has room for more, and to one whose word makes no sense: fingers and pasted lines need no more.
	usualSize = 64
)

// Note is something that a person wants to know and that is no output.
type Note int

// What there is to know.
const (
	// HostOff: the server is off or asleep; what is typed is lost.
	HostOff Note = iota
	// HostOn: it takes characters again.
	HostOn
	// OutputLost: the BMC dropped some of what the server wrote.
	OutputLost
)

// Tempo is the patience of a line.
type Tempo struct {
	// Retry is the time after which a packet that nobody acknowledged is sent again, Tries how often it is sent at all.
	Retry time.Duration
	Tries int
	// Pause is the wait after a BMC took nothing of a packet.
	Pause time.Duration
}

// Line is one end of an active payload. It is used by one goroutine at a time.
type Line struct {
	tempo Tempo
	size  int

	// keys are typed and not taken by the BMC. breakAt is the place among them of a break, or noBreak.
	keys    []byte
	breakAt int
	// out is the packet under way, number that of the last one. Before rest no new one leaves.
	out    *sent
	number uint8
	rest   time.Time

	// answer acknowledges the last packet of the BMC, once.
	answer *packet
	output []byte
	// heard is the BMC's last packet, count how much of it was taken.
	heard uint8
	count int
	// wait is set while the BMC is made to wait for room.
	wait *suspension

	// ackedAt, heardAt and saidAt are the numbers within the session of the last packet that acknowledged, that carried characters, and of any.
	ackedAt, heardAt, saidAt uint32

	off   bool
	notes []Note
	end   error
}

// sent is a packet under way.
type sent struct {
	packet
	tries int
	due   time.Time
}

// suspension is a packet of the BMC that there was no room for.
type suspension struct {
	number uint8
	need   int
	tries  int
	due    time.Time
}

const noBreak = -1

// New makes the console's end of a payload that was activated just now. room is how many bytes of payload the BMC takes (24.1), header included.
func New(tempo Tempo, room int) *Line {
	size := usualSize
	if room > headerSize {
		size = min(size, room-headerSize)
	}
	return &Line{tempo: tempo, size: size, breakAt: noBreak}
}

// Type takes keys for the server and says how many there was room for.
func (l *Line) Type(keys []byte) int {
	n := min(len(keys), maxKeys-len(l.keys))
	l.keys = append(l.keys, keys[:n]...)
	return n
}

// Break asks for a break on the serial line, after what was typed so far. One that waits is enough.
func (l *Line) Break() {
	if l.breakAt == noBreak {
		l.breakAt = len(l.keys)
	}
}

// Idle says that the BMC took all that was typed.
func (l *Line) Idle() bool { return l.out == nil && len(l.keys) == 0 && l.breakAt == noBreak }

// Read moves output of the server to p.
func (l *Line) Read(p []byte) int {
	n := copy(p, l.output)
	l.output = l.output[n:]
	return n
}

// Unread says that there is output.
func (l *Line) Unread() bool { return len(l.output) > 0 }

// Notes are what there is to know since the last call.
func (l *Line) Notes() []Note {
	notes := l.notes
	l.notes = nil
	return notes
}

// Err is why the line ended, nil while it lives.
func (l *Line) Err() error { return l.end }

// Send gives the next payload that is due, nil when there is none.
func (l *Line) Send(now time.Time) []byte {
	switch {
	case l.answer != nil:
		answer := *l.answer
		l.answer = nil
		return answer.bytes()
	case l.end != nil:
	case l.resumes() && !now.Before(l.wait.due):
		return l.resume(now)
	case l.out != nil && !now.Before(l.out.due):
		return l.again(now)
	case l.out == nil && !l.Idle() && !now.Before(l.rest):
		return l.next(now)
	}
	return nil
}

// Due is when Send has something to give, as far as is known; ok is false when that depends on what is typed or heard.
func (l *Line) Due() (due time.Time, ok bool) {
	consider := func(t time.Time) {
		if !ok || t.Before(due) {
			due, ok = t, true
		}
	}
	if l.end != nil {
		return due, false
	}
	if l.resumes() {
		consider(l.wait.due)
	}
	switch {
	case l.out != nil:
		consider(l.out.due)
	case !l.Idle():
		consider(l.rest)
	}
	return due, ok
}

// resumes says that there is room for the packet that the BMC waits with.
func (l *Line) resumes() bool {
	return l.wait != nil && l.wait.tries < l.tempo.Tries && maxOutput-len(l.output) >= l.wait.need
}

// resume asks for the packet again ("resume ACK", table 15-3). It may be lost, so it is repeated until the packet comes.
func (l *Line) resume(now time.Time) []byte {
	l.wait.tries++
	l.wait.due = now.Add(l.tempo.Retry)
	return packet{acked: l.wait.number}.bytes()
}

// again repeats the packet under way, unchanged (table 15-2).
func (l *Line) again(now time.Time) []byte {
	if l.out.tries >= l.tempo.Tries {
		l.end = ErrSilent
		return nil
	}
	l.out.tries++
	l.out.due = now.Add(l.tempo.Retry)
	return l.out.bytes()
}

// next sends a break, or as many keys as a packet holds and as were typed before the break.
func (l *Line) next(now time.Time) []byte {
	l.number = after(l.number)
	p := packet{number: l.number}
	switch {
	case l.breakAt == 0:
		p.flags = makeBreak
		l.breakAt = noBreak
	case l.breakAt != noBreak:
		p.data = clone(l.keys[:min(l.size, l.breakAt)])
	default:
		p.data = clone(l.keys[:min(l.size, len(l.keys))])
	}
	l.out = &sent{packet: p}
	return l.again(now)
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }
