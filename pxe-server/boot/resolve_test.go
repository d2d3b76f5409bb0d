package boot_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/pxe-server/boot"
)

const (
	macA, macB, macC = "52:54:00:00:00:0a", "52:54:00:00:00:0b", "52:54:00:00:00:0c"
	uuidA, uuidB     = "11111111-2222-3333-4444-55555555aaaa", "11111111-2222-3333-4444-55555555bbbb"
)

// id builds an identity: "mac=…", "serial=…", "maker=…", "uuid=…".
func id(facts ...string) (i boot.Identity) {
	for _, f := range facts {
		switch k, v, _ := strings.Cut(f, "="); k {
		case "mac":
			i.MACs = append(i.MACs, v)
		case "serial":
			i.Serial = v
		case "maker":
			i.Manufacturer = v
		case "uuid":
			i.UUID = v
		}
	}
	return i
}

func srv(name string, facts ...string) boot.Server {
	return boot.Server{Name: name, Identity: id(facts...)}
}

func TestResolve(t *testing.T) {
	maker := "maker=Dell Inc."
	for _, tc := range []struct {
		name    string
		ask     boot.Identity
		servers []boot.Server
		want    boot.Match
	}{
		{"nothing known", id("mac=" + macA), nil, boot.Match{}},
		{"no evidence", id(), []boot.Server{srv("a", "mac="+macA, "uuid="+uuidA)}, boot.Match{}},
		{"by MAC", id("mac=" + macA), []boot.Server{srv("b", "mac="+macB), srv("a", "mac="+macC, "mac="+macA)}, boot.Match{Server: "a", By: boot.ByMAC}},
		{"by MAC, other spelling", id("mac=" + strings.ToUpper(macA)), []boot.Server{srv("a", "mac="+macA)}, boot.Match{Server: "a", By: boot.ByMAC}},
		{"by MAC, UUID differs", id("mac="+macA, "uuid="+uuidB), []boot.Server{srv("a", "mac="+macA, "uuid="+uuidA)}, boot.Match{Server: "a", By: boot.ByMAC}},
		{"by serial", id("mac="+macA, maker, "serial=7XK"), []boot.Server{srv("a", maker, "serial=7XK")}, boot.Match{Server: "a", By: boot.BySerial}},
		{"by serial, other blanks and case", id("maker=dell  inc. ", "serial= 7xk "), []boot.Server{srv("a", maker, "serial=7XK")}, boot.Match{Server: "a", By: boot.BySerial}},
		{"serial of another maker", id("maker=HPE", "serial=7XK"), []boot.Server{srv("a", maker, "serial=7XK")}, boot.Match{}},
		{"serial without maker", id("serial=7XK"), []boot.Server{srv("a", "serial=7XK")}, boot.Match{}},
		{"serial ruled out by MACs", id("mac="+macB, maker, "serial=7XK"), []boot.Server{srv("a", "mac="+macA, maker, "serial=7XK")}, boot.Match{}},
		{"by UUID", id("mac="+macA, "uuid="+uuidA), []boot.Server{srv("b", "uuid="+uuidB), srv("a", "uuid="+uuidA)}, boot.Match{Server: "a", By: boot.ByUUID}},
		{"UUID ruled out by MACs", id("mac="+macB, "uuid="+uuidA), []boot.Server{srv("a", "mac="+macA, "uuid="+uuidA)}, boot.Match{}},
		{"UUID ruled out by serial", id(maker, "serial=8YY", "uuid="+uuidA), []boot.Server{srv("a", maker, "serial=7XK", "uuid="+uuidA)}, boot.Match{}},
		{"UUID with a placeholder serial", id(maker, "serial=None", "uuid="+uuidA), []boot.Server{srv("a", maker, "serial=7XK", "uuid="+uuidA)}, boot.Match{Server: "a", By: boot.ByUUID}},

		{"two MACs, two servers", id("mac="+macA, "mac="+macB), []boot.Server{srv("b", "mac="+macB), srv("a", "mac="+macA)}, boot.Match{By: boot.ByMAC, Conflict: []string{"a", "b"}}},
		{"one MAC on two servers", id("mac=" + macA), []boot.Server{srv("b", "mac="+macA), srv("a", "mac="+macA)}, boot.Match{By: boot.ByMAC, Conflict: []string{"a", "b"}}},
		{"MAC to a, serial to b", id("mac="+macA, maker, "serial=7XK"), []boot.Server{srv("a", "mac="+macA), srv("b", maker, "serial=7XK")}, boot.Match{By: boot.ByMAC, Conflict: []string{"a", "b"}}},
		{"MAC to a, serial to b with other MACs", id("mac="+macA, maker, "serial=7XK"), []boot.Server{srv("a", "mac="+macA), srv("b", "mac="+macB, maker, "serial=7XK")}, boot.Match{By: boot.ByMAC, Conflict: []string{"a", "b"}}},
		{"MAC to a, UUID to b", id("mac="+macA, "uuid="+uuidA), []boot.Server{srv("a", "mac="+macA), srv("b", "uuid="+uuidA)}, boot.Match{By: boot.ByMAC, Conflict: []string{"a", "b"}}},
		{"MAC to a, UUID shared with b", id("mac="+macA, "uuid="+uuidA), []boot.Server{srv("a", "mac="+macA, "uuid="+uuidA), srv("b", "mac="+macB, "uuid="+uuidA)}, boot.Match{Server: "a", By: boot.ByMAC}},
		{"MAC to a, serial shared with b", id("mac="+macA, maker, "serial=7XK"), []boot.Server{srv("a", "mac="+macA, maker, "serial=7XK"), srv("b", "mac="+macB, maker, "serial=7XK")}, boot.Match{Server: "a", By: boot.ByMAC}},
		{"serial to a, UUID to b", id(maker, "serial=7XK", "uuid="+uuidA), []boot.Server{srv("a", maker, "serial=7XK"), srv("b", "uuid="+uuidA)}, boot.Match{By: boot.BySerial, Conflict: []string{"a", "b"}}},
		{"two servers with one serial", id(maker, "serial=7XK"), []boot.Server{srv("a", maker, "serial=7XK"), srv("b", maker, "serial=7XK")}, boot.Match{By: boot.BySerial, Conflict: []string{"a", "b"}}},
		{"two servers with one UUID", id("uuid=" + uuidA), []boot.Server{srv("a", "uuid="+uuidA), srv("b", "uuid="+uuidA)}, boot.Match{By: boot.ByUUID, Conflict: []string{"a", "b"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := boot.Resolve(tc.ask, tc.servers); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestEvidenceThatSaysNothing: values that many machines share name no server, even when a Server has them; the control differs in one character.
func TestEvidenceThatSaysNothing(t *testing.T) {
	for _, fact := range []string{
		"uuid=00000000-0000-0000-0000-000000000000", "uuid=ffffffff-ffff-ffff-ffff-ffffffffffff", "uuid=FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
		"uuid=03000200-0400-0500-0006-000700080009", "uuid=00020003-0004-0005-0006-000700080009", "uuid=fefefefe-fefe-fefe-fefe-fefefefefefe",
		"uuid=not-a-uuid", "uuid=", "uuid=111111112222-3333-4444-55555555aaaaaaaa", "uuid=11111111-2222-3333-4444-55555555aaag",
		"mac=00:00:00:00:00:00", "mac=ff:ff:ff:ff:ff:ff", "mac=01:00:5e:00:00:01", "mac=52-54-00-00-00-0a", "mac=52:54:00:00:00", "mac=5254:000:00:00:0a", "mac=zz:54:00:00:00:0a",
		"serial=To be filled by O.E.M.", "serial=TO BE FILLED BY O.E.M.", "serial=Default string", "serial=0123456789", "serial=01234567890123456789AB", "serial=Not Specified",
		"serial=System Serial Number", "serial=None", "serial=00000000", "serial=", "serial=   ", "serial=........", "serial=X", "serial=N/A", "serial=123456789",
	} {
		facts := []string{"maker=Supermicro", fact}
		if m := boot.Resolve(id(facts...), []boot.Server{srv("a", facts...)}); m.Server != "" || m.Conflict != nil {
			t.Errorf("%s names %+v", fact, m)
		}
	}
	for _, maker := range []string{"", "To Be Filled By O.E.M.", "System manufacturer", "Default string"} {
		facts := []string{"maker=" + maker, "serial=7XK"}
		if m := boot.Resolve(id(facts...), []boot.Server{srv("a", facts...)}); m.Server != "" {
			t.Errorf("maker %q names %+v", maker, m)
		}
	}
	for _, fact := range []string{"uuid=03000200-0400-0500-0006-00070008000a", "mac=02:00:00:00:00:00", "serial=0012345"} {
		facts := []string{"maker=Supermicro", fact}
		if m := boot.Resolve(id(facts...), []boot.Server{srv("a", facts...)}); m.Server != "a" {
			t.Errorf("control %s names %+v", fact, m)
		}
	}
}

// genIdentity draws from few values, so that machines meet often.
func genIdentity() *rapid.Generator[boot.Identity] {
	return rapid.Custom(func(t *rapid.T) boot.Identity {
		return boot.Identity{
			MACs:         rapid.SliceOfN(rapid.SampledFrom([]string{macA, macB, macC, "00:00:00:00:00:00", ""}), 0, 3).Draw(t, "macs"),
			Manufacturer: rapid.SampledFrom([]string{"", "Dell Inc.", "None"}).Draw(t, "maker"),
			Serial:       rapid.SampledFrom([]string{"", "7XK", "8YY", "0123456789"}).Draw(t, "serial"),
			UUID:         rapid.SampledFrom([]string{"", uuidA, uuidB, "00000000-0000-0000-0000-000000000000"}).Draw(t, "uuid"),
		}
	})
}

func genServers() *rapid.Generator[[]boot.Server] {
	return rapid.Custom(func(t *rapid.T) []boot.Server {
		ids := rapid.SliceOfN(genIdentity(), 0, 4).Draw(t, "servers")
		servers := make([]boot.Server, len(ids))
		for i, identity := range ids {
			servers[i] = boot.Server{Name: string(rune('a' + i)), Identity: identity}
		}
		return servers
	})
}

// TestResolveProperties: the order of servers does not matter, a match and a conflict exclude each other, and a match shares evidence.
func TestResolveProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ask, servers := genIdentity().Draw(t, "ask"), genServers().Draw(t, "known")
		m := boot.Resolve(ask, servers)
		turned := slices.Clone(servers)
		slices.Reverse(turned)
		if other := boot.Resolve(ask, turned); !reflect.DeepEqual(m, other) {
			t.Fatalf("%+v in one order, %+v in the other", m, other)
		}
		if m.Server != "" && m.Conflict != nil || len(m.Conflict) == 1 || (m.Server == "") == (m.By != "" && m.Conflict == nil) {
			t.Fatalf("neither match nor conflict nor nothing: %+v", m)
		}
		if m.By == boot.ByUUID && m.Server != "" {
			for _, s := range servers {
				if s.Name == m.Server && disjoint(ask.MACs, s.MACs) {
					t.Fatalf("a UUID alone named %+v, whose MACs are all different", s)
				}
			}
		}
	})
}

func disjoint(a, b []string) bool {
	given := func(l []string) []string {
		return slices.DeleteFunc(slices.Clone(l), func(m string) bool { return m == "" || m == "00:00:00:00:00:00" })
	}
	a, b = given(a), given(b)
	return len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) })
}
