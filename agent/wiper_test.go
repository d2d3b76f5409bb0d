package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/plan"
)

var order = &protocol.Wipe{Id: "w", Generation: 1, Level: "Clear", Disks: []*protocol.WipeDisk{{Wwid: "naa.1", Serial: "S1"}, {Serial: "S2"}}}

// TestOnlyWhatTheOrderNamesIsOpened: the inventory is asked at once before, and a disk that it calls removable stays closed.
func TestOnlyWhatTheOrderNamesIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened []string
		looked := make(chan struct{})
		stuck := make(chan struct{})
		w := &wiper{
			disks: func() []*protocol.Disk {
				return []*protocol.Disk{
					{Name: "sda", Wwid: "naa.1", Serial: "S1", Transport: "sata"},
					{Name: "sdb", Wwid: "naa.2", Serial: "S2", Transport: "usb", Removable: true},
					{Name: "sdc", Wwid: "naa.3", Serial: "S3", Transport: "sata"},
				}
			},
			open: func(_ context.Context, name string) (wipe.Device, error) {
				opened = append(opened, name)
				<-stuck
				return nil, errors.New("no such device")
			},
			mend: func(context.Context) string {
				t.Error("boot entries were mended although a disk is not clean")
				return ""
			},
			look: func(context.Context) { close(looked) },
			now:  time.Now, after: time.After, log: quiet(),
		}
		time.AfterFunc(3500*time.Millisecond, func() { close(stuck) })
		var told [][]*protocol.DiskProgress
		receipt := w.Wipe(t.Context(), order, func(p []*protocol.DiskProgress) { told = append(told, p) })
		<-looked
		if len(opened) != 1 || opened[0] != "sda" {
			t.Errorf("opened %q", opened)
		}
		if len(receipt.GetDisks()) != 2 || !strings.Contains(receipt.GetDisks()[0].GetError(), "no such device") ||
			!strings.Contains(receipt.GetDisks()[1].GetError(), "removable") || receipt.GetDisks()[1].GetSerial() != "S2" {
			t.Errorf("got %v", receipt)
		}
		if len(told) != 3 || told[0][0].GetPhase() != wipe.PhaseLook || told[0][1].GetPhase() != wipe.PhaseFailed {
			t.Errorf("told %v", told)
		}
	})
}

func TestReceiptOf(t *testing.T) {
	got := receiptOf(wipe.Receipt{Firmware: "mended", Disks: []wipe.DiskReceipt{{
		WWID: "naa.1", Serial: "S1", Model: "M", SizeBytes: 7, Methods: []string{"ZeroOut"}, Reached: plan.Clear, BlocksRead: 9, Seconds: 3, Error: "e",
	}}})
	want := &protocol.Receipt{Firmware: "mended", Disks: []*protocol.DiskReceipt{{
		Wwid: "naa.1", Serial: "S1", Model: "M", SizeBytes: 7, Methods: []string{"ZeroOut"}, Reached: "Clear", BlocksRead: 9, Seconds: 3, Error: "e",
	}}}
	if !proto.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	g := grantOf(order)
	if g.Level != plan.Clear || len(g.Disks) != 2 || g.Disks[0] != (wipe.DiskID{WWID: "naa.1", Serial: "S1"}) || g.Disks[1] != (wipe.DiskID{Serial: "S2"}) {
		t.Errorf("got %+v", g)
	}
	if p := progressOf([]wipe.Progress{{WWID: "w", Serial: "s", Phase: "Verify", Percent: 7, ETA: 90 * time.Second}}); !proto.Equal(p[0],
		&protocol.DiskProgress{Wwid: "w", Serial: "s", Phase: "Verify", Percent: 7, EtaSeconds: 90}) {
		t.Errorf("got %v", p)
	}
}

// TestTeller: a line per disk and ten seconds, in plain words.
func TestTeller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var console bytes.Buffer
		teller := newTeller(slog.New(slog.NewTextHandler(&console, nil)), time.Now)
		for range 25 { // 25 s
			teller.tell([]wipe.Progress{
				{Serial: "S1", Phase: string(plan.Overwrite), Percent: 40, ETA: 90 * time.Second}, {WWID: "naa.2", Phase: "NewMethod"}, {Serial: "S3", Phase: wipe.PhaseDone},
			})
			<-time.After(time.Second)
		}
		for text, want := range map[string]int{
			"wiping disk S1: overwriting it, 40 %, about 1m30s left": 3, "wiping disk naa.2: NewMethod, 0 %": 3, "S3": 0,
		} {
			if got := strings.Count(console.String(), text); got != want {
				t.Errorf("%q stands there %d times, want %d:\n%s", text, got, want, &console)
			}
		}
	})
}
