package nvme

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ingot.dev/ingot/agent/wipe/plan"
)

// model is a controller that keeps the rules of the specification: what is not supported is refused with the status of the
// specification, and each command that erases is noted.
type model struct {
	oacs      uint16
	sanicap   uint32
	fna, cmic byte
	// namespaces that are allocated; active is how many of them this controller lists.
	allocated, active int
	flbas, nlbaf, dps byte

	// state and polls of the sanitize that is under way; after so many polls it ends as endsAs.
	state, polls, endsAs int
	// lies: sanitize is acknowledged and never begins.
	lies bool
	// refuses erases with this status.
	refuses uint16

	erased []string
	word   uint32
}

const invalidOpcode = 0x4001

func (m *model) Admin(c Command) error {
	if c.Timeout <= 0 {
		return errors.New("a command without a bound")
	}
	switch c.Opcode {
	case opIdentify:
		return m.identify(c)
	case opGetLogPage:
		if c.CDW10 != 0x00040081 || len(c.Data) != 20 || c.NSID != broadcast {
			return &StatusError{2}
		}
		m.log(c.Data)
	case opFormat:
		if m.oacs&2 == 0 {
			return &StatusError{invalidOpcode}
		}
		return m.erase(fmt.Sprintf("format %d ses %d", c.NSID, c.CDW10>>9&7), c.CDW10)
	case opSanitize:
		return m.sanitize(c)
	}
	return nil
}

func (m *model) identify(c Command) error {
	if len(c.Data) != 4096 {
		return &StatusError{2}
	}
	switch c.CDW10 {
	case cnsController:
		binary.LittleEndian.PutUint16(c.Data[256:], m.oacs)
		binary.LittleEndian.PutUint32(c.Data[328:], m.sanicap)
		c.Data[524], c.Data[76] = m.fna, m.cmic
	case cnsNamespace:
		if c.NSID == 0 || int(c.NSID) > m.allocated {
			return &StatusError{0x0b}
		}
		c.Data[25], c.Data[26], c.Data[29] = m.nlbaf, m.flbas, m.dps
	case cnsActive, cnsAllocated:
		n := m.active
		if c.CDW10 == cnsAllocated {
			if n = m.allocated; m.oacs&8 == 0 {
				return &StatusError{2}
			}
		}
		for i := range n {
			binary.LittleEndian.PutUint32(c.Data[4*i:], uint32(i+1))
		}
	}
	return nil
}

func (m *model) sanitize(c Command) error {
	if c.CDW10&7 == exitFailure {
		m.state = 0
		m.erased = append(m.erased, "exit failure")
		return nil
	}
	bit := map[uint32]uint32{blockErase: 2, cryptoErase: 1, overwrite: 4}[c.CDW10&7]
	switch {
	case m.sanicap&bit == 0:
		return &StatusError{invalidOpcode}
	case m.state == underWay:
		return &StatusError{0x1d}
	}
	if err := m.erase(fmt.Sprintf("sanitize %d", c.CDW10&7), c.CDW10); err != nil || m.lies {
		return err
	}
	m.state, m.polls = underWay, 3
	return nil
}

func (m *model) erase(what string, word uint32) error {
	if m.refuses != 0 {
		return &StatusError{m.refuses}
	}
	m.erased, m.word = append(m.erased, what), word
	return nil
}

func (m *model) log(data []byte) {
	binary.LittleEndian.PutUint16(data, 0xFFFF)
	if m.state == underWay {
		binary.LittleEndian.PutUint16(data, uint16(65536/4*(4-m.polls)))
		if m.polls--; m.polls < 0 {
			m.state = m.endsAs
		}
	}
	binary.LittleEndian.PutUint16(data[2:], uint16(m.state))
}

func now(time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- time.Time{}
	return c
}

func full() *model {
	return &model{oacs: 0x010a, sanicap: 7, fna: 4, allocated: 1, active: 1, endsAs: done}
}

