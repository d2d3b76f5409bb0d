package ipmi_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"ingot.dev/ingot/metal-controller/bmc"
	"ingot.dev/ingot/metal-controller/bmc/ipmi"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
)

// openFails wants an error of the class with the words, and nothing left at the BMC.
func (l *lab) openFails(t *testing.T, class error, words string) {
	t.Helper()
	d, err := ipmi.OpenFast(t.Context(), l.target)
	if d != nil {
		_ = d.Close(t.Context())
	}
	if d != nil || !errors.Is(err, class) || !strings.Contains(err.Error(), words) {
		t.Errorf("error %v; want %v with %q", err, class, words)
	}
	var failure *bmc.Error
	if !errors.As(err, &failure) || failure.Doing == "" {
		t.Errorf("error %v (%T) is not the port's own", err, err)
	}
	if err != nil && strings.Contains(err.Error(), l.target.Password.Reveal()) && l.target.Password.Reveal() != "" {
		t.Errorf("the error shows the password: %v", err)
	}
}

// TestNoWeakerAlgorithms: a man in the middle answers for the BMC with algorithms that nobody proposed, "none" first of all. go-ipmi's own client
// goes on with them.
func TestNoWeakerAlgorithms(t *testing.T) {
	const opened, auth, integrity, crypt = 0x11, 16 + 16, 16 + 24, 16 + 32
	for name, at := range map[string][]int{
		"no authentication": {auth}, "no integrity": {integrity}, "no confidentiality": {crypt}, "nothing": {auth, integrity, crypt},
	} {
		l := newLab(t, nil)
		r := between(t, l)
		l.open(t) // control: untouched it opens
		r.tamper(nil, on(kind(opened), func(p []byte) [][]byte {
			for _, i := range at {
				p[i] = 0
			}
			return [][]byte{p}
		}))
		before := l.bmc.Tally().Opened
		l.openFails(t, bmc.ErrUnsupported, "other algorithms")
		if l.bmc.Tally().Opened != before {
			t.Errorf("%s: a session was opened", name)
		}
	}
}

// TestOnlySuites17And3: what the driver proposes is seen on the wire, 17 first.
func TestOnlySuites17And3(t *testing.T) {
	const open = 0x10
	var proposed []string
	l := newLab(t, func(c *rmcp.Config) { c.Suites = []uint8{} })
	r := between(t, l)
	r.tamper(on(kind(open), func(p []byte) [][]byte {
		proposed = append(proposed, string([]byte{'0' + p[16+12], '0' + p[16+20], '0' + p[16+28]}))
		return [][]byte{p}
	}), nil)
	l.openFails(t, bmc.ErrUnsupported, "neither cipher suite 17 nor 3")
	if got := strings.Join(proposed, " "); got != "341 111" {
		t.Errorf("proposed %q; want HMAC-SHA256, HMAC-SHA256-128, AES and then HMAC-SHA1, HMAC-SHA1-96, AES", got)
	}
}

// TestOneTryOfThePassword: a BMC that took the suite and then rejects the login, with whatever status, is not asked again with the other one.
func TestOneTryOfThePassword(t *testing.T) {
	const open, rakp2, illegal = 0x10, 0x13, 0x12
	l := newLab(t, nil)
	var proposals atomic.Int32
	between(t, l).tamper(on(kind(open), func(p []byte) [][]byte { proposals.Add(1); return [][]byte{p} }), on(kind(rakp2), func(p []byte) [][]byte {
		p[17] = illegal
		return [][]byte{p}
	}))
	l.openFails(t, bmc.ErrUnsupported, "RMCP+ status 12h")
	if n := proposals.Load(); n != 1 {
		t.Errorf("%d proposals, want 1", n)
	}
}

// TestOldAnswersStayOld: the numbers of messages come round after 64; an answer of before is not taken for one of now.
func TestOldAnswersStayOld(t *testing.T) {
	l := newLab(t, nil)
	r := between(t, l)
	d := l.open(t)
	var before [][]byte
	r.tamper(nil, on(isSession, func(p []byte) [][]byte { before = append(before, p); return [][]byte{p} }))
	for range 64 {
		wantPower(t, d, bmc.Off)
	}
	if err := l.machine.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.tamper(nil, on(isSession, func(p []byte) [][]byte { return append(append([][]byte(nil), before...), p) }))
	for range 64 {
		wantPower(t, d, bmc.On)
	}
}

