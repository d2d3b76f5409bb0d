package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// machine is a Kernel and a Client: interfaces with a moment from which they have a link, and one from which DHCP answers.
type machine struct {
	mu         sync.Mutex
	start      time.Time
	interfaces []Interface
	// link and server are by name, as time after the start; what is missing never comes.
	link, server map[string]time.Duration
	// renewals are the answers to renewals, one each; when none is left, the same lease comes back.
	renewals []any
	events   []string
}

func (m *machine) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, fmt.Sprintf(format, args...))
}

func (m *machine) came(when map[string]time.Duration, name string) bool {
	d, ok := when[name]
	return ok && time.Since(m.start) >= d
}

func (m *machine) Interfaces() ([]Interface, error) { return slices.Clone(m.interfaces), nil }
func (m *machine) Up(name string) error             { m.note("up %s", name); return nil }
func (m *machine) Carrier(name string) bool         { return m.came(m.link, name) }
func (m *machine) Configure(l Lease) error {
	m.note("configure %s %s", l.Interface, l.Address)
	return nil
}
func (m *machine) Remove(l Lease) error { m.note("remove %s", l.Address); return nil }

func (m *machine) Request(ctx context.Context, name string) (Lease, error) {
	m.note("request %s", name)
	if !m.came(m.server, name) {
		<-ctx.Done()
		return Lease{}, ErrNoServer
	}
	return lease(name, "10.0.0.7/24"), nil
}

func (m *machine) Renew(_ context.Context, l Lease) (Lease, error) {
	m.note("renew at %s", time.Since(m.start).Round(time.Second))
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.renewals) == 0 {
		return l, nil
	}
	next := m.renewals[0]
	m.renewals = m.renewals[1:]
	if err, bad := next.(error); bad {
		return Lease{}, err
	}
	return next.(Lease), nil
}

func lease(name, address string) Lease {
	return Lease{Interface: name, Address: netip.MustParsePrefix(address), Duration: time.Hour, Renew: 30 * time.Minute}
}

func (m *machine) network(console *strings.Builder) *Network {
	m.start = time.Now()
	return &Network{Kernel: m, Client: m, BootMAC: "02:00:00:00:00:02", After: time.After, Log: slog.New(slog.NewTextHandler(console, nil))}
}

var two = []Interface{{"eth0", "02:00:00:00:00:01"}, {"eth1", "02:00:00:00:00:02"}}

func TestConnect(t *testing.T) {
	at := func(d time.Duration, names ...string) map[string]time.Duration {
		m := map[string]time.Duration{}
		for _, n := range names {
			m[n] = d
		}
		return m
	}
	for _, c := range []struct {
		name         string
		link, server map[string]time.Duration
		requests     string
		within       time.Duration
		says         string
	}{
		{"the boot interface comes first", at(0, "eth0", "eth1"), at(0, "eth0", "eth1"), "eth1", 0, "waiting for an address on eth1"},
		{"its link comes late", at(20*time.Second, "eth1"), at(0, "eth1"), "eth1", 20 * time.Second, "waiting for a link on eth1"},
		{"its cable is out", at(0, "eth0"), at(0, "eth0"), "eth0", 30 * time.Second, "no link on eth1 after 30s: check the cable; trying eth0"},
		{"no server on its network", at(0, "eth0", "eth1"), at(0, "eth0"), "eth1 eth0", 30 * time.Second, "no DHCP server answered; trying eth0"},
		{"nothing for two minutes", at(2*time.Minute, "eth0"), at(2*time.Minute, "eth0"), "eth0", 4 * time.Minute, "no interface got an address"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, console := &machine{interfaces: two, link: c.link, server: c.server}, &strings.Builder{}
			l, err := m.network(console).Connect(t.Context())
			if err != nil || l.Interface == "" {
				t.Fatalf("%s: got %+v, %v", c.name, l, err)
			}
			var requests []string
			for _, e := range m.events {
				if name, ok := strings.CutPrefix(e, "request "); ok {
					requests = append(requests, name)
				}
			}
			if got := strings.Join(requests, " "); got != c.requests {
				t.Errorf("%s: requests on %s, want %s", c.name, got, c.requests)
			}
			if d := time.Since(m.start); d > c.within {
				t.Errorf("%s: it took %s", c.name, d)
			}
			if !strings.Contains(console.String(), c.says) {
				t.Errorf("%s: the console does not say %q:\n%s", c.name, c.says, console)
			}
			if m.events[0] != "up eth1" || m.events[1] != "up eth0" {
				t.Errorf("%s: not all interfaces are up first: %v", c.name, m.events)
			}
		})
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, console := &machine{}, &strings.Builder{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := m.network(console).Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if !strings.Contains(console.String(), "no network interface found") {
			t.Errorf("the console does not say why:\n%s", console)
		}
	})
}

// keep runs Keep for a time and returns what happened.
func keep(t *testing.T, m *machine, d time.Duration) []string {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := m.network(&strings.Builder{})
		n.Changed = func(l Lease) { m.note("changed %s", l.Address) }
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		if err := n.Keep(ctx, lease("eth1", "10.0.0.7/24")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	return m.events
}

func TestKeep(t *testing.T) {
	every := map[string]time.Duration{"eth1": 0}
	for _, c := range []struct {
		name     string
		renewals []any
		run      time.Duration
		want     []string
	}{
		{
			"at T1, and again", nil, 61 * time.Minute,
			[]string{"renew at 30m0s", "configure eth1 10.0.0.7/24", "renew at 1h0m0s", "configure eth1 10.0.0.7/24"},
		},
		{
			"an outage is waited out",
			[]any{ErrNoServer, ErrNoServer},
			53 * time.Minute,
			[]string{"renew at 30m0s", "renew at 45m0s", "renew at 52m30s", "configure eth1 10.0.0.7/24"},
		},
		{
			"another address replaces the old one",
			[]any{lease("eth1", "10.0.0.9/24")},
			31 * time.Minute,
			[]string{"renew at 30m0s", "remove 10.0.0.7/24", "configure eth1 10.0.0.9/24", "changed 10.0.0.9/24"},
		},
		{
			"a refusal ends the lease at once",
			[]any{ErrRefused},
			31 * time.Minute,
			[]string{"renew at 30m0s", "remove 10.0.0.7/24", "up eth1", "request eth1", "configure eth1 10.0.0.7/24", "changed 10.0.0.7/24"},
		},
	} {
		m := &machine{interfaces: two[1:], link: every, server: every, renewals: c.renewals}
		if got := keep(t, m, c.run); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestKeepGivesUpALeaseThatEnded(t *testing.T) {
	m := &machine{interfaces: two[1:], link: map[string]time.Duration{"eth1": 0}, server: map[string]time.Duration{"eth1": 0}}
	for range 20 {
		m.renewals = append(m.renewals, ErrNoServer)
	}
	got := keep(t, m, 70*time.Minute)
	if !slices.Contains(got, "remove 10.0.0.7/24") || !slices.Contains(got, "request eth1") {
		t.Errorf("got %q", got)
	}
	if n := len(slices.DeleteFunc(got, func(e string) bool { return !strings.HasPrefix(e, "renew") })); n > 10 {
		t.Errorf("%d attempts within one lease", n)
	}
}
