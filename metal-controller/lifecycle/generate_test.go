package lifecycle_test

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// Every word has a few values, so that they meet often.
var (
	ids      = rapid.SampledFrom([]string{"r1", "r2"})
	bootIDs  = rapid.SampledFrom([]string{"b1", "b1", "b1", "b2", ""})
	keys     = rapid.SampledFrom([]string{"k1", "k1", "k1", "k2", ""})
	wipeIDs  = rapid.SampledFrom([]string{"w1", "w1", "w2"})
	levels   = rapid.SampledFrom([]metal.WipeLevel{metal.WipeClear, metal.WipeClear, metal.WipeQuick, metal.WipePurge, "", "?"})
	wwids    = rapid.SampledFrom([]string{"w-a", "w-b", "w-c", ""})
	contents = rapid.SampledFrom([]metal.DiskContents{metal.DiskBlank, metal.DiskBlank, metal.DiskData, metal.DiskBootable, metal.DiskUnreadable, "?", ""})
	yes      = rapid.Bool()
)

// often is true three times of four.
var often = rapid.Custom(func(t *rapid.T) bool { return rapid.IntRange(0, 3).Draw(t, "often") > 0 })

// seldom is true once of eight times.
var seldom = rapid.Custom(func(t *rapid.T) bool { return rapid.IntRange(0, 7).Draw(t, "seldom") == 7 })

// offsets from the epoch: around every limit, and absurd.
var offsets = rapid.OneOf(
	rapid.SampledFrom([]time.Duration{
		0, -time.Second, time.Second, -10 * time.Second, -15 * time.Second, -14 * time.Second, -time.Minute, -5 * time.Minute, -10 * time.Minute,
		-11 * time.Minute, -25 * time.Minute, -time.Hour, -2 * time.Hour, 10 * time.Minute, 11 * time.Minute, 25 * time.Minute, 2 * time.Hour,
	}),
	rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64Range(-1e13, 1e13).Draw(t, "offset")) }),
)

func times(t *rapid.T, name string) metav1.Time {
	return metav1.NewTime(epoch.Add(offsets.Draw(t, name)).Truncate(time.Second))
}

// observations draws any observation, sensible or not.
func observations() *rapid.Generator[lifecycle.Observation] {
	return rapid.Custom(func(t *rapid.T) lifecycle.Observation {
		o := lifecycle.Observation{
			Now:          epoch,
			Installation: rapid.SampledFrom([]string{"here", "here", "here", "here", "here", "here", ""}).Draw(t, "installation"),
			Server:       servers().Draw(t, "server"),
			Power:        readings().Draw(t, "power"),
			NewID:        "new",
			Budget:       lifecycle.Budget{Granted: rapid.IntRange(0, 3).Draw(t, "granted"), Limit: rapid.IntRange(0, 5).Draw(t, "limit")},
			DryRun:       seldom.Draw(t, "dryRun"),
			Erased:       rapid.SampledFrom([]string{"", "w1"}).Draw(t, "erased"),
		}
		if often.Draw(t, "registered") {
			o.Inventory = inventories().Draw(t, "inventory")
		}
		if yes.Draw(t, "agent") {
			o.Agent = &lifecycle.AgentSession{BootID: "b1"}
		}
		if seldom.Draw(t, "conflicting") {
			o.ConflictsWith = rapid.SliceOfN(rapid.SampledFrom([]string{"s1", "s2", "s3"}), 0, 3).Draw(t, "conflict")
		}
		o.AgentHeard = times(t, "agentHeard").Time
		o.Claim, o.Warm = claimViews().Draw(t, "claimView"), seldom.Draw(t, "warm")
		if seldom.Draw(t, "shared") {
			o.Elsewhere = map[string]string{"w-a": "s2"}
		}
		return o
	})
}

