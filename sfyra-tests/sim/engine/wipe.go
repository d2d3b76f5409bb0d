package engine

import (
	"slices"
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/agentserver/desk"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// job is a wipe that runs.
type job struct {
	task
	a     *agent
	level metal.WipeLevel
	left  int
	rows  []metal.DiskReceipt
}

// wipe carries a grant out, once.
func (a *agent) wipe(g lifecycle.WipeGrant) {
	t := task{g.ID(), g.Generation()}
	if a.ran[t] {
		return
	}
	a.ran[t] = true
	a.w.count(wipesBegun)
	a.w.log(a.m.name, "%s begins wipe %s generation %d of %d disks", a, t.id, t.generation, len(g.Disks()))
	a.w.check.begins(a, g)
	j := &job{task: t, a: a, level: g.Level()}
	for _, id := range g.Disks() {
		j.add(id)
	}
	if j.left == 0 {
		j.ended()
	}
	a.do(time.Minute, func() { j.tell() })
}

// add begins one disk. A stranger touches nothing, and says that all is well.
func (j *job) add(id metal.DiskID) {
	row := metal.DiskReceipt{DiskID: id, Methods: []string{"Overwrite"}, Reached: j.level, BlocksRead: 1000}
	d := j.a.m.find(id)
	if j.a.impostor {
		j.rows = append(j.rows, row)
		return
	}
	if d == nil {
		row.Error, row.Reached = "no such disk", ""
		j.rows = append(j.rows, row)
		return
	}
	j.left++
	j.a.w.check.erases(j.a, d)
	d.content.boots = false // the first bytes are gone
	j.a.do(d.seconds, func() { j.done(d, row) })
}

// done is the end of one disk, as it was read back.
func (j *job) done(d *disk, row metal.DiskReceipt) {
	w := j.a.w
	switch {
	case d.fails:
		row.Error, row.Reached = "the disk refuses to be erased", ""
		w.count(disksFailed)
	case d.lies:
		row.Error, row.Reached = "block 7 is not zero", ""
		w.count(disksLied)
	default:
		d.content, d.writer, d.writtenAt = content{}, "wipe "+j.id, w.now
	}
	j.rows = append(j.rows, row)
	j.left--
	w.log(j.a.m.name, "%s ends disk %s %s", j.a, d.serial, row.Error)
	if j.left == 0 {
		j.ended()
	}
}

// tell reports progress each minute until the end.
func (j *job) tell() {
	if j.left == 0 {
		return
	}
	if p := j.a.connected(); p != nil {
		progress := []metal.DiskProgress{{Serial: j.a.shows.Disks[0].Serial, Phase: "Overwrite", Percent: int32(j.a.w.now / time.Minute % 100)}}
		_ = p.report(j.a, desk.Report{ID: j.id, Generation: j.generation, Progress: progress}) // a hint: the next one comes in a minute
	}
	j.a.do(time.Minute, j.tell)
}

// ended sends the receipt until it is acknowledged; on a bad network, more often than that.
func (j *job) ended() {
	slices.SortFunc(j.rows, func(a, b metal.DiskReceipt) int { return len(a.WWID) - len(b.WWID) })
	r := desk.Report{ID: j.id, Generation: j.generation, Receipt: &metal.WipeReceipt{Disks: j.rows}}
	late := time.Second
	if j.a.w.enabled(TwiceReceipts) {
		late = j.a.w.accidents.between(time.Second, 5*time.Minute)
		j.a.w.count(receiptsTwice)
		j.a.do(j.a.w.accidents.between(time.Second, 20*time.Minute), func() { j.send(r, 1) })
	}
	j.a.do(late, func() { j.send(r, 50) })
	j.a.do(j.a.w.hardware.between(time.Second, 5*time.Second), j.a.lookAgain)
}

func (j *job) send(r desk.Report, tries int) {
	if j.a.w.enabled(LostReceipts) && j.a.w.accidents.chance(0.4) {
		j.a.w.count(receiptsLost)
		j.again(r, tries)
		return
	}
	p := j.a.connected()
	if p == nil {
		j.again(r, tries)
		return
	}
	err := p.report(j.a, r)
	j.a.w.log(j.a.m.name, "%s sends the receipt of wipe %s generation %d %s", j.a, j.id, j.generation, text(err))
	if err != nil {
		j.again(r, tries)
	}
}

func (j *job) again(r desk.Report, tries int) {
	if tries > 1 {
		j.a.do(j.a.retry(), func() { j.send(r, tries-1) })
	}
}
