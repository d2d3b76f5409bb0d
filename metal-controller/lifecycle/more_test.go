package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// TestEmptyGrant: a receipt for no disk at all proves nothing.
func TestEmptyGrant(t *testing.T) {
	w := ready()
	w.record().Wipe.Disks = nil
	w.record().Wipe.Receipt = &metal.WipeReceipt{Generation: 1}
	if task := lifecycle.HandOut(w.o, claimant(w.o)); task.Kind == lifecycle.TaskPowerOff {
		t.Errorf("%+v", task)
	}
	_ = receipt(ready(), nil, nil)
}

// TestStaysClean: a clean server is Available as long as it shows only disks that its wipe covered.
func TestStaysClean(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(w *world)
		want string
	}{
		"control":      {func(*world) {}, reasons.Wiped},
		"no inventory": {func(w *world) { w.o.Inventory = nil }, reasons.Wiped},
		"a disk less":  {func(w *world) { w.o.Inventory.Disks = w.o.Inventory.Disks[:1] }, reasons.Wiped},
		"another disk, blank": {func(w *world) {
			w.o.Inventory.Disks = append(w.o.Inventory.Disks, metal.Disk{WWID: "w-c", Transport: "sata", Contents: metal.DiskBlank})
		}, reasons.DisksChanged},
		"a disk of nobody": {func(w *world) { w.o.Inventory.Disks[1].Transport = "usb" }, reasons.DisksBlocked},
	} {
		w := ready()
		w.record().Wipe.VerifiedAt = &metav1.Time{Time: epoch}
		w.record().Boot.Phase = metal.BootVoid
		for i := range w.o.Inventory.Disks {
			w.o.Inventory.Disks[i].Contents = metal.DiskBlank
		}
		c.f(w)
		p := lifecycle.Decide(w.o)
		clean := p.Conditions[3]
		if clean.Reason != c.want || (clean.Status == lifecycle.True) != (c.want == reasons.Wiped) || (p.State == metal.StateAvailable) != (c.want == reasons.Wiped) || clean.Message == "" {
			t.Errorf("%s: %s, %+v", name, p.State, clean)
		}
	}
}

// TestBootTarget: what a machine gets when it asks, in order.
func TestBootTarget(t *testing.T) {
	data, os := []metal.Disk{{Contents: metal.DiskData}}, []metal.Disk{{Contents: metal.DiskData}, {Contents: metal.DiskBootable}}
	verified := &metal.WipeRecord{VerifiedAt: &metav1.Time{Time: epoch}}
	for name, c := range map[string]struct {
		record metal.ServerRecord
		disks  []metal.Disk
		want   metal.BootTarget
	}{
		"never seen":              {metal.ServerRecord{}, nil, metal.BootTargetAgent},
		"never seen, accepted":    {metal.ServerRecord{Acceptance: &metal.AcceptanceRecord{}}, nil, metal.BootTargetIdle},
		"with a system":           {metal.ServerRecord{}, os, metal.BootTargetLocalDisk},
		"with a system, accepted": {metal.ServerRecord{Acceptance: &metal.AcceptanceRecord{}}, os, metal.BootTargetLocalDisk},
		"without a system":        {metal.ServerRecord{}, data, metal.BootTargetAgent},
		"without one, accepted":   {metal.ServerRecord{Acceptance: &metal.AcceptanceRecord{}}, data, metal.BootTargetIdle},
		"clean":                   {metal.ServerRecord{Wipe: verified}, os, metal.BootTargetIdle},
		"not clean yet":           {metal.ServerRecord{Wipe: &metal.WipeRecord{}}, os, metal.BootTargetLocalDisk},
		"clean, out of a backup":  {metal.ServerRecord{Wipe: verified, Unverified: &metal.UnverifiedRecord{Reason: reasons.Restored}}, os, metal.BootTargetLocalDisk},
		"after an expected boot":  {metal.ServerRecord{Boot: &metal.BootRecord{ID: "b", Phase: metal.BootVoid}}, data, metal.BootTargetAgent},
		"being switched off":      {metal.ServerRecord{Acceptance: &metal.AcceptanceRecord{}, Boot: &metal.BootRecord{ID: "b", Phase: metal.BootSwitchingOff, At: metav1.NewTime(epoch)}}, nil, metal.BootTargetIdle},
	} {
		w := newWorld()
		bmc(w, nil)
		w.o.Server.Spec.Accepted = c.record.Acceptance != nil
		c.record.ManagedBy = &metal.ManagedBy{Installation: "here", Epoch: 1}
		w.o.Server.Spec.Record = &c.record
		if c.disks != nil {
			w.o.Inventory = &metal.ServerInventorySpec{Disks: c.disks}
		}
		if p := lifecycle.Decide(w.o); p.Boot.Target != c.want || p.Boot.ID != "" {
			t.Errorf("%s: %+v", name, p.Boot)
		}
	}
}