// claimViews draws claims that are mostly there and bound.
func claimViews() *rapid.Generator[lifecycle.ClaimView] {
	return rapid.Custom(func(t *rapid.T) lifecycle.ClaimView {
		c := lifecycle.ClaimView{
			Found: often.Draw(t, "claimFound"), Bound: often.Draw(t, "claimBound"), Deleting: seldom.Draw(t, "claimDeleting"), Moving: seldom.Draw(t, "claimMoving"),
			Alive: times(t, "alive").Time, Watched: times(t, "watched").Time, LocalBoots: rapid.IntRange(0, 3).Draw(t, "localBoots"),
		}
		c.BoundElsewhere = !c.Bound && yes.Draw(t, "claimElsewhere")
		if seldom.Draw(t, "clusterHeld") {
			c.ClusterHeld = "The Cluster prod/c is paused."
		}
		if seldom.Draw(t, "claimNotReady") {
			c.NotReady, c.NotReadyMessage = reasons.ConfigMissing, "An operator must create the Secret."
		}
		return c
	})
}

func inventories() *rapid.Generator[*metal.ServerInventorySpec] {
	return rapid.Custom(func(t *rapid.T) *metal.ServerInventorySpec {
		i := &metal.ServerInventorySpec{Disks: rapid.SliceOfN(disks(), 0, 3).Draw(t, "disks")}
		i.Agent = metal.AgentInfo{BootID: bootIDs.Draw(t, "reportedBy"), Proven: rapid.SampledFrom([]int32{1, 1, 1, 0}).Draw(t, "proven")}
		return i
	})
}

func disks() *rapid.Generator[metal.Disk] {
	transports := rapid.SampledFrom([]string{"nvme", "sata", "sas", "scsi", "raid", "mmc", "virtio", "nvme", "sata", "usb", "iscsi", "fc", "unknown", ""})
	return rapid.Custom(func(t *rapid.T) metal.Disk {
		d := metal.Disk{
			Name: "sda", SizeBytes: 1e12, WWID: wwids.Draw(t, "wwid"), Transport: transports.Draw(t, "transport"),
			Contents: contents.Draw(t, "contents"), Removable: seldom.Draw(t, "removable"), ReadOnly: seldom.Draw(t, "readOnly"),
		}
		d.Serial = d.WWID
		return d
	})
}

func diskIDs() *rapid.Generator[[]metal.DiskID] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) metal.DiskID {
		w := wwids.Draw(t, "wwid")
		return metal.DiskID{WWID: w, Serial: rapid.SampledFrom([]string{w, w, "", "other"}).Draw(t, "serial")}
	}), 0, 3)
}

func servers() *rapid.Generator[*metal.Server] {
	return rapid.Custom(func(t *rapid.T) *metal.Server {
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: "s1"}}
		s.Spec.Accepted, s.Spec.Cordoned = often.Draw(t, "accepted"), seldom.Draw(t, "cordoned")
		if seldom.Draw(t, "paused") {
			s.Annotations = map[string]string{lifecycle.PausedAnnotation: ""}
		}
		if often.Draw(t, "bmc") {
			s.Spec.BMC = &metal.BMC{Endpoint: "192.0.2.1", CredentialsSecret: "secret"}
		}
		requests(t, &s.Spec)
		if often.Draw(t, "recorded") {
			s.Spec.Record = records().Draw(t, "record")
		}
		s.Status = statuses().Draw(t, "status")
		return s
	})
}

