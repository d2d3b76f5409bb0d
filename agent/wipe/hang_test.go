package wipe_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ingot.dev/ingot/agent/wipe"
	"ingot.dev/ingot/agent/wipe/plan"
	"ingot.dev/ingot/agent/wipe/wipetest"
)

// TestHangingDisks: time is that of the bubble, so days pass at once.
func TestHangingDisks(t *testing.T) {
	for name, hang := range map[string]func(*wipetest.Disk){
		"in a step of the kernel": func(d *wipetest.Disk) { d.Faults.HangsOn = plan.Discard },
		"in a step of its own": func(d *wipetest.Disk) {
			d.Facts.NVMe, d.Faults.HangsOn = plan.NVMe{Format: true, Namespaces: 1}, plan.NVMeFormat
		},
		"in a read": func(d *wipetest.Disk) { d.Faults.HangsReading = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := good(2)
				hang(r[0])
				r[0].Faults.Release = make(chan struct{})
				receipt := wipe.New(r.Config(), r.Grant(plan.Clear)).Run(t.Context())
				if row := receipt.Disks[0]; !strings.Contains(row.Error, "does not answer") || row.Reached != "" {
					t.Errorf("%+v", row)
				}
				clean(t, receipt.Disks[1])
				close(r[0].Faults.Release)
				synctest.Wait()
				if m := r[0].Methods(); len(m) > 1 {
					t.Errorf("the disk that hung was sent %v", m)
				}
			})
		})
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := good(2)
		r[0].Faults.HangsOn, r[0].Faults.Release = plan.Discard, make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		cfg := r.Config()
		firmware := 0
		cfg.Firmware = func(context.Context) string { firmware++; return "" }
		w := wipe.New(cfg, r.Grant(plan.Clear))
		done := make(chan wipe.Receipt)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()
		p := w.Progress()
		if p[0].Phase != string(plan.Discard) || p[1].Phase != wipe.PhaseDone || p[1].Percent != 100 {
			t.Errorf("progress %+v", p)
		}
		began := time.Now()
		cancel()
		receipt := <-done
		if row := receipt.Disks[0]; row.Error == "" || row.Reached != "" {
			t.Errorf("%+v", row)
		}
		clean(t, receipt.Disks[1])
		if firmware != 0 || time.Since(began) > time.Minute {
			t.Errorf("firmware mended %d times, %s after the cancel", firmware, time.Since(began))
		}
		close(r[0].Faults.Release)
		synctest.Wait()
		if p := w.Progress()[0]; p.Phase != wipe.PhaseFailed {
			t.Errorf("phase %s", p.Phase)
		}
	})
}

// TestProgress: a slow disk tells how far it is, and how long it will take.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := wipetest.Rack{wipetest.New("sda", 256<<20)}
		r[0].Facts.Rotational, r[0].Rate, r[0].After = true, 64<<20, time.After
		w := wipe.New(r.Config(), r.Grant(plan.Clear))
		if p := w.Progress()[0]; p.Phase != wipe.PhaseWaiting || p.WWID != r[0].Info.WWID {
			t.Errorf("before: %+v", p)
		}
		done := make(chan wipe.Receipt, 1)
		go func() { done <- w.Run(t.Context()) }()
		<-time.After(2500 * time.Millisecond)
		synctest.Wait()
		if p := w.Progress()[0]; p.Phase != string(plan.ZeroOut) || p.Percent != 50 || p.ETA != 2*time.Second {
			t.Errorf("half way: %+v", p)
		}
		receipt := <-done
		clean(t, receipt.Disks[0])
		if s := receipt.Disks[0].Seconds; s != 4 {
			t.Errorf("it took %d s", s)
		}
	})
}

// TestMeasure: in the bubble time is exact, and eight disks at once take as long as the slowest.
func TestMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alike := func() wipetest.Rack {
			r := wipetest.Throttled(8, 16<<20, 16<<20)
			r[3].Rate /= 3
			return r
		}
		together, slowest, err := wipetest.Measure(t.Context(), alike, plan.Clear)
		if err != nil || together != slowest || slowest.Round(time.Second) != 3*time.Second {
			t.Errorf("together %s, slowest %s, %v", together, slowest, err)
		}
		broken := func() wipetest.Rack { r := alike(); r[0].Facts.ReadOnly = true; return r }
		if _, _, err := wipetest.Measure(t.Context(), broken, plan.Clear); err == nil {
			t.Error("times of a wipe that failed")
		}
	})
}