// TestWaitingCommand: a command that waits for its BMC is taken back once its step is over, and only then.
func TestWaitingCommand(t *testing.T) {
	for name, c := range map[string]struct {
		phase   metal.BootPhase
		pending string
		taken   bool
	}{
		"of this step":        {metal.BootSwitchingOn, "b.SwitchingOn.x", false},
		"of the last step":    {metal.BootSwitchingOn, "b.SwitchingOff.x", true},
		"of another boot":     {metal.BootSwitchingOn, "c.SwitchingOn.x", true},
		"of a boot under way": {metal.BootBooting, "b.Booting.x", false},
		"after it":            {metal.BootVoid, "b.Void.x", true},
		"none":                {metal.BootSwitchingOn, "", false},
	} {
		w := ready()
		w.record().Wipe = &metal.WipeRecord{VerifiedAt: &metav1.Time{Time: epoch}}
		w.record().Acceptance = nil
		w.o.Server.Spec.Accepted = true
		w.record().Boot = &metal.BootRecord{ID: "b", Phase: c.phase, StartedAt: at(w, time.Second), At: at(w, time.Second), Deadline: metav1.NewTime(w.o.Now.Add(time.Minute))}
		w.record().Wipe = nil
		w.o.Power = lifecycle.PowerReading{Reason: reasons.BMCUnreachable, Pending: c.pending, CommandAt: w.o.Now}
		if p := lifecycle.Decide(w.o); (p.Action.Kind == lifecycle.WithdrawPower) != c.taken {
			t.Errorf("%s: %+v", name, p.Action)
		}
	}
}

// TestRequestsThatCannotBe fail at once, and say so.
func TestRequestsThatCannotBe(t *testing.T) {
	for name, f := range map[string]func(w *world){
		"an unknown action": func(w *world) { w.o.Server.Spec.PowerRequest.Action = "Explode" },
		"no BMC":            func(w *world) { w.o.Server.Spec.BMC = nil },
		"the BMC taken away": func(w *world) {
			w.record().Power = &metal.PowerRecord{ID: "p", Step: metal.PowerSwitchingOff, At: at(w, 0)}
			w.o.Server.Spec.BMC = nil
		},
		"longer than it may": func(w *world) {
			w.record().Power = &metal.PowerRecord{ID: "p", Step: metal.PowerSwitchingOff, At: at(w, 5*time.Minute+1)}
		},
	} {
		w := newWorld()
		bmc(w, nil)
		w.read("On")
		w.o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "p", Action: metal.PowerActionOff, RequestedAt: metav1.NewTime(w.o.Now)}
		f(w)
		p := lifecycle.Decide(w.o)
		if p.Record == nil || p.Record.Power == nil || p.Record.Power.Step != metal.PowerFailed || p.Conditions[4].Reason != reasons.PowerRequestFailed {
			t.Errorf("%s: %+v", name, p.Record)
		}
	}
	for age, step := range map[time.Duration]metal.PowerStep{
		10 * time.Minute: metal.PowerSwitchingOff, 10*time.Minute + 1: metal.PowerExpired, -10 * time.Minute: metal.PowerSwitchingOff, -10*time.Minute - 1: metal.PowerExpired,
		-6 * time.Minute: metal.PowerSwitchingOff,
	} {
		w := newWorld()
		bmc(w, nil)
		w.o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "p", Action: metal.PowerActionOff, RequestedAt: metav1.NewTime(w.o.Now.Add(-age))}
		if p := lifecycle.Decide(w.o); p.Record.Power.Step != step {
			t.Errorf("%s old: %s", age, p.Record.Power.Step)
		}
	}
	w := newWorld()
	bmc(w, nil)
	w.o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "p", Action: metal.PowerActionOff, RequestedAt: metav1.NewTime(w.o.Now)}
	w.record().Power = &metal.PowerRecord{ID: "p", Step: metal.PowerSwitchingOff, At: at(w, 5*time.Minute)}
	if p := lifecycle.Decide(w.o); p.Record != nil && p.Record.Power.Step == metal.PowerFailed {
		t.Error("given up at the last moment")
	}
}

