package talos_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ingot.dev/ingot/metal-controller/talos"
	"ingot.dev/ingot/metal-controller/talos/talostest"
)

// member is one of an etcd.
func member(id uint64, name, address string) *machine.EtcdMember {
	return &machine.EtcdMember{Id: id, Hostname: name, PeerUrls: []string{"https://" + net.JoinHostPort(address, "2380")}}
}

// three is a control plane of three.
func three() talostest.State {
	s := up()
	s.Members = []*machine.EtcdMember{member(1, "a", "192.0.2.1"), member(2, "b", "192.0.2.2"), member(3, "c", "2001:db8::3")}
	return s
}

// TestMembers: a control plane tells the members, another machine in its place and a worker do not, and what is said has bounds.
func TestMembers(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	own := credentials(t, c, "os:reader")
	for name, x := range map[string]struct {
		change func(*talostest.State)
		want   error
	}{
		"a control plane":      {func(*talostest.State) {}, nil},
		"another machine":      {func(s *talostest.State) { s.UUID = strings.Replace(uuid, "6", "7", 1) }, talos.ErrOther},
		"a worker":             {func(s *talostest.State) { s.Members = nil }, talos.ErrNever},
		"an etcd that is down": {func(s *talostest.State) { s.Before = refusing("Members", codes.Unknown) }, talos.ErrNotYet},
		"no members":           {func(s *talostest.State) { s.Members = []*machine.EtcdMember{} }, talos.ErrBroken},
		"a flood":              {func(s *talostest.State) { s.Members = make([]*machine.EtcdMember, 100) }, talos.ErrBroken},
	} {
		state := three()
		x.change(&state)
		m := c.Listen(t, local, state)
		members, err := client(m.Port).Members(t.Context(), netip.MustParseAddr("127.0.0.1"), own, want)
		if !errors.Is(err, x.want) || (err == nil) != (x.want == nil) {
			t.Errorf("%s: %v, not %v", name, err, x.want)
		}
		if x.want == nil && (len(members) != 3 || members[2].ID != 3 || members[2].Name != "c" || !slices.Equal(members[2].Peers, []netip.Addr{netip.MustParseAddr("2001:db8::3")})) {
			t.Errorf("%s: %+v", name, members)
		}
	}
}

// TestRemove: an admin takes a member out, once; the last one stays; a reader, and another machine in the place of the one that is meant, change nothing.
func TestRemove(t *testing.T) {
	c := talostest.NewCluster(t, epoch)
	admin := credentials(t, c, "os:admin")
	m := c.Listen(t, local, three())
	remove := func(own talos.Credentials, id uint64) error {
		return client(m.Port).Remove(t.Context(), netip.MustParseAddr("127.0.0.1"), own, want, id)
	}
	if err := remove(credentials(t, c, "os:reader"), 2); !errors.Is(err, talos.ErrRefused) {
		t.Errorf("a reader: %v", err)
	}
	m.Set(func(s *talostest.State) { s.UUID = strings.Replace(uuid, "6", "7", 1) })
	if err := remove(admin, 2); !errors.Is(err, talos.ErrOther) {
		t.Errorf("another machine: %v", err)
	}
	m.Set(func(s *talostest.State) { s.UUID = uuid })
	if asked, _ := m.Asked(); slices.Contains(asked, "Remove") {
		t.Error("it was told to remove a member")
	}
	for _, id := range []uint64{2, 2, 3} { // the second time it is gone already
		if err := remove(admin, id); err != nil {
			t.Errorf("member %d: %v", id, err)
		}
	}
	if err := remove(admin, 1); !errors.Is(err, talos.ErrMemberKept) || strings.Contains(err.Error(), "etcdserver") {
		t.Errorf("the last one: %v", err)
	}
}

// refusing makes a machine answer one question with an error.
func refusing(what string, code codes.Code) func(context.Context, string) error {
	return func(_ context.Context, asked string) error {
		if asked == what {
			return status.Error(code, "canary")
		}
		return nil
	}
}

// TestFind: by name or address; when they disagree nobody is sure, and one that is neither is none.
func TestFind(t *testing.T) {
	all := []talos.Member{{ID: 1, Name: "a", Peers: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, {ID: 2, Name: "b", Peers: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}}
	for name, x := range map[string]struct {
		names   []string
		address string
		id      uint64
		found   bool
		sure    bool
	}{
		"both":          {[]string{"x", "a"}, "192.0.2.1", 1, true, true},
		"by name":       {[]string{"b"}, "192.0.2.9", 2, true, true},
		"by address":    {[]string{"x"}, "192.0.2.2", 2, true, true},
		"neither":       {[]string{"x"}, "192.0.2.9", 0, false, true},
		"contradiction": {[]string{"a"}, "192.0.2.2", 0, true, false},
	} {
		m, found, sure := talos.Find(all, x.names, netip.MustParseAddr(x.address))
		if m.ID != x.id || found != x.found || sure != x.sure {
			t.Errorf("%s: member %d, found %t, sure %t", name, m.ID, found, sure)
		}
	}
	if _, found, sure := talos.Find(all, nil, netip.Addr{}); found || !sure {
		t.Error("one of which nothing is known is a member")
	}
}