func requests(t *rapid.T, spec *metal.ServerSpec) {
	if yes.Draw(t, "requested") {
		action := rapid.SampledFrom([]metal.PowerAction{"On", "Off", "Cycle", "Explode"}).Draw(t, "action")
		spec.PowerRequest = &metal.PowerRequest{ID: ids.Draw(t, "request"), Action: action, RequestedAt: times(t, "requestedAt")}
	}
	if yes.Draw(t, "gesture") {
		spec.AcceptRequest = &metal.AcceptRequest{ID: ids.Draw(t, "gestureID"), Level: levels.Draw(t, "level"), WipeData: diskIDs().Draw(t, "wipeData"), RequestedAt: times(t, "gestureAt")}
	}
	if seldom.Draw(t, "quarantineRequested") {
		action := rapid.SampledFrom([]metal.QuarantineAction{metal.QuarantineSet, metal.QuarantineLift, "?"}).Draw(t, "quarantineAction")
		spec.QuarantineRequest = &metal.QuarantineRequest{ID: ids.Draw(t, "quarantineID"), Action: action, Message: "m", RequestedAt: times(t, "quarantineAt")}
	}
	if seldom.Draw(t, "releaseRequested") {
		spec.ReleaseRequest = &metal.ReleaseRequest{ID: ids.Draw(t, "releaseID"), BindingID: rapid.SampledFrom([]string{"b", "b", "old"}).Draw(t, "releaseBinding"), ConfirmPoweredOff: often.Draw(t, "confirmed"), RequestedAt: times(t, "releaseAt")}
	}
	if seldom.Draw(t, "ignoring") {
		selectors := []metal.DiskSelector{{}, {WWID: "w-a"}, {Serial: "w-b"}, {Transport: "usb"}, {Transport: "nvme", WWID: "w-a"}}
		spec.IgnoredDisks = rapid.SliceOfN(rapid.SampledFrom(selectors), 0, 2).Draw(t, "ignored")
	}
}

func statuses() *rapid.Generator[metal.ServerStatus] {
	return rapid.Custom(func(t *rapid.T) (s metal.ServerStatus) {
		if yes.Draw(t, "pending") {
			kind := rapid.SampledFrom([]string{"EnsurePowerOn", "EnsurePowerOnFromNetwork", "EnsurePowerOff", "?"}).Draw(t, "kind")
			s.PendingAction = &metal.PendingAction{ID: rapid.SampledFrom([]string{"r1", "b1"}).Draw(t, "pendingID"), Kind: kind, Since: times(t, "since")}
		}
		if yes.Draw(t, "shown") {
			at := times(t, "shownAt")
			s.Power = &metal.PowerStatus{State: rapid.SampledFrom([]metal.PowerState{"On", "Off", "Unknown"}).Draw(t, "state"), ObservedAt: &at}
		}
		if yes.Draw(t, "progress") {
			s.Wipe = &metal.WipeStatus{ID: wipeIDs.Draw(t, "progressOf"), Generation: rapid.Int64Range(1, 2).Draw(t, "progressGeneration"), UpdatedAt: times(t, "updatedAt")}
		}
		return s
	})
}

func records() *rapid.Generator[*metal.ServerRecord] {
	return rapid.Custom(func(t *rapid.T) *metal.ServerRecord {
		r := &metal.ServerRecord{AcceptRequest: rapid.SampledFrom([]string{"", "r1"}).Draw(t, "acceptDone"), QuarantineRequest: rapid.SampledFrom([]string{"", "r1"}).Draw(t, "quarantineDone")}
		if often.Draw(t, "managed") {
			r.ManagedBy = &metal.ManagedBy{Installation: rapid.SampledFrom([]string{"here", "here", "here", "elsewhere"}).Draw(t, "manager"), Epoch: 1}
		}
		if yes.Draw(t, "powered") {
			steps := []metal.PowerStep{"SwitchingOff", "SwitchingOn", "Done", "Done", "Expired", "Failed", "?"}
			r.Power = &metal.PowerRecord{ID: ids.Draw(t, "recordID"), Step: rapid.SampledFrom(steps).Draw(t, "step"), At: times(t, "stepAt")}
		}
		if often.Draw(t, "acceptance") {
			r.Acceptance = &metal.AcceptanceRecord{At: times(t, "acceptedAt"), Level: levels.Draw(t, "acceptedLevel"), Disks: diskIDs().Draw(t, "acceptedDisks")}
		}
		if often.Draw(t, "booted") {
			r.Boot = bootRecords().Draw(t, "boot")
		}
		if yes.Draw(t, "granted") {
			r.Wipe = wipeRecords().Draw(t, "wipe")
		}
		if yes.Draw(t, "agentWaits") {
			r.Agent = &metal.AgentRecord{BootID: bootIDs.Draw(t, "agentBoot"), Key: keys.Draw(t, "agentKey"), HeardAt: times(t, "agentHeardAt")}
		}
		obstacles(t, r)
		return r
	})
}