// TestSmallSummaries: odd hardware has a line as well.
func TestSmallSummaries(t *testing.T) {
	sum := func(i metal.ServerInventorySpec) metal.InventorySummary {
		w := newWorld()
		w.o.Inventory = &i
		return *lifecycle.Decide(w.o).Summary
	}
	for name, c := range map[string]struct {
		i    metal.ServerInventorySpec
		want metal.InventorySummary
	}{
		"nothing": {metal.ServerInventorySpec{}, metal.InventorySummary{Disks: "no disks", NICs: "no NICs"}},
		"no link": {metal.ServerInventorySpec{NICs: []metal.NIC{{}, {MAC: "a"}, {MAC: "b"}}}, metal.InventorySummary{Disks: "no disks", NICs: "3 NICs, 0 up", MAC: "a"}},
		"a link without a MAC": {
			metal.ServerInventorySpec{NICs: []metal.NIC{{Carrier: true}, {MAC: "b", Carrier: true, SpeedMbps: 100}}},
			metal.InventorySummary{Disks: "no disks", NICs: "2 NICs, 2 up, 0.1 Gb/s", MAC: "b"},
		},
		"small":             {metal.ServerInventorySpec{Memory: metal.Memory{TotalBytes: 1<<30 - 1}, Disks: []metal.Disk{{SizeBytes: 999e9}}}, metal.InventorySummary{Memory: "1023 MiB", Disks: "1 disk, 999 GB", NICs: "no NICs"}},
		"one of each":       {metal.ServerInventorySpec{Memory: metal.Memory{TotalBytes: 1 << 30}, CPUs: []metal.CPU{{Model: "C", Cores: 1}}, NICs: []metal.NIC{{SpeedMbps: 1}}}, metal.InventorySummary{Memory: "1 GiB", CPU: "1 x C, 1 core", Cores: 1, Disks: "no disks", NICs: "1 NIC, 0 up, 0.001 Gb/s"}},
		"less than nothing": {metal.ServerInventorySpec{Memory: metal.Memory{TotalBytes: -1}, CPUs: []metal.CPU{{Cores: -1}}, Disks: []metal.Disk{{SizeBytes: -5}}}, metal.InventorySummary{CPU: "1 x unknown model", Disks: "1 disk, 0 GB", NICs: "no NICs"}},
	} {
		if got := sum(c.i); got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, c.want)
		}
	}
	if got := sum(metal.ServerInventorySpec{CPUs: []metal.CPU{{Model: strings.Repeat("x", 300), Cores: 1 << 25}}}); got.Cores != 1<<20 || len(got.CPU) != 240+len(", 1048576 cores") {
		t.Errorf("%d cores, %d characters", got.Cores, len(got.CPU))
	}
}

// TestAskAgain: what waits for a time names it.
func TestAskAgain(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(w *world)
		want time.Duration
	}{
		"the budget": {func(w *world) { w.record().Wipe, w.record().Boot, w.o.Budget = nil, nil, lifecycle.Budget{} }, time.Minute},
		"a contested boot": {func(w *world) {
			w.record().Boot = &metal.BootRecord{ID: "b", Phase: metal.BootVoid, Reason: reasons.BootVoided, At: at(w, 90*time.Second)}
		}, 30 * time.Second},
		"a contested boot of the future": {func(w *world) {
			w.record().Boot = &metal.BootRecord{ID: "b", Phase: metal.BootVoid, Reason: reasons.BootVoided, At: at(w, -time.Minute)}
		}, 2 * time.Minute},
		"three attempts": {func(w *world) {
			w.record().Boot = &metal.BootRecord{ID: "b", Phase: metal.BootVoid, Reason: "x", Attempt: 3, StartedAt: at(w, 20*time.Minute)}
		}, 40 * time.Minute},
		"three attempts of the future": {func(w *world) {
			w.record().Boot = &metal.BootRecord{ID: "b", Phase: metal.BootVoid, Reason: "x", Attempt: 3, StartedAt: at(w, -20*time.Minute)}
		}, time.Hour},
		"the claim": {func(w *world) { at := at(w, 6*time.Second); w.record().Boot.ClaimedAt = &at }, 9 * time.Second},
	} {
		w := whole()
		w.o.Power = lifecycle.PowerReading{Reason: reasons.BMCUnreachable}
		c.f(w)
		if p := lifecycle.Decide(w.o); p.After != c.want {
			t.Errorf("%s: again in %s, want %s", name, p.After, c.want)
		}
	}
}
