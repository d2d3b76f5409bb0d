package engine_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/metal-controller/reconcilers/server"
	"ingot.dev/ingot/sfyra-tests/sim/engine"
)

// broken is one way to break the product, and the rule that has to notice.
type broken struct {
	name, invariant string
	kinds           engine.Set
	servers         int
	sabotage        engine.Sabotage
}

// claimed says that a record has an agent.
func claimed(s *metal.Server) bool {
	return s.Spec.Record != nil && s.Spec.Record.Boot != nil && s.Spec.Record.Boot.Phase == metal.BootClaimed
}

// goodReceipt answers a wipe as a perfect agent would.
func goodReceipt(w *metal.WipeRecord) *metal.WipeReceipt {
	r := &metal.WipeReceipt{Generation: w.Generation, At: w.GrantedAt}
	for _, d := range w.Disks {
		r.Disks = append(r.Disks, metal.DiskReceipt{DiskID: d, Reached: metal.WipePurge, BlocksRead: 1})
	}
	return r
}

var wreckage = append(wreckageOfClaims, []broken{
	{name: "every disk reads blank", invariant: "I1", sabotage: engine.Sabotage{Inventory: func(i *metal.ServerInventory) {
		for n := range i.Spec.Disks {
			i.Spec.Disks[n].Contents = metal.DiskBlank
		}
	}}},
	{name: "ignored disks are forgotten", invariant: "I1", kinds: engine.SetOf(engine.Ignores), sabotage: engine.Sabotage{
		Server: func(s *metal.Server) { s.Spec.IgnoredDisks = nil },
	}},
	{name: "every disk hangs on SATA", invariant: "I1", kinds: engine.SetOf(engine.ForeignDisks), sabotage: engine.Sabotage{Inventory: func(i *metal.ServerInventory) {
		for n := range i.Spec.Disks {
			i.Spec.Disks[n].Transport, i.Spec.Disks[n].Removable = "sata", false
		}
	}}},
	{name: "a backup counts as the present", invariant: "I1", kinds: engine.SetOf(engine.Restores, engine.Squatters), sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if r := s.Spec.Record; r != nil && r.Unverified != nil {
			r.Unverified = nil
		}
	}}},
	{name: "a generation serves every boot", invariant: "I2", kinds: engine.SetOf(engine.AgentCrash, engine.PowerLoss), sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if w := recordOf(s).Wipe; claimed(s) && w != nil && w.BootID != s.Spec.Record.Boot.ID {
			w.BootID = s.Spec.Record.Boot.ID
			w.Receipt = nil
		}
	}}},
	{name: "receipts come from nowhere", invariant: "I3", sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if w := recordOf(s).Wipe; w != nil && w.Receipt == nil && claimed(s) {
			w.Receipt = goodReceipt(w)
		}
	}, Reading: func(s *metal.Server, r *lifecycle.PowerReading) {
		if claimed(s) && recordOf(s).Wipe != nil {
			r.State, r.Reason, r.CommandAt = metal.PowerOff, reasons.BMCAnswers, time.Time{}
		}
	}}},
	{name: "errors in receipts are overlooked", invariant: "I3", kinds: engine.SetOf(engine.LyingDisks, engine.FailingDisks), sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if w := recordOf(s).Wipe; w != nil && w.Receipt != nil {
			at := w.Receipt.At
			w.Receipt = goodReceipt(w)
			w.Receipt.At = at
		}
	}}},
	{name: "every server is ours", invariant: "I4", kinds: engine.SetOf(engine.Installations), sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if r := s.Spec.Record; r != nil && r.ManagedBy != nil {
			r.ManagedBy.Installation = "here"
		}
	}}},
	{name: "there is no limit", invariant: "I5", servers: 8, sabotage: engine.Sabotage{Replica: func(r *server.Reconciler) {
		r.Limit, _ = server.ParseLimit("1000")
	}}},
	{name: "every server is accepted", invariant: "I6", kinds: engine.SetOf(engine.Unaccept), sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		s.Spec.Accepted = true
		if r := s.Spec.Record; r != nil && r.Acceptance == nil {
			r.Acceptance = &metal.AcceptanceRecord{At: metav1.Now(), RequestID: "x", Level: metal.WipeClear}
		}
	}}},
	{name: "off is read when a receipt is there", invariant: "I7", kinds: engine.SetOf(engine.Impostor, engine.DiskFirst, engine.Hang), sabotage: engine.Sabotage{Reading: func(s *metal.Server, r *lifecycle.PowerReading) {
		if w := recordOf(s).Wipe; w != nil && w.Receipt != nil && r.Reason == reasons.BMCAnswers {
			r.State = metal.PowerOff
		}
	}}},
	{name: "attempts are not counted", invariant: "I8", kinds: engine.SetOf(engine.AgentCrash, engine.PowerLoss, engine.LostReceipts), servers: 8, sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if b := recordOf(s).Boot; b != nil {
			b.Attempt = min(b.Attempt, 1)
		}
	}}},
	{name: "restarts need no word of the agent", invariant: "I15", kinds: engine.SetOf(engine.NoBMC), servers: 6, sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if r := recordOf(s); r.Boot != nil && r.Boot.Phase == metal.BootRestarting && r.Agent != nil {
			r.Boot.Phase, r.Boot.RestartedBy = metal.BootBooting, r.Agent.Key
		}
	}}},
	{name: "accounts need no login", invariant: "I16", kinds: engine.SetOf(engine.Accounts, engine.Impostor), servers: 6, sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if r := recordOf(s); r.BMCAccount != nil && r.BMCAccount.Step == metal.BMCAccountChecking {
			r.BMCAccount.Step = metal.BMCAccountTaking
		}
	}}},
	{name: "the account in use is dropped", invariant: "I16", kinds: engine.SetOf(engine.Accounts), servers: 6, sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if r := recordOf(s); r.BMCAccount != nil && r.BMCAccount.Step == metal.BMCAccountSetting && r.BMCAccount.Using != "" {
			r.BMCAccount.Old, r.BMCAccount.Using = []string{r.BMCAccount.Using}, "ingot-0"
		}
	}}},
	{name: "erase records are lost", invariant: "L1", sabotage: engine.Sabotage{Replica: func(r *server.Reconciler) { r.Eraser = forgetful{} }}},
	{name: "each look writes", invariant: "L2", sabotage: engine.Sabotage{Reading: chatter()}},
}...)

func recordOf(s *metal.Server) *metal.ServerRecord {
	if s.Spec.Record == nil {
		return &metal.ServerRecord{}
	}
	return s.Spec.Record
}

// TestBrokenProductIsNoticed: for every rule there is a product that breaks it, and the oracle says so. Control: the true product does not.
func TestBrokenProductIsNoticed(t *testing.T) {
	for _, b := range wreckage {
		t.Run(b.invariant+" "+b.name, func(t *testing.T) {
			cfg := engine.Config{Enable: b.kinds, Disable: engine.All &^ b.kinds, Servers: b.servers}
			wrecked := cfg
			wrecked.Sabotage = &b.sabotage
			for seed := uint64(1); seed <= 20; seed++ {
				r := engine.Run(seed, wrecked)
				if r.Violation == nil || r.Violation.Invariant != b.invariant {
					continue
				}
				t.Logf("seed %d: %v", seed, r.Violation)
				if r := engine.Run(seed, cfg); r.Violation != nil {
					t.Errorf("control: seed %d: %v", seed, r.Violation)
				}
				return
			}
			t.Errorf("nobody noticed")
		})
	}
}