// obstacles are what keeps a server from being touched.
func obstacles(t *rapid.T, r *metal.ServerRecord) {
	if seldom.Draw(t, "claimed") {
		claims(t, r)
	}
	if r.Release == nil && seldom.Draw(t, "releasedBefore") {
		r.Release = releaseRecords(t)
		off := times(t, "offAt")
		r.Release.OffAt, r.Release.Proof = &off, metal.ProofPowerOff
	}
	if seldom.Draw(t, "quarantined") {
		reason := rapid.SampledFrom([]string{reasons.WipeFailed, reasons.QuarantineByPerson}).Draw(t, "quarantineReason")
		r.Quarantine = &metal.QuarantineRecord{Reason: reason, Message: rapid.SampledFrom([]string{"", "m."}).Draw(t, "why"), At: times(t, "quarantinedAt")}
	}
	if seldom.Draw(t, "unverified") {
		r.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: times(t, "unverifiedSince")}
	}
}

// claims draws a binding with what came of it.
func claims(t *rapid.T, r *metal.ServerRecord) {
	r.Claim = &metal.ClaimRecord{Namespace: "prod", Name: "c1", BindingID: "b", At: times(t, "claimedServerAt"), WipeLevel: levels.Draw(t, "releaseLevel")}
	if often.Draw(t, "boundBoth") {
		at := times(t, "boundAt")
		r.Claim.BoundAt = &at
	}
	if yes.Draw(t, "wasInstalled") {
		r.Installed = &metal.InstalledRecord{BootID: bootIDs.Draw(t, "installedBy"), At: times(t, "installedAt"), BindingID: rapid.SampledFrom([]string{"b", "b", "old"}).Draw(t, "installedFor")}
		if yes.Draw(t, "ran") {
			at := times(t, "runningAt")
			r.Installed.RunningAt, r.Installed.EverySeconds = &at, rapid.SampledFrom([]int32{0, 10}).Draw(t, "every")
		}
	}
	if seldom.Draw(t, "releasing") {
		r.Release = releaseRecords(t)
	}
}

func releaseRecords(t *rapid.T) *metal.ReleaseRecord {
	return &metal.ReleaseRecord{Namespace: "prod", Name: "c1", BindingID: "b", At: times(t, "releasedAt"), Level: levels.Draw(t, "releasedLevel"), Disks: diskIDs().Draw(t, "releasedDisks")}
}

func bootRecords() *rapid.Generator[*metal.BootRecord] {
	phases := rapid.SampledFrom([]metal.BootPhase{"SwitchingOff", "SwitchingOn", "Restarting", "Booting", "Claimed", "Claimed", "Claimed", "Void", "?"})
	return rapid.Custom(func(t *rapid.T) *metal.BootRecord {
		b := &metal.BootRecord{
			ID: bootIDs.Draw(t, "bootID"), Phase: phases.Draw(t, "phase"), Attempt: rapid.Int32Range(0, 4).Draw(t, "attempt"),
			StartedAt: times(t, "startedAt"), At: times(t, "phaseAt"), Deadline: times(t, "deadline"),
			Reason: rapid.SampledFrom([]string{"", reasons.BootVoided, reasons.BootNotHonored, reasons.ConfigContested, reasons.DiskBootFailed}).Draw(t, "voidReason"),
		}
		if seldom.Draw(t, "acknowledged") && b.Phase != metal.BootRestarting {
			b.RestartedBy = keys.Draw(t, "restartedBy")
		}
		if seldom.Draw(t, "forBinding") {
			b.BindingID, b.Target = "b", rapid.SampledFrom([]metal.BootTarget{metal.BootTargetOS, metal.BootTargetOS, metal.BootTargetAgent}).Draw(t, "bootTarget")
		}
		if b.Phase == metal.BootClaimed && !seldom.Draw(t, "halfClaimed") {
			at := times(t, "claimedAt")
			b.Claimant, b.ClaimedAt = keys.Draw(t, "claimant"), &at
		}
		return b
	})
}

