package lifecycle_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// obstacle is one thing that is wrong with a server whose wipe is granted, and why nothing may be erased then.
type obstacle struct {
	reason string
	f      func(o *lifecycle.Observation, r *metal.ServerRecord)
}

// oneObstacle is each thing alone that has to be enough.
var oneObstacle = map[string]obstacle{
	"another installation": {reasons.Accepted, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.ManagedBy.Installation = "elsewhere" }},
	"no installation":      {reasons.UnmanagedHere, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.ManagedBy = nil }},
	"nameless":             {reasons.Accepted, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Installation = "" }},
	"a workload": {reasons.Claimed, func(_ *lifecycle.Observation, r *metal.ServerRecord) {
		r.Claim = &metal.ClaimRecord{Namespace: "prod", Name: "web"}
	}},
	"the yes taken back": {reasons.NotAccepted, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Server.Spec.Accepted = false }},
	"no acceptance":      {reasons.EvidenceNeeded, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.Acceptance = nil }},
	"a backup": {reasons.Restored, func(_ *lifecycle.Observation, r *metal.ServerRecord) {
		r.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored}
	}},
	"quarantine": {reasons.Quarantined, func(_ *lifecycle.Observation, r *metal.ServerRecord) {
		r.Quarantine = &metal.QuarantineRecord{Reason: reasons.QuarantineByPerson}
	}},
	"a conflict": {reasons.IdentityConflict, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.ConflictsWith = []string{"s2"} }},
	"paused": {reasons.Paused, func(o *lifecycle.Observation, _ *metal.ServerRecord) {
		o.Server.Annotations = map[string]string{lifecycle.PausedAnnotation: "x"}
	}},
	"a dry run":                    {reasons.DryRun, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.DryRun = true }},
	"clean already":                {reasons.Wiped, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.Wipe.VerifiedAt = &metav1.Time{Time: epoch} }},
	"no time of the claim":         {reasons.BootRunning, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.Boot.ClaimedAt = nil }},
	"no inventory":                 {reasons.BootRunning, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Inventory = nil }},
	"an unproven inventory":        {reasons.BootRunning, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Inventory.Agent.Proven = 0 }},
	"an inventory of another boot": {reasons.BootRunning, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Inventory.Agent.BootID = "other" }},
	"a claim of just now": {reasons.BootRunning, func(o *lifecycle.Observation, r *metal.ServerRecord) {
		r.Boot.ClaimedAt = &metav1.Time{Time: o.Now.Add(-15*time.Second + 1)}
	}},
	"data that nobody confirmed": {reasons.DataNeedsConfirmation, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.Acceptance.Disks = nil }},
	"data that came later":       {reasons.DataNeedsConfirmation, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Inventory.Disks[1].Contents = metal.DiskData }},
	"another serial number":      {reasons.DataNeedsConfirmation, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Inventory.Disks[0].Serial = "other" }},
	"a shared disk":              {reasons.DisksBlocked, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Elsewhere = map[string]string{"w-b": "s2"} }},
	"a removable disk":           {reasons.DisksBlocked, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Inventory.Disks[1].Removable = true }},
	"no disks":                   {reasons.NoDisks, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Inventory.Disks = nil }},
	"a disk more":                {reasons.DisksChanged, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.Wipe.Disks = r.Wipe.Disks[:1] }},
	"a disk less":                {reasons.DisksChanged, func(o *lifecycle.Observation, _ *metal.ServerRecord) { o.Inventory.Disks = o.Inventory.Disks[:1] }},
	"another disk": {reasons.DisksChanged, func(_ *lifecycle.Observation, r *metal.ServerRecord) {
		r.Wipe.Disks[1] = metal.DiskID{WWID: "w-c", Serial: "S-c"}
	}},
	"the same disk twice": {reasons.DisksChanged, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.Wipe.Disks[1] = r.Wipe.Disks[0] }},
	"a wider name": {reasons.DisksChanged, func(o *lifecycle.Observation, r *metal.ServerRecord) {
		r.Wipe.Disks[1].Serial, o.Inventory.Disks[1].Serial = "other", ""
	}},
	"a name that is too wide": {reasons.DisksChanged, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.Wipe.Disks[1].Serial = "" }},
	"no grant":                {reasons.DestructiveLimit, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.Wipe = nil }},
	"a grant of another boot": {reasons.DestructiveLimit, func(_ *lifecycle.Observation, r *metal.ServerRecord) { r.Wipe.BootID = "other" }},
	"answered badly": {reasons.DisksChanged, func(_ *lifecycle.Observation, r *metal.ServerRecord) {
		r.Wipe.Receipt = &metal.WipeReceipt{Generation: 1}
	}},
}