// TestGivesBackWhatItGaveUp: a session that was silent for a while, and one whose opening the BMC finished and nobody heard of, end at the BMC.
func TestGivesBackWhatItGaveUp(t *testing.T) {
	l := newLab(t, nil)
	r := between(t, l)
	d := l.open(t)
	var lost atomic.Int32
	r.tamper(nil, on(isSession, func(p []byte) [][]byte {
		if lost.Add(1) <= 2 { // all tries of one question
			return nil
		}
		return [][]byte{p}
	}))
	wantPower(t, d, bmc.Off)
	if tally := l.bmc.Tally(); tally.Opened != 2 || tally.Most != 1 || l.bmc.Sessions() != 1 {
		t.Errorf("%d sessions, %+v; want a second one after the first was given back", l.bmc.Sessions(), tally)
	}
	const rakp4 = 0x15
	m := newLab(t, nil)
	between(t, m).tamper(nil, on(kind(rakp4), func([]byte) [][]byte { return nil }))
	m.openFails(t, bmc.ErrUnreachable, "no answer in time")
	eventually(t, "the BMC has no session", func() bool { return m.bmc.Sessions() == 0 })
	if m.bmc.Tally().Opened != 1 {
		t.Error("control: the BMC opened none")
	}
}

// TestImpostor: who does not know the password is found out, whichever proof he gives, and gets none from us.
func TestImpostor(t *testing.T) {
	const rakp2, rakp3, rakp4 = 0x13, 0x14, 0x15
	for name, c := range map[string]struct {
		kind   uint8
		proofs int32
	}{"at first": {rakp2, 0}, "at last": {rakp4, 1}} {
		l := newLab(t, nil)
		var proofs atomic.Int32
		between(t, l).tamper(on(kind(rakp3), func(p []byte) [][]byte {
			if p[17] == 0 {
				proofs.Add(1)
			}
			return [][]byte{p}
		}), on(kind(c.kind), func(p []byte) [][]byte { p[len(p)-1] ^= 1; return [][]byte{p} }))
		l.openFails(t, bmc.ErrUnauthorized, "check the user name and the password")
		if proofs.Load() != c.proofs {
			t.Errorf("%s: he got %d proofs", name, proofs.Load())
		}
		eventually(t, "the BMC has no session", func() bool { return l.bmc.Sessions() == 0 })
	}
}

// TestForgedAnswers: what is not signed with the session's keys, or was heard before, counts for nothing, whatever it says; the true answer does.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	var first []byte
	for name, forge := range map[string]func(p []byte) [][]byte{
		"another byte":         func(p []byte) [][]byte { return append(damaged(p), p) },
		"no signature":         func(p []byte) [][]byte { return [][]byte{unsigned(p), p} },
		"not encrypted":        func(p []byte) [][]byte { return [][]byte{bare(p), p} },
		"of IPMI 1.5":          func(p []byte) [][]byte { return [][]byte{old(p), p} },
		"cut anywhere":         func(p []byte) [][]byte { return append(cut(p), p) },
		"an odd length":        func(p []byte) [][]byte { return [][]byte{odd(p), p} },
		"other sizes":          func(p []byte) [][]byte { return [][]byte{{}, {6}, make([]byte, 3000), p} },
		"one from before":      func(p []byte) [][]byte { return [][]byte{first, p} },
		"the same three times": func(p []byte) [][]byte { return [][]byte{p, p, p} },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			r := between(t, l)
			d := l.open(t)
			r.tamper(nil, on(isSession, func(p []byte) [][]byte { first = p; return [][]byte{p} }))
			wantPower(t, d, bmc.Off)
			r.tamper(nil, on(isSession, forge))
			for range 3 {
				wantPower(t, d, bmc.Off)
			}
			if err := d.SetPower(t.Context(), bmc.On); err != nil {
				t.Error(err)
			}
			wantPower(t, d, bmc.On)
			if tally := l.bmc.Tally(); tally.Opened != 1 {
				t.Errorf("%d sessions were opened: the true answer was not taken", tally.Opened)
			}
			if name == "the same three times" || name == "one from before" {
				return
			}
			// Alone, the forgery is silence.
			r.tamper(nil, on(isSession, func(p []byte) [][]byte { all := forge(p); return all[:len(all)-1] }))
			if state, err := d.Power(t.Context()); !errors.Is(err, bmc.ErrUnreachable) || state != bmc.Unknown {
				t.Errorf("the forgery alone: %s, %v", state, err)
			}
			r.tamper(nil, nil)
		})
	}
}

