package ata

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"ingot.dev/ingot/agent/wipe/plan"
)

var errAbort = errors.New("aborted: status 0x51, error 0x04")

// model is a disk that keeps the rules of ACS-3 for the two feature sets: locks, passwords, the preparation right before an erase,
// keys, and the state after a failure.
type model struct {
	word59, word90                                uint16
	supported, enhanced, frozen, expired, enabled bool
	password                                      string

	// prepared is set by ERASE PREPARE and cleared by any other command.
	prepared bool
	// fails makes the erase fail; keeps makes it succeed without taking the password away.
	fails, keeps   bool
	sanitizeFrozen bool
	// polls of the sanitize under way, what it ends as, and whether lies begin nothing.
	polls                          int
	underWay, done, broken, breaks bool
	lies                           bool

	did     []string
	timeout time.Duration
}

func full() *model {
	return &model{word59: 0xF000, word90: 60, supported: true, enhanced: true}
}

func (m *model) Do(c Command) (Result, error) {
	if c.Timeout <= 0 || len(c.Data)%sector != 0 {
		return Result{}, errors.New("a command without a bound")
	}
	prepared := m.prepared
	m.prepared = c.Code == cmdErasePrepare
	switch c.Code {
	case cmdIdentify:
		m.identify(c.Data)
		return Result{}, nil
	case cmdSanitize:
		return m.sanitize(c)
	}
	return Result{}, m.security(c, prepared)
}

func (m *model) identify(data []byte) {
	word := uint16(0)
	for bit, on := range []bool{m.supported, m.enabled, false, m.frozen, m.expired, m.enhanced} {
		if on {
			word |= 1 << bit
		}
	}
	binary.LittleEndian.PutUint16(data[2*59:], m.word59)
	binary.LittleEndian.PutUint16(data[2*90:], m.word90)
	binary.LittleEndian.PutUint16(data[2*128:], word)
}

func (m *model) security(c Command, prepared bool) error {
	if !m.supported || m.frozen {
		return errAbort
	}
	given := ""
	if c.Direction == Out {
		given = strings.TrimRight(string(c.Data[2:34]), "\x00")
	}
	switch c.Code {
	case cmdSetPassword:
		m.enabled, m.password = true, given
		m.did = append(m.did, "set")
	case cmdErasePrepare:
	case cmdEraseUnit:
		m.timeout = c.Timeout
		if !prepared || !m.enabled || given != m.password || c.Data[0] != enhancedMode || m.fails {
			return errAbort
		}
		m.enabled = m.keeps
		m.did = append(m.did, "erase")
	case cmdUnlock, cmdDisablePassword:
		if given != m.password {
			return errAbort
		}
		if c.Code == cmdDisablePassword {
			m.enabled = false
			m.did = append(m.did, "disable")
		}
	default:
		return errAbort
	}
	return nil
}

func (m *model) sanitize(c Command) (Result, error) {
	if c.Features == opStatus {
		return m.status(c)
	}
	want := map[uint16]uint64{opCrypto: 0x43727970, opBlock: 0x426B4572, opOverwrite: 0x4F5700000000}[c.Features]
	bit := map[uint16]uint16{opCrypto: 13, opBlock: 15, opOverwrite: 14}[c.Features]
	if m.word59>>bit&1 == 0 || c.LBA != want || !c.Extended || m.sanitizeFrozen || m.underWay || m.broken {
		return Result{}, errAbort
	}
	if c.Count != failureMode && (c.Features != opOverwrite || c.Count != failureMode|1) {
		return Result{}, errors.New("a count that means something else")
	}
	m.did = append(m.did, map[uint16]string{opCrypto: "crypto", opBlock: "block", opOverwrite: "overwrite"}[c.Features])
	m.underWay, m.done, m.polls = !m.lies, false, 3
	return Result{}, nil
}

func (m *model) status(c Command) (Result, error) {
	if m.underWay {
		if m.polls--; m.polls < 0 {
			m.underWay, m.done, m.broken = false, !m.breaks, m.breaks
		}
	}
	if m.broken && c.Count&clearFailed != 0 {
		m.broken = false
		m.did = append(m.did, "clear")
	}
	if m.broken {
		return Result{LBA: 1}, errAbort
	}
	r := Result{}
	for bit, on := range map[uint16]bool{countDone: m.done, countUnderWay: m.underWay, countFrozen: m.sanitizeFrozen} {
		if on {
			r.Count |= bit
		}
	}
	if m.underWay {
		r.LBA = uint64(65536 / 4 * (3 - m.polls))
	}
	return r, nil
}

func TestLook(t *testing.T) {
	all := plan.Sanitize{Block: true, Crypto: true, Overwrite: true}
	tests := []struct {
		name   string
		change func(*model)
		want   plan.ATA
	}{
		{"full", func(*model) {}, plan.ATA{Security: true, Enhanced: true, Sanitize: all}},
		{"QEMU", func(m *model) { *m = model{} }, plan.ATA{}},
		{"frozen", func(m *model) { m.frozen, m.sanitizeFrozen = true, true }, plan.ATA{Security: true, Frozen: true, Enhanced: true, Sanitize: all, SanitizeFrozen: true}},
		{"sanitize bits without the feature", func(m *model) { m.word59 = 0xE000 }, plan.ATA{Security: true, Enhanced: true}},
		{"block", func(m *model) { m.word59 = 0x9000 }, plan.ATA{Security: true, Enhanced: true, Sanitize: plan.Sanitize{Block: true}}},
		{"crypto", func(m *model) { m.word59 = 0x3000 }, plan.ATA{Security: true, Enhanced: true, Sanitize: plan.Sanitize{Crypto: true}}},
		{"overwrite", func(m *model) { m.word59 = 0x5000 }, plan.ATA{Security: true, Enhanced: true, Sanitize: plan.Sanitize{Overwrite: true}}},
		{"plain security", func(m *model) { m.enhanced, m.word59 = false, 0 }, plan.ATA{Security: true}},
		{"a failure of before is no lock", func(m *model) { m.broken = true }, plan.ATA{Security: true, Enhanced: true, Sanitize: all}},
	}
	for _, tc := range tests {
		m := full()
		tc.change(m)
		if got, err := Look(m); err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v; want %+v", tc.name, got, err, tc.want)
		}
	}
}