// TestOneObstacle: each of them alone keeps a wipe from being handed out, and says why; without any it goes out, also to a server whose clock stands
// exactly at the end of the wait.
func TestOneObstacle(t *testing.T) {
	for name, c := range oneObstacle {
		w := ready()
		c.f(&w.o, w.o.Server.Spec.Record)
		if task := lifecycle.HandOut(w.o, lifecycle.Caller{BootID: "n1", Key: "k1"}); task.Kind == lifecycle.TaskWipe || task.Reason != c.reason {
			t.Errorf("%s: %s %s", name, task.Kind, task.Reason)
		}
	}
	for name, c := range map[string]lifecycle.Caller{"another key": {BootID: "n1", Key: "k2"}, "no key": {BootID: "n1"}, "another boot": {BootID: "n0", Key: "k1"}, "no boot": {Key: "k1"}} {
		if task := lifecycle.HandOut(ready().o, c); task.Kind != lifecycle.TaskDenied {
			t.Errorf("%s: %+v", name, task)
		}
	}
	w := ready()
	w.record().Boot.ClaimedAt = &metav1.Time{Time: w.o.Now.Add(-15 * time.Second)}
	if task := lifecycle.HandOut(w.o, lifecycle.Caller{BootID: "n1", Key: "k1"}); task.Kind != lifecycle.TaskWipe || !strings.Contains(task.Message, "2 disks") || task.After != 0 {
		t.Errorf("control: %+v", task)
	}
}

// TestOneObstacleToAGrant: the same obstacles keep a first grant from being recorded.
func TestOneObstacleToAGrant(t *testing.T) {
	later := []string{"no grant", "a grant of another boot", "answered badly", "clean already", "a disk more", "another disk", "the same disk twice", "a wider name", "a name that is too wide", "a disk less", "no installation"}
	for name, c := range oneObstacle {
		w := ready()
		c.f(&w.o, w.o.Server.Spec.Record)
		w.record().Wipe, w.o.NewID = nil, "new"
		p := lifecycle.Decide(w.o)
		expected := false
		for _, l := range later {
			expected = expected || l == name
		}
		if p.Granted != expected || (p.Record != nil && p.Record.Wipe != nil) != expected {
			t.Errorf("%s: granted %v, %+v", name, p.Granted, p.Record)
		}
	}
}

// TestOneObstacleToABoot: none is begun by itself for a server that Git alone accepted, unless everything is in order.
func TestOneObstacleToABoot(t *testing.T) {
	begin := func(f func(*lifecycle.Observation)) lifecycle.Plan {
		w := newWorld()
		bmc(w, nil)
		w.o.Server.Spec.Accepted, w.o.NewID = true, "new"
		w.o.Server.Spec.Record = &metal.ServerRecord{ManagedBy: &metal.ManagedBy{Installation: "here", Epoch: 1}}
		w.read("Off")
		f(&w.o)
		return lifecycle.Decide(w.o)
	}
	if p := begin(func(*lifecycle.Observation) {}); p.Action.Kind != lifecycle.EnsurePowerOnFromNetwork || p.Boot.ID != "new" || p.Boot.Deadline == nil {
		t.Errorf("control: %+v", p)
	}
	for name, f := range map[string]func(*lifecycle.Observation){
		"not accepted": func(o *lifecycle.Observation) { o.Server.Spec.Accepted = false },
		"on":           func(o *lifecycle.Observation) { o.Power.State = metal.PowerOn },
		"quarantine":   func(o *lifecycle.Observation) { o.Server.Spec.Record.Quarantine = &metal.QuarantineRecord{Reason: "x"} },
		"conflict":     func(o *lifecycle.Observation) { o.ConflictsWith = []string{"s2"} },
		"paused": func(o *lifecycle.Observation) {
			o.Server.Annotations = map[string]string{lifecycle.PausedAnnotation: ""}
		},
		"dry run":    func(o *lifecycle.Observation) { o.DryRun = true },
		"no BMC":     func(o *lifecycle.Observation) { o.Server.Spec.BMC = nil },
		"silent BMC": func(o *lifecycle.Observation) { o.Power.Reason = reasons.BMCUnreachable },
		"a workload": func(o *lifecycle.Observation) { o.Server.Spec.Record.Claim = &metal.ClaimRecord{Name: "web"} },
		"a backup": func(o *lifecycle.Observation) {
			o.Server.Spec.Record.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored}
		},
		"foreign":     func(o *lifecycle.Observation) { o.Server.Spec.Record.ManagedBy.Installation = "elsewhere" },
		"over budget": func(o *lifecycle.Observation) { o.Budget = lifecycle.Budget{Granted: 5, Limit: 5} },
		"data": func(o *lifecycle.Observation) {
			o.Inventory = &metal.ServerInventorySpec{Disks: []metal.Disk{{WWID: "w", Transport: "nvme", Contents: metal.DiskData}}}
		},
		"a request under way": func(o *lifecycle.Observation) {
			o.Server.Spec.PowerRequest = &metal.PowerRequest{ID: "p", Action: metal.PowerActionOff, RequestedAt: metav1.NewTime(o.Now)}
		},
	} {
		if p := begin(f); p.Record != nil && p.Record.Boot != nil || p.Action.Kind == lifecycle.EnsurePowerOnFromNetwork {
			t.Errorf("%s: %+v %+v", name, p.Action, p.Record)
		}
	}
}

