package boot_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ingot.dev/ingot/pxe-server/boot"
)

// TestIndex: what is found by keys has the answer that all servers have, each is found once and in order, and who is not found has no evidence in common.
func TestIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ask, servers := genIdentity().Draw(t, "ask"), genServers().Draw(t, "known")
		found := boot.NewIndex(servers).Sharing(ask)
		if got, want := boot.Resolve(ask, found), boot.Resolve(ask, servers); !reflect.DeepEqual(got, want) {
			t.Fatalf("of those found %+v, of all %+v", got, want)
		}
		var names []string
		for _, s := range found {
			names = append(names, s.Name)
		}
		for _, s := range servers {
			alone := boot.Resolve(boot.Identity{MACs: ask.MACs}, []boot.Server{s}).Server != "" ||
				boot.Resolve(boot.Identity{Manufacturer: ask.Manufacturer, Serial: ask.Serial}, []boot.Server{s}).Server != "" ||
				boot.Resolve(boot.Identity{UUID: ask.UUID}, []boot.Server{s}).Server != ""
			if alone != slices.Contains(names, s.Name) {
				t.Fatalf("%s shares evidence: %v; found are %v", s.Name, alone, names)
			}
		}
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Fatalf("found are %v", names)
		}
	})
}

// TestViewIndexed: a view decides the same with its index; control: it is the index that is asked.
func TestViewIndexed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := boot.View{Policy: boot.RegisterOnce, Servers: genServers().Draw(t, "known"), Images: []string{boot.AMD64}}
		ask := boot.Request{Identity: genIdentity().Draw(t, "ask"), Arch: boot.AMD64}
		indexed := v.Indexed()
		if got, want := boot.Decide(ask, indexed), boot.Decide(ask, v); !reflect.DeepEqual(got, want) {
			t.Fatalf("with an index %+v, without %+v", got, want)
		}
		indexed.Servers = nil
		if got, want := boot.Decide(ask, indexed), boot.Decide(ask, v); !reflect.DeepEqual(got, want) {
			t.Fatalf("control: the list was asked, not the index: %+v; want %+v", got, want)
		}
	})
}