func TestLook(t *testing.T) {
	all := plan.Sanitize{Block: true, Crypto: true, Overwrite: true}
	tests := []struct {
		name   string
		change func(*model)
		want   plan.NVMe
	}{
		{"full", func(*model) {}, plan.NVMe{Format: true, CryptoFormat: true, Sanitize: all, Namespaces: 1}},
		{"QEMU", func(m *model) { m.sanicap, m.fna = 0, 0 }, plan.NVMe{Format: true, Namespaces: 1}},
		{"no format", func(m *model) { m.oacs = 8 }, plan.NVMe{CryptoFormat: true, Sanitize: all, Namespaces: 1}},
		{"block only", func(m *model) { m.sanicap = 2 }, plan.NVMe{Format: true, CryptoFormat: true, Sanitize: plan.Sanitize{Block: true}, Namespaces: 1}},
		{"crypto only", func(m *model) { m.sanicap = 1 }, plan.NVMe{Format: true, CryptoFormat: true, Sanitize: plan.Sanitize{Crypto: true}, Namespaces: 1}},
		{"formats all", func(m *model) { m.fna = 1 }, plan.NVMe{Format: true, FormatsAll: true, Sanitize: all, Namespaces: 1}},
		{"erases all", func(m *model) { m.fna = 2 }, plan.NVMe{Format: true, FormatsAll: true, Sanitize: all, Namespaces: 1}},
		{"one more that is not attached", func(m *model) { m.allocated = 2 }, plan.NVMe{Format: true, CryptoFormat: true, Sanitize: all, Namespaces: 2}},
		{"no management", func(m *model) { m.oacs, m.active = 2, 3 }, plan.NVMe{Format: true, CryptoFormat: true, Sanitize: all, Namespaces: 3}},
		{"no management and a second controller", func(m *model) { m.oacs, m.cmic = 2, 2 }, plan.NVMe{Format: true, CryptoFormat: true, Sanitize: all}},
		{"a full list", func(m *model) { m.allocated = 1024 }, plan.NVMe{Format: true, CryptoFormat: true, Sanitize: all, Namespaces: 1024}},
	}
	for _, tc := range tests {
		m := full()
		tc.change(m)
		if got, err := Look(m); err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v; want %+v", tc.name, got, err, tc.want)
		}
	}
}

func TestFormat(t *testing.T) {
	tests := []struct {
		name   string
		change func(*model)
		nsid   uint32
		kind   plan.Kind
		erased string
		want   string
	}{
		{"user data", func(*model) {}, 1, plan.UserData, "format 1 ses 1", ""},
		{"crypto", func(*model) {}, 1, plan.Crypto, "format 1 ses 2", ""},
		{"the second of two", func(m *model) { m.allocated = 2 }, 2, plan.UserData, "format 2 ses 1", ""},
		{"takes all, and there is one", func(m *model) { m.fna = 3 }, 1, plan.UserData, "format 1 ses 1", ""},
		{"takes all, and there are two", func(m *model) { m.fna, m.allocated = 1, 2 }, 1, plan.UserData, "", "all namespaces of the controller (it lists 2)"},
		{"erases all, and there are two", func(m *model) { m.fna, m.allocated = 2, 2 }, 1, plan.Crypto, "", "all namespaces"},
		{"the broadcast number", func(*model) {}, broadcast, plan.UserData, "", "no number of its own"},
		{"no number", func(*model) {}, 0, plan.UserData, "", "no number of its own"},
		{"refused", func(m *model) { m.refuses = 0x2 }, 1, plan.UserData, "", "status type 0, code 0x02"},
		{"unsupported", func(m *model) { m.oacs = 0 }, 1, plan.UserData, "", "code 0x01"},
		{"a number that does not exist", func(*model) {}, 9, plan.UserData, "", "code 0x0b"},
	}
	for _, tc := range tests {
		m := full()
		tc.change(m)
		err := Format(m, tc.nsid, tc.kind)
		check(t, tc.name, m, err, tc.erased, tc.want)
	}
}

func check(t *testing.T, name string, m *model, err error, erased, want string) {
	t.Helper()
	if got := strings.Join(m.erased, ", "); got != erased {
		t.Errorf("%s: erased %q, want %q", name, got, erased)
	}
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", name, err, want)
	}
}

// TestFormatKeepsTheFormat: sector size, metadata and protection go into the command as the namespace has them.
func TestFormatKeepsTheFormat(t *testing.T) {
	for _, tc := range []struct {
		flbas, nlbaf, dps byte
		want              uint32
	}{
		{0x00, 0, 0, 1 << 9},
		{0x03, 7, 0, 1<<9 | 3},
		{0x14, 7, 0, 1<<9 | 4 | 1<<4},
		{0x00, 0, 0x0a, 1<<9 | 2<<5 | 1<<8},
		{0x6f, 63, 0, 1<<9 | 15 | 3<<12},
		{0x6f, 15, 0, 1<<9 | 15},
	} {
		m := full()
		m.flbas, m.nlbaf, m.dps = tc.flbas, tc.nlbaf, tc.dps
		if err := Format(m, 1, plan.UserData); err != nil || m.word != tc.want {
			t.Errorf("FLBAS %#x, DPS %#x: CDW10 %#x, %v; want %#x", tc.flbas, tc.dps, m.word, err, tc.want)
		}
	}
}

