package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"ingot.dev/ingot/agent/boot"
	"ingot.dev/ingot/agent/inventory"
	"ingot.dev/ingot/agent/protocol"
	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/device"
	"ingot.dev/ingot/agent/wipe/firmware"
	"ingot.dev/ingot/agent/wipe/plan"
)

// gaugePause is the time between two looks at how a wipe fares.
const gaugePause = time.Second

// wiper carries out orders to wipe: it wires agent/wipe to the inventory and the protocol. It implements session.Tasks.
type wiper struct {
	// disks lists what is there now.
	disks func() []*protocol.Disk
	open  func(ctx context.Context, name string) (wipe.Device, error)
	// mend puts the boot entries in order, and says what became of them.
	mend func(context.Context) string
	// look reads the hardware again, since disks are not what they were.
	look  func(context.Context)
	now   func() time.Time
	after func(time.Duration) <-chan time.Time
	log   *slog.Logger
}

func newWiper(log *slog.Logger, c *inventory.Collector, look func(context.Context)) *wiper {
	vars := firmware.Vars{Dir: boot.EFIVars, Kernel: firmware.Linux{}, Log: log}
	disks := device.System{Dev: "/dev", Sys: "/sys", After: time.After}
	return &wiper{
		disks: c.Disks, open: disks.Open, mend: vars.Mend, look: look, now: time.Now, after: time.After, log: log,
	}
}

// Wipe erases the disks of the order, and tells how they fare on the console and through progress.
func (w *wiper) Wipe(ctx context.Context, order *protocol.Wipe, progress func([]*protocol.DiskProgress)) *protocol.Receipt {
	run := wipe.New(wipe.Config{
		List: w.list, Open: w.open, Firmware: w.mend, Random: rand.Reader, Now: w.now, After: w.after, Log: w.log,
	}, grantOf(order))
	ended := make(chan wipe.Receipt, 1)
	go func() { ended <- run.Run(ctx) }()
	teller := newTeller(w.log, w.now)
	for {
		select {
		case receipt := <-ended:
			// Read in the background: the receipt comes before the inventory, and a disk that hangs holds it up no longer.
			go w.look(ctx)
			return receiptOf(receipt)
		case <-w.after(gaugePause):
			now := run.Progress()
			teller.tell(now)
			progress(progressOf(now))
		}
	}
}

// list is asked right before disks are opened for writing.
func (w *wiper) list(context.Context) ([]wipe.Disk, error) {
	var out []wipe.Disk
	for _, d := range w.disks() {
		out = append(out, wipe.Disk{
			Name: d.GetName(), WWID: d.GetWwid(), Serial: d.GetSerial(), Model: d.GetModel(),
			Transport: d.GetTransport(), Removable: d.GetRemovable(), ReadOnly: d.GetReadOnly(),
		})
	}
	return out, nil
}

func grantOf(order *protocol.Wipe) wipe.Grant {
	g := wipe.Grant{Level: plan.Level(order.GetLevel())}
	for _, d := range order.GetDisks() {
		g.Disks = append(g.Disks, wipe.DiskID{WWID: d.GetWwid(), Serial: d.GetSerial()})
	}
	return g
}

func progressOf(now []wipe.Progress) []*protocol.DiskProgress {
	var out []*protocol.DiskProgress
	for _, p := range now {
		out = append(out, &protocol.DiskProgress{
			Wwid: p.WWID, Serial: p.Serial, Phase: p.Phase, Percent: int32(min(max(p.Percent, 0), 100)), EtaSeconds: int64(p.ETA / time.Second),
		})
	}
	return out
}

func receiptOf(r wipe.Receipt) *protocol.Receipt {
	out := &protocol.Receipt{Firmware: r.Firmware}
	for _, d := range r.Disks {
		out.Disks = append(out.Disks, &protocol.DiskReceipt{
			Wwid: d.WWID, Serial: d.Serial, Model: d.Model, SizeBytes: d.SizeBytes, Methods: d.Methods, Reached: string(d.Reached),
			BlocksRead: d.BlocksRead, Seconds: d.Seconds, Error: d.Error,
		})
	}
	return out
}
