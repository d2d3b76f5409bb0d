package bmc_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ingot.dev/ingot/agent/bmc"
	"ingot.dev/ingot/sfyra-tests/fakebmc/memory"
	"ingot.dev/ingot/sfyra-tests/fakebmc/rmcp"
	"ingot.dev/ingot/sfyra-tests/rack/machine"
)

const name, password = "ingot-0a1b2c3d", "Abcdefgh12345678"

// port is the system interface of a fake BMC. It can be cut after so many commands, or answer some command by itself.
type port struct {
	bmc   *rmcp.BMC
	left  int
	bend  func(command uint8) []byte
	asked []string
}

var errCut = errors.New("killed")

func (p *port) Send(_ context.Context, netFn, command uint8, data []byte) ([]byte, error) {
	if p.left == 0 {
		return nil, errCut
	}
	p.left--
	p.asked = append(p.asked, fmt.Sprintf("%02x %02x", netFn, command))
	if p.bend != nil {
		if answer := p.bend(command); answer != nil {
			return answer, nil
		}
	}
	return p.bmc.InBand(netFn, command, data), nil
}

func newPort(t *testing.T, at netip.AddrPort) *port {
	t.Helper()
	b, err := rmcp.Start(t.Context(), rmcp.Config{Machine: memory.New(machine.Identity{}), Username: "admin", Password: "admins", Address: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return &port{bmc: b, left: -1}
}

var somewhere = netip.MustParseAddrPort("192.0.2.7:623")

// TestEnsure: a free slot gets an operator; doing it again changes nothing; a second user gets another slot, and dropping the first leaves all others.
func TestEnsure(t *testing.T) {
	p := newPort(t, netip.MustParseAddrPort("192.0.2.7:6230"))
	p.bmc.AddUser(4, "nagios", "secret", rmcp.User)
	for range 2 {
		got, err := bmc.Ensure(t.Context(), p, name, password)
		if want := (bmc.Account{Slot: 3, Channel: bmc.Channel{Number: 1, Address: "192.0.2.7", Port: 6230}}); err != nil || got != want {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
	}
	const second = "ingot-99999999"
	if got, err := bmc.Ensure(t.Context(), p, second, "Other9999Other99"); err != nil || got.Slot != 5 {
		t.Fatalf("the next one: %+v, %v", got, err)
	}
	want := map[string]string{"admin": "admins", "nagios": "secret", name: password, second: "Other9999Other99"}
	if got := p.bmc.Users(); !maps.Equal(got, want) {
		t.Errorf("the BMC lets in %v", slices.Sorted(maps.Keys(got)))
	}
	for range 2 {
		if err := bmc.Drop(t.Context(), p, []string{name, "admin", "ingot-unknown"}); err != nil {
			t.Fatal(err)
		}
	}
	delete(want, name)
	if got := p.bmc.Users(); !maps.Equal(got, want) {
		t.Errorf("afterwards the BMC lets in %v", slices.Sorted(maps.Keys(got)))
	}
	if got, err := bmc.Ensure(t.Context(), p, "ingot-77777777", password); err != nil || got.Slot != 3 {
		t.Errorf("the slot that was given back: %+v, %v", got, err)
	}
}

// TestKilledAnywhere: cut after each command, a second try ends well, in one slot; and what was let in before is let in all the time.
func TestKilledAnywhere(t *testing.T) {
	whole := newPort(t, somewhere)
	if _, err := bmc.Ensure(t.Context(), whole, name, password); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole.asked) {
		p := newPort(t, somewhere)
		p.left = n
		if _, err := bmc.Ensure(t.Context(), p, name, password); !errors.Is(err, errCut) {
			t.Fatalf("cut after %d: %v", n, err)
		}
		if got := p.bmc.Users(); got["admin"] != "admins" || got[name] != "" && got[name] != password {
			t.Fatalf("cut after %d the BMC lets in %v", n, got)
		}
		p.left = -1
		if got, err := bmc.Ensure(t.Context(), p, name, password); err != nil || got.Slot != 3 || len(p.bmc.Users()) != 2 {
			t.Fatalf("cut after %d, the second try: %+v, %v", n, got, err)
		}
		p.left = n
		_ = bmc.Drop(t.Context(), p, []string{name})
		p.left = -1
		if err := bmc.Drop(t.Context(), p, []string{name}); err != nil || !maps.Equal(p.bmc.Users(), map[string]string{"admin": "admins"}) {
			t.Fatalf("dropping, cut after %d: %v", n, err)
		}
	}
}

// TestRefusals: what is in the way is said, nothing is changed by it, and no password is in what is said.
func TestRefusals(t *testing.T) {
	answering := func(cmd uint8, with ...byte) func(*port) {
		return func(p *port) {
			p.bend = func(command uint8) []byte {
				if command == cmd {
					return append([]byte{}, with...)
				}
				return nil
			}
		}
	}
	for what, c := range map[string]struct {
		name, password string
		prepare        func(*port)
		says           string
	}{
		"no free slot": {prepare: func(p *port) {
			for i := 3; i <= 10; i++ {
				p.bmc.AddUser(i, fmt.Sprint("user", i), "x", rmcp.User)
			}
		}, says: "no user slot"},
		"a nameless user that may log in": {prepare: func(p *port) {
			for i := 3; i <= 10; i++ {
				p.bmc.AddUser(i, "", "x", rmcp.User)
			}
		}, says: "no user slot"},
		"another's name":          {name: "admin", says: "begins with ingot-"},
		"a long name":             {name: "ingot-0123456789a", says: "at most 16"},
		"a long password":         {password: "0123456789abcdefg", says: "at most 16"},
		"no password":             {password: "-", says: "a password of"},
		"LAN is off":              {prepare: func(p *port) { p.bmc.SetChannelAccess(rmcp.ChannelAccess{Mode: 0, Limit: 4}) }, says: "switched off on channel 1"},
		"LAN before boot only":    {prepare: func(p *port) { p.bmc.SetChannelAccess(rmcp.ChannelAccess{Mode: 1, Limit: 4}) }, says: "switched off on channel 1"},
		"users only":              {prepare: func(p *port) { p.bmc.SetChannelAccess(rmcp.ChannelAccess{Mode: 2, Limit: 2}) }, says: "nobody be an operator"},
		"no LAN channel":          {prepare: answering(0x42, 0, 1, 1), says: "no LAN channel"},
		"an empty answer":         {prepare: answering(0x44), says: "is empty"},
		"a short answer":          {prepare: answering(0x44, 0, 10), says: "has 1 bytes"},
		"the name is refused":     {prepare: answering(0x45, 0xcc), says: "Set User Name with CCh"},
		"the password is refused": {prepare: answering(0x47, 0xcc), says: "Set User Password with CCh"},
		"the access is a lie":     {prepare: answering(0x43, 0), says: "shows otherwise"},
	} {
		p := newPort(t, somewhere)
		n, secret := name, password
		if c.name != "" {
			n = c.name
		}
		if c.password != "" {
			secret = strings.TrimPrefix(c.password, "-")
		}
		if c.prepare != nil {
			c.prepare(p)
		}
		before := p.bmc.Users()
		_, err := bmc.Ensure(t.Context(), p, n, secret)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
		if after := p.bmc.Users(); !maps.Equal(before, after) {
			t.Errorf("%s: the BMC lets in %v", what, after)
		}
	}
}

// TestChoose: never the first slot, nor one that is in use, or unknown, or whose name is fixed.
func TestChoose(t *testing.T) {
	free := bmc.Slot{ID: 6, Known: true}
	for what, c := range map[string]struct {
		slots []bmc.Slot
		fixed uint8
		want  uint8
	}{
		"control":          {slots: []bmc.Slot{free}, want: 6},
		"the first":        {slots: []bmc.Slot{{ID: 1, Known: true}, free}, want: 6},
		"named":            {slots: []bmc.Slot{{ID: 2, Known: true, Name: "x"}, free}, want: 6},
		"enabled":          {slots: []bmc.Slot{{ID: 2, Known: true, Enabled: true}, free}, want: 6},
		"with messages":    {slots: []bmc.Slot{{ID: 2, Known: true, Messaging: true}, free}, want: 6},
		"unknown":          {slots: []bmc.Slot{{ID: 2}, free}, want: 6},
		"fixed":            {slots: []bmc.Slot{{ID: 2, Known: true}, free}, fixed: 3, want: 6},
		"ours":             {slots: []bmc.Slot{free, {ID: 7, Known: true, Name: name, Enabled: true}}, want: 7},
		"nothing":          {},
		"ours as number 1": {slots: []bmc.Slot{{ID: 1, Known: true, Name: name}}},
	} {
		got, err := bmc.Choose(c.slots, c.fixed, name)
		if got.ID != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}

// FuzzAnswers: whatever a BMC answers, the client ends, within as many commands as it has slots, and writes only to slots that it read as free.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0, 1, 4, 1, 0x80, 0, 0, 0, 0, 0}, []byte{0, 0x11, 192, 0, 2, 7}, []byte{0, 10, 1, 1, 0x14})
	f.Add([]byte{}, []byte{0xff}, []byte{0, 63, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, info, lan, access []byte) {
		p := &answers{by: map[uint8][]byte{0x42: info, 0x02: lan, 0x44: access, 0x46: append([]byte{0}, make([]byte, 16)...), 0x41: {0, 2, 4}}}
		_, _ = bmc.Ensure(t.Context(), p, name, password)
		_ = bmc.Drop(t.Context(), p, []string{name})
		if p.count > 400 {
			t.Errorf("%d commands", p.count)
		}
	})
}

type answers struct {
	by    map[uint8][]byte
	count int
}

func (a *answers) Send(_ context.Context, _, command uint8, _ []byte) ([]byte, error) {
	a.count++
	if b, ok := a.by[command]; ok {
		return b, nil
	}
	return []byte{0}, nil
}
