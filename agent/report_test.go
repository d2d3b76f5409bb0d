package main

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"ingot.dev/ingot/agent/network"
	"ingot.dev/ingot/agent/protocol"
)

// pending says whether a report is asked for, and takes the token.
func pending(r *reporter) bool {
	select {
	case <-r.changed:
		return true
	default:
		return false
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestOnlyNewThingsAskForAReport(t *testing.T) {
	disks := 1
	r := newReporter(quiet(), func(context.Context) *protocol.Inventory {
		return &protocol.Inventory{Disks: make([]*protocol.Disk, disks), Nics: []*protocol.NIC{{Name: "eth0"}, {Name: "eth1"}}}
	})
	r.look(t.Context())
	if !pending(r) {
		t.Error("the first look asks for no report")
	}
	if r.look(t.Context()); pending(r) {
		t.Error("the same hardware asks for another report")
	}
	disks = 2
	if r.look(t.Context()); !pending(r) {
		t.Error("a late disk asks for no report")
	}
	r.address(network.Lease{Address: netip.MustParsePrefix("10.0.0.7/24")})
	r.neighbor("eth1", &protocol.Neighbor{PortId: "Eth1/7"})
	if !pending(r) || pending(r) {
		t.Error("two changes ask for more or less than one report")
	}
	r.look(t.Context())
	inv := r.inventory()
	if inv.GetNics()[1].GetNeighbor().GetPortId() != "Eth1/7" || inv.GetNics()[0].GetNeighbor() != nil || inv.GetAddresses()[0] != "10.0.0.7" {
		t.Errorf("got %v", inv)
	}
	inv.Nics[0].Name = "changed"
	if r.inventory().GetNics()[0].GetName() != "eth0" {
		t.Error("a report shares memory with the next one")
	}
}

func TestLookingAgainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, start := 0, time.Now()
		r := newReporter(quiet(), func(context.Context) *protocol.Inventory { n++; return &protocol.Inventory{} })
		r.lookAgain(t.Context(), looks, time.After)
		if n != len(looks) || time.Since(start) != 2*time.Minute {
			t.Errorf("%d looks in %s", n, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if r.lookAgain(ctx, looks, func(time.Duration) <-chan time.Time { return nil }); n != len(looks) {
			t.Error("it looks on after its end")
		}
	})
}

// TestByHandReadsThisMachine runs the collector on the machine of the test.
func TestByHandReadsThisMachine(t *testing.T) {
	inv := collector(quiet()).Collect(t.Context())
	if inv.GetKernel() == "" || inv.GetArch() == "" || inv.GetMemory().GetTotalBytes() == 0 {
		t.Errorf("got %v", inv)
	}
}
