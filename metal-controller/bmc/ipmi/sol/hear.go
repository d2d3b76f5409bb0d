package sol

import "time"

// Hear takes a payload of the BMC. sequence is the number of its packet within the session, which the session has authenticated and never takes twice.
func (l *Line) Hear(now time.Time, sequence uint32, payload []byte) {
	p, ok := parse(payload)
	if !ok || l.end != nil {
		return
	}
	if p.acked != 0 && sequence > l.ackedAt {
		l.acknowledged(now, sequence, p)
	}
	if p.number != 0 && sequence > l.heardAt {
		l.characters(now, sequence, p)
	}
	if sequence > l.saidAt {
		l.saidAt = sequence
		l.said(p)
	}
}

// acknowledged ends the packet under way. What the BMC did not take goes into another one (table 15-2). An ACK without a count is one of everything,
// since ACK means just that. To a server that is off the BMC passes nothing on: what it refused for that is gone, as on a cable with nobody at its end.
func (l *Line) acknowledged(now time.Time, sequence uint32, p packet) {
	if l.out == nil || p.acked != l.out.number {
		return
	}
	l.ackedAt = sequence
	all := len(l.out.data)
	took := min(int(p.accepted), all)
	refused := p.flags&nack != 0
	if took == 0 && !refused || refused && p.flags&unavailable != 0 {
		took = all
	}
	if took == 0 && all > 0 {
		l.rest = now.Add(l.tempo.Pause)
	}
	l.keys = l.keys[took:]
	if l.breakAt != noBreak {
		l.breakAt -= took
	}
	l.out = nil
}

// characters takes what is new of a packet: all, or what the BMC appended when it repeated it (15.11). It is taken whole or not at all.
func (l *Line) characters(now time.Time, sequence uint32, p packet) {
	l.heardAt = sequence
	known := 0
	switch p.number {
	case l.heard:
		known = min(l.count, len(p.data))
	case after(l.heard):
	default:
		if l.heard != 0 {
			l.note(OutputLost) // it gave up on a packet
		}
	}
	fresh := p.data[known:]
	if len(fresh) > maxOutput-len(l.output) {
		l.answer = &packet{acked: p.number, flags: nack}
		l.wait = &suspension{number: p.number, need: len(fresh), due: now}
		return
	}
	l.wait = nil
	l.output = append(l.output, fresh...)
	l.heard, l.count = p.number, known+len(fresh)
	l.answer = &packet{acked: p.number, accepted: uint8(min(len(p.data), maxData))}
}

// said notes what the BMC says of the server and of itself.
func (l *Line) said(p packet) {
	if off := p.flags&unavailable != 0; off != l.off {
		l.off = off
		note := HostOn
		if off {
			note = HostOff
		}
		l.note(note)
	}
	if p.flags&overrun != 0 {
		l.note(OutputLost)
	}
	if p.flags&deactivated != 0 {
		l.end = ErrDeactivated
	}
}

// note keeps a note, and one of the same kind only once.
func (l *Line) note(n Note) {
	if len(l.notes) == 0 || l.notes[len(l.notes)-1] != n {
		l.notes = append(l.notes, n)
	}
}
