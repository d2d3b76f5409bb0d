package ipmi

import (
	"time"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/command/transport"
)

// pulse says when a console has to show that it lives, since a session ends after 60 s of silence (6.12.15), and notices that nobody is there: a
// BMC that forgot a session is silent (6.12.14). It is pure.
type pulse struct {
	every time.Duration
	waits []time.Duration
	due   time.Time
	// asked counts the signs since something was heard.
	asked int
}

func (p *pulse) begin(now time.Time) { p.due = now.Add(p.every) }

// heard notes that the BMC said something, whatever it was.
func (p *pulse) heard(now time.Time) {
	if p.asked > 0 {
		p.asked = 0
		p.due = now.Add(p.every)
	}
}

// beat says that a sign is due, and that the BMC may still be there.
func (p *pulse) beat(now time.Time) (due, alive bool) {
	if now.Before(p.due) {
		return false, true
	}
	if p.asked == len(p.waits) {
		return false, false
	}
	p.due = now.Add(p.waits[p.asked])
	p.asked++
	return true, true
}

// sign is a message that shows that the session lives: it asks who has the console, or for the device ID (20.1), which every BMC has.
func (s *session) sign(tells bool) []byte {
	s.number = (s.number + 1) & maxSequence
	if tells {
		return request(whose(), s.number)
	}
	return request(&app.GetDeviceIDRequest{}, s.number)
}

// has reads the answer to the last sign: false when it says that the console is another session's, or nobody's. Some BMCs do not tell who loses it.
func (s *session) has(message []byte) bool {
	var got transport.GetPayloadInstanceInfoResponse
	answer, ok := answerTo(whose(), s.number, message)
	return !ok || read(answer, whose(), &got) != nil || got.SessionID == s.bmcID
}