func TestSanitize(t *testing.T) {
	tests := []struct {
		name   string
		change func(*model)
		kind   plan.Kind
		erased string
		want   string
	}{
		{"block", func(*model) {}, plan.Block, "sanitize 2", ""},
		{"crypto", func(*model) {}, plan.Crypto, "sanitize 4", ""},
		{"overwrite", func(*model) {}, plan.Pattern, "sanitize 3", ""},
		{"done without deallocation", func(m *model) { m.endsAs = doneUnrestricted }, plan.Block, "sanitize 2", ""},
		{"one of before still runs", func(m *model) { m.state, m.polls = underWay, 2 }, plan.Block, "sanitize 2", ""},
		{"another namespace", func(m *model) { m.allocated = 2 }, plan.Block, "", "all namespaces"},
		{"who knows how many", func(m *model) { m.oacs, m.cmic = 2, 2 }, plan.Block, "", "it lists 0"},
		{"unsupported", func(m *model) { m.sanicap = 0 }, plan.Block, "", "code 0x01"},
		{"fails", func(m *model) { m.endsAs = failed }, plan.Block, "sanitize 2, exit failure", "its sanitize failed"},
		{"acknowledged, never begun", func(m *model) { m.lies = true }, plan.Block, "sanitize 2", "its log says it never did one"},
		{"no such kind", func(*model) {}, plan.UserData, "", "no sanitize of kind"},
	}
	for _, tc := range tests {
		m, last := full(), 0
		tc.change(m)
		err := Sanitize(t.Context(), m, tc.kind, now, func(n int) { last = n })
		check(t, tc.name, m, err, tc.erased, tc.want)
		if tc.want == "" && last < 75 {
			t.Errorf("%s: the last progress was %d %%", tc.name, last)
		}
	}
}

func TestSanitizeWord(t *testing.T) {
	for kind, want := range map[plan.Kind]uint32{plan.Block: 0x0a, plan.Crypto: 0x0c, plan.Pattern: 0x1b} {
		if got, err := sanitizeWord(kind); err != nil || got != want {
			t.Errorf("%s: CDW10 %#x, %v; want %#x", kind, got, err, want)
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

// TestNothingForOthers: whatever a controller says of itself, no command that erases goes out that would hit another namespace.
func TestNothingForOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := full()
		m.oacs = uint16(rapid.IntRange(0, 15).Draw(t, "oacs"))
		m.fna, m.cmic = rapid.ByteRange(0, 15).Draw(t, "fna"), rapid.ByteRange(0, 3).Draw(t, "cmic")
		m.allocated = rapid.IntRange(1, 3).Draw(t, "allocated")
		m.active = rapid.IntRange(1, m.allocated).Draw(t, "active")
		if m.cmic&2 == 0 && m.oacs&8 == 0 {
			m.active = m.allocated // without a second controller or management, all there is, is listed
		}
		_ = Format(m, 1, rapid.SampledFrom([]plan.Kind{plan.UserData, plan.Crypto}).Draw(t, "kind"))
		formatted := len(m.erased)
		_ = Sanitize(context.Background(), m, plan.Block, now, func(int) {})
		if m.allocated > 1 && (len(m.erased) > formatted || formatted > 0 && m.fna&3 != 0) {
			t.Fatalf("%v with %d namespaces, FNA %#x", m.erased, m.allocated, m.fna)
		}
	})
}

// bytesPort answers every question with the same bytes.
type bytesPort []byte

func (b bytesPort) Admin(c Command) error { copy(c.Data, b); return nil }

func FuzzLook(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, identifySize))
	f.Add(append(make([]byte, 256), 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := Look(bytesPort(b)); err != nil || n.Namespaces < 0 || n.Namespaces > 1024 {
			t.Errorf("%+v, %v", n, err)
		}
		if state, percent, err := status(bytesPort(b)); err != nil || state > 7 || percent > 99 {
			t.Errorf("state %d, %d %%, %v", state, percent, err)
		}
	})
}