// damaged is the datagram with each byte changed in turn.
func damaged(p []byte) (all [][]byte) {
	for i := 4; i < len(p); i++ {
		q := append([]byte(nil), p...)
		q[i] ^= 1
		all = append(all, q)
	}
	return all
}

func cut(p []byte) (all [][]byte) {
	for i := range p {
		all = append(all, p[:i])
	}
	return all
}

// statusOn is the message "Get Chassis Status: completed, on", under each number.
func statusOn(number uint8) []byte {
	m := []byte{0x81, 0x01 << 2, 0, 0x20, number << 2, 0x01, 0, 1, 0, 0, 0}
	m[2] = -(m[0] + m[1])
	for _, b := range m[3:10] {
		m[10] -= b
	}
	return m
}

// bare is an answer of RMCP+ within the session, without protection.
func bare(p []byte) []byte {
	m := statusOn(number.next())
	return append(append(append([]byte{6, 0, 0xff, 7, 6, 0}, p[6:14]...), uint8(len(m)), 0), m...)
}

// old is the same as IPMI 1.5.
func old([]byte) []byte {
	m := statusOn(number.next())
	return append([]byte{6, 0, 0xff, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, uint8(len(m))}, m...)
}

// unsigned is an answer without its bit for the signature.
func unsigned(p []byte) []byte {
	q := append([]byte(nil), p...)
	q[5] = 0x80
	return q
}

// odd is a signed-looking packet whose ciphertext is no multiple of 16 bytes: go-ipmi's client panics over it.
func odd(p []byte) []byte {
	q := append([]byte(nil), p...)
	q[14] -= 3
	return q
}

// counter gives all numbers in turn.
type counter struct{ n atomic.Uint32 }

func (c *counter) next() uint8 { return uint8(c.n.Add(1)) & 0x3f }

var number counter

// TestLostPackets: each question is lost once, and then each answer. The orders are done, once each, in one session.
func TestLostPackets(t *testing.T) {
	for name, way := range map[string]bool{"to the BMC": true, "from the BMC": false} {
		l := newLab(t, nil)
		r := between(t, l)
		var n int
		lose := func(p []byte) [][]byte {
			if n++; n%2 == 1 {
				return nil
			}
			return [][]byte{p}
		}
		if way {
			r.tamper(lose, nil)
		} else {
			r.tamper(nil, lose)
		}
		d := l.open(t)
		for _, want := range []bmc.PowerState{bmc.On, bmc.Off, bmc.On} {
			if err := d.SetPower(t.Context(), want); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if orders := strings.Join(l.machine.Orders(), " "); orders != "PowerOn ForceOff PowerOn" {
			t.Errorf("%s: the host was ordered %s", name, orders)
		}
		r.tamper(nil, nil)
		wantPower(t, d, bmc.On)
		if tally := l.bmc.Tally(); tally.Most != 1 {
			t.Errorf("%s: %d sessions at once", name, tally.Most)
		}
	}
}

// TestWhatIsRefusedBeforeLogin: BMCs that Ingot will not log in to, told apart.
func TestWhatIsRefusedBeforeLogin(t *testing.T) {
	const extended, more = 14 + 9, 14 + 10
	change := func(edit func(p []byte)) func([]byte) [][]byte {
		return on(func(p []byte) bool { return len(p) > 22 && p[4] == 0 }, func(p []byte) [][]byte {
			edit(p)
			p[len(p)-1] = 0
			for _, b := range p[14+3 : len(p)-1] {
				p[len(p)-1] -= b
			}
			return [][]byte{p}
		})
	}
	for name, c := range map[string]struct {
		edit  func(p []byte)
		words string
	}{
		"IPMI 1.5":    {func(p []byte) { p[more] = 1 }, "IPMI 1.5"},
		"a K_g":       {func(p []byte) { p[extended] |= 0x20 }, "K_g"},
		"a code":      {func(p []byte) { p[14+6] = 0xcc }, "completion code CCh"},
		"busy":        {func(p []byte) { p[14+6] = 0xc0 }, "starting or busy"},
		"nothing new": {func([]byte) {}, ""},
	} {
		l := newLab(t, nil)
		between(t, l).tamper(nil, change(c.edit))
		switch name {
		case "nothing new": // control: the checksum is made well
			l.open(t)
		case "busy":
			l.openFails(t, bmc.ErrUnreachable, c.words)
		default:
			l.openFails(t, bmc.ErrUnsupported, c.words)
		}
	}
}
