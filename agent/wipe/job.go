package wipe

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"ingot.dev/ingot/agent/wipe/plan"
)

// job is the wipe of one disk.
type job struct {
	cfg    Config
	level  plan.Level
	id     DiskID
	gauge  *gauge
	row    DiskReceipt
	began  time.Time
	name   string
	dev    Device
	facts  plan.Disk
	places []int64
	before []plan.Memory
	buf    []byte
	// unit is how many bytes are judged at once; buf holds some of them.
	unit int
	// hangs is set once a call did not return.
	hangs bool
}

func newJob(cfg Config, level plan.Level, id DiskID) *job {
	return &job{
		cfg: cfg, level: level, id: id, began: cfg.Now(), row: DiskReceipt{WWID: id.WWID, Serial: id.Serial},
		gauge: &gauge{now: cfg.Now, p: Progress{WWID: id.WWID, Serial: id.Serial, Phase: PhaseWaiting}},
	}
}

// run erases the disk and fills its row.
func (j *job) run(ctx context.Context, disk Disk) {
	j.began = j.cfg.Now()
	j.name, j.row.Model = disk.Name, disk.Model
	j.gauge.phase(PhaseLook)
	err := j.open(ctx, disk)
	if err == nil {
		err = j.erase(ctx)
		j.close(ctx)
	}
	if err != nil {
		j.fail(ctx, err)
		return
	}
	j.row.Seconds = j.seconds()
	j.gauge.phase(PhaseDone)
	j.cfg.Log.InfoContext(ctx, "disk is clean", "disk", disk.Name, "serial", j.id.Serial, "level", j.row.Reached, "methods", j.row.Methods, "blocks", j.row.BlocksRead)
}

// fail fills the row of a disk that is not clean. Nothing is claimed for it.
func (j *job) fail(ctx context.Context, err error) {
	j.row.Reached, j.row.Seconds, j.row.Error = "", j.seconds(), short(err.Error())
	j.gauge.phase(PhaseFailed)
	j.cfg.Log.WarnContext(ctx, "disk is not clean", "wwid", j.id.WWID, "serial", j.id.Serial, "error", err)
}

// open gets the device and has it say who it is, right before the first write.
func (j *job) open(ctx context.Context, disk Disk) error {
	var dev Device
	err := j.call(ctx, callTime, "opening "+disk.Name, func() (err error) {
		dev, err = j.cfg.Open(ctx, disk.Name)
		return err
	})
	if err != nil {
		return err
	}
	j.dev = dev
	if err := j.identify(ctx); err != nil {
		j.close(ctx)
		return err
	}
	return nil
}

// identify compares what the open device says of itself with all that the grant sets.
func (j *job) identify(ctx context.Context) error {
	var who Identity
	err := j.call(ctx, callTime, "asking "+j.name+" who it is", func() (err error) {
		who, err = j.dev.Identity()
		return err
	})
	if err != nil {
		return err
	}
	if !fits(j.id, who.WWID, who.Serial) {
		return fmt.Errorf("%s now says that it is WWID %q, serial %q; it is not touched", j.name, plain(who.WWID), plain(who.Serial))
	}
	return nil
}

// close lets the device go. One that hangs would hang here too, so it is left behind.
func (j *job) close(ctx context.Context) {
	if j.hangs {
		return
	}
	if err := j.call(context.WithoutCancel(ctx), callTime, "closing", j.dev.Close); err != nil {
		j.cfg.Log.WarnContext(ctx, "cannot close a disk", "serial", j.id.Serial, "error", err)
	}
}

func (j *job) seconds() int64 {
	return int64(j.cfg.Now().Sub(j.began).Round(time.Second) / time.Second)
}

// short keeps an error within what a receipt holds.
func short(s string) string {
	const most = 256
	s = plain(s)
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:most-1])) + "…"
}