// TestEvidence: what a person confirmed once does not count as evidence after a restore; only blank disks in a later boot do.
func TestEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		contents metal.DiskContents
		since    time.Duration // of the restore, after the boot began
		trusted  bool
	}{
		"blank, in a later boot":        {metal.DiskBlank, -time.Hour, true},
		"blank, in the very second":     {metal.DiskBlank, 0, true},
		"blank, in an older boot":       {metal.DiskBlank, time.Second, false},
		"confirmed data, a later boot":  {metal.DiskData, -time.Hour, false},
		"confirmed data, an older boot": {metal.DiskData, time.Second, false},
	} {
		w := ready()
		r := w.record()
		w.o.Inventory.Disks[0].Contents = c.contents
		r.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: metav1.NewTime(r.Boot.StartedAt.Add(c.since))}
		w.o.Power.PinSeen, w.o.Power.Reason = "pin", reasons.BMCAnswers
		p := lifecycle.Decide(w.o)
		if got := p.Record != nil && p.Record.Unverified == nil; got != c.trusted || got != p.Granted {
			t.Errorf("%s: trusted %v, granted %v", name, got, p.Granted)
		}
		if c.trusted && (p.Record.BMCPin == nil || p.Record.BMCPin.SHA256 != "pin" || p.Record.Acceptance.RequestID != "" || p.Record.Acceptance.Level != metal.WipeClear) {
			t.Errorf("%s: %+v", name, p.Record)
		}
	}
}

// TestLevels: a receipt counts from the granted level upwards.
func TestLevels(t *testing.T) {
	strength := []metal.WipeLevel{"", metal.WipeQuick, metal.WipeClear, metal.WipePurge}
	for g, granted := range strength[1:] {
		for n, reached := range strength {
			w := ready()
			w.record().Wipe.Level = granted
			_ = receipt(w, nil, nil)
			for i := range w.record().Wipe.Receipt.Disks {
				w.record().Wipe.Receipt.Disks[i].Reached, w.record().Wipe.Receipt.Disks[i].BlocksRead = reached, 1
			}
			p, task := lifecycle.Decide(w.o), lifecycle.HandOut(w.o, lifecycle.Caller{BootID: "n1", Key: "k1"})
			if good := task.Kind == lifecycle.TaskPowerOff; good != (n >= g+1) || good == (p.Record != nil && p.Record.Quarantine != nil) {
				t.Errorf("%q for %q: %+v", reached, granted, task)
			}
		}
	}
}

// TestSerials: a failing disk is named by its serial number, or by its WWID, and only five are.
func TestSerials(t *testing.T) {
	w := ready()
	w.record().Wipe.Disks = nil
	for _, n := range strings.Split("abcdefg", "") {
		w.record().Wipe.Disks = append(w.record().Wipe.Disks, metal.DiskID{WWID: "w-" + n})
	}
	w.record().Wipe.Receipt = &metal.WipeReceipt{Generation: 1}
	m := lifecycle.Decide(w.o).Record.Quarantine.Message
	if !strings.Contains(m, "disk w-e: the receipt does not name it and 2 more") || strings.Contains(m, "w-f") {
		t.Error(m)
	}
	w.record().Wipe.Disks = w.record().Wipe.Disks[:5]
	if m := lifecycle.Decide(w.o).Record.Quarantine.Message; strings.Contains(m, "more") || !strings.Contains(m, "w-e") {
		t.Error(m)
	}
}

// TestDiskStatus: what a person sees of each disk before he says yes.
func TestDiskStatus(t *testing.T) {
	w := newWorld()
	w.o.Server.Spec.IgnoredDisks = []metal.DiskSelector{{WWID: "w-u"}}
	w.o.Inventory = &metal.ServerInventorySpec{Disks: []metal.Disk{
		{Name: "nvme0n1", Transport: "nvme", WWID: "w-a", Serial: "S-a", SizeBytes: 1e12, Model: "Fast", Contents: metal.DiskData},
		{Name: "sda", Transport: "usb", WWID: "w-u", Serial: "S-u", SizeBytes: 8e9, Model: strings.Repeat("m", 300)},
	}}
	got := lifecycle.Decide(w.o).Disks
	want := []metal.DiskStatus{
		{DiskID: metal.DiskID{WWID: "w-a", Serial: "S-a"}, Name: "nvme0n1", Description: "nvme 1 TB Fast", Contents: metal.DiskData, Verdict: metal.DiskOwn, NeedsConfirmation: true},
		{DiskID: metal.DiskID{WWID: "w-u", Serial: "S-u"}, Name: "sda", Description: "usb 8 GB " + strings.Repeat("m", 181), Verdict: metal.DiskIgnored, Reason: "named in spec.ignoredDisks"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