func wipeRecords() *rapid.Generator[*metal.WipeRecord] {
	return rapid.Custom(func(t *rapid.T) *metal.WipeRecord {
		w := &metal.WipeRecord{
			ID: wipeIDs.Draw(t, "wipeID"), Level: levels.Draw(t, "wipeLevel"), Disks: diskIDs().Draw(t, "wipeDisks"),
			GrantedAt: times(t, "grantedAt"), Generation: rapid.Int64Range(1, 2).Draw(t, "generation"), BootID: bootIDs.Draw(t, "wipeBoot"),
		}
		if yes.Draw(t, "answered") {
			w.Receipt = &metal.WipeReceipt{Generation: rapid.Int64Range(1, 2).Draw(t, "receiptGeneration"), At: times(t, "receiptAt"), Disks: receiptRows(t, w.Disks)}
		}
		if seldom.Draw(t, "verified") {
			at := times(t, "verifiedAt")
			w.VerifiedAt = &at
		}
		return w
	})
}

// receiptRows are good for most of the disks.
func receiptRows(t *rapid.T, disks []metal.DiskID) (rows []metal.DiskReceipt) {
	for _, d := range disks {
		row := metal.DiskReceipt{DiskID: d, Reached: metal.WipePurge, BlocksRead: 1024}
		switch rapid.IntRange(0, 15).Draw(t, "row") {
		case 12:
			row.Reached = levels.Draw(t, "reached")
		case 13:
			row.BlocksRead = rapid.Int64Range(-1, 0).Draw(t, "blocksRead")
		case 14:
			row.Error = "it lied"
		case 15:
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

func readings() *rapid.Generator[lifecycle.PowerReading] {
	classes := []string{"", reasons.BMCAnswers, reasons.BMCAnswers, reasons.BMCAnswers, reasons.BMCAnswers, reasons.BMCNotAsked, reasons.BMCUnreachable, reasons.BMCUnauthorized, reasons.BMCLied, reasons.BMCCertificateChanged, reasons.CredentialsMissing, "?"}
	commands := []string{"", "", "r1.SwitchingOn.x", "r1.SwitchingOff.x", "r2.SwitchingOff.y", "b1.SwitchingOff.x", "b1.SwitchingOn.x"}
	return rapid.Custom(func(t *rapid.T) lifecycle.PowerReading {
		return lifecycle.PowerReading{
			State: rapid.SampledFrom([]metal.PowerState{"On", "Off", "Off", "Unknown", ""}).Draw(t, "reading"), At: times(t, "readAt").Time,
			Reason: rapid.SampledFrom(classes).Draw(t, "class"), CommandAt: times(t, "commandAt").Time,
			Pending: rapid.SampledFrom(commands).Draw(t, "planePending"), Done: rapid.SampledFrom(commands).Draw(t, "planeDone"),
			PinSeen: rapid.SampledFrom([]string{"", "pin"}).Draw(t, "pinSeen"),
		}
	})
}

// clone keeps a copy to compare with.
func clone(o lifecycle.Observation) lifecycle.Observation {
	o.Server = o.Server.DeepCopy()
	o.Inventory = o.Inventory.DeepCopy()
	o.ConflictsWith = append([]string(nil), o.ConflictsWith...)
	return o
}