func TestSecurityErase(t *testing.T) {
	tests := []struct {
		name   string
		change func(*model)
		did    string
		want   string
	}{
		{"good", func(*model) {}, "set erase", ""},
		{"power went in the middle of the last one", func(m *model) { m.enabled, m.password = true, password }, "erase", ""},
		{"somebody's password", func(m *model) { m.enabled, m.password = true, "theirs" }, "", "locked with somebody's password"},
		{"frozen", func(m *model) { m.frozen = true }, "", "froze"},
		{"unsupported", func(m *model) { m.supported = false }, "", "does not support"},
		{"not enhanced", func(m *model) { m.enhanced = false }, "", "does not support"},
		{"too many attempts", func(m *model) { m.expired = true }, "", "a power cycle resets"},
		{"fails, and is left unlocked", func(m *model) { m.fails = true }, "set disable", "erasing: aborted"},
		{"keeps the password", func(m *model) { m.keeps = true }, "set erase disable", "kept the password"},
	}
	for _, tc := range tests {
		m := full()
		tc.change(m)
		theirs := m.password == "theirs"
		check(t, tc.name, m, SecurityErase(m), tc.did, tc.want)
		if m.enabled != theirs {
			t.Errorf("%s: locked: %t", tc.name, m.enabled)
		}
	}
}

func check(t *testing.T, name string, m *model, err error, did, want string) {
	t.Helper()
	if got := strings.Join(m.did, " "); got != did {
		t.Errorf("%s: did %q, want %q", name, got, did)
	}
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

func TestEraseTime(t *testing.T) {
	for word, want := range map[uint16]time.Duration{
		0: 48 * time.Hour, 1: 14 * time.Minute, 60: 250 * time.Minute, 0xff: 48 * time.Hour,
		0x8000: 48 * time.Hour, 0x8000 | 300: 20*time.Hour + 10*time.Minute, 0xffff: 48 * time.Hour, 0x8000 | 0xff: 17*time.Hour + 10*time.Minute,
	} {
		if got := eraseTime(word); got != want {
			t.Errorf("word %#x: %s, want %s", word, got, want)
		}
	}
	m := full()
	if err := SecurityErase(m); err != nil || m.timeout != 250*time.Minute {
		t.Errorf("the erase was given %s, %v", m.timeout, err)
	}
}

func now(time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- time.Time{}
	return c
}

func TestSanitize(t *testing.T) {
	tests := []struct {
		name   string
		change func(*model)
		kind   plan.Kind
		did    string
		want   string
	}{
		{"block", func(*model) {}, plan.Block, "block", ""},
		{"crypto", func(*model) {}, plan.Crypto, "crypto", ""},
		{"overwrite", func(*model) {}, plan.Pattern, "overwrite", ""},
		{"one of before still runs", func(m *model) { m.underWay, m.polls = true, 2 }, plan.Block, "block", ""},
		{"one of before failed", func(m *model) { m.broken = true }, plan.Block, "clear block", ""},
		{"frozen", func(m *model) { m.sanitizeFrozen = true }, plan.Block, "", "starting to sanitize"},
		{"unsupported", func(m *model) { m.word59 = 0 }, plan.Block, "", "starting to sanitize"},
		{"fails, and may be tried by other means", func(m *model) { m.breaks = true }, plan.Block, "block clear", "its sanitize failed"},
		{"acknowledged, never begun", func(m *model) { m.lies = true }, plan.Block, "block", "completed none"},
		{"no such kind", func(*model) {}, plan.UserData, "", "no sanitize of kind"},
	}
	for _, tc := range tests {
		m, last := full(), 0
		tc.change(m)
		err := Sanitize(t.Context(), m, tc.kind, now, func(n int) { last = n })
		check(t, tc.name, m, err, tc.did, tc.want)
		if tc.want == "" && last < 50 {
			t.Errorf("%s: the last progress was %d %%", tc.name, last)
		}
	}
}

func TestSanitizeCancelled(t *testing.T) {
	m := full()
	ctx, cancel := context.WithCancel(t.Context())
	err := Sanitize(ctx, m, plan.Block, func(time.Duration) <-chan time.Time { cancel(); return nil }, func(int) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// bytesPort answers every question with the same bytes.
type bytesPort []byte

func (b bytesPort) Do(c Command) (Result, error) {
	copy(c.Data, b)
	return Result{Count: uint16(len(b)), LBA: uint64(len(b))}, nil
}

func FuzzLook(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, sector))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := Look(bytesPort(b)); err != nil || len(b) < 119 && a.Sanitize != (plan.Sanitize{}) || len(b) < 257 && a.Security {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
