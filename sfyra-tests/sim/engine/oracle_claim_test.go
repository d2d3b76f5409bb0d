package engine_test

import (
	"time"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/lifecycle"
	"ingot.dev/ingot/sfyra-tests/sim/engine"
)

// moveAnnotation is clusterctl's.
const moveAnnotation = "clusterctl.cluster.x-k8s.io/delete-for-move"

// bound says that both sides of a binding were seen.
func bound(s *metal.Server) bool {
	r := recordOf(s)
	return r.Claim != nil && r.Claim.BoundAt != nil
}

// wreckageOfClaims breaks the rules about claims, one after the other.
var wreckageOfClaims = []broken{
	{name: "an installed system is forgotten once its machine was off", invariant: "I9", kinds: engine.SetOf(engine.Claims, engine.PowerLoss), sabotage: engine.Sabotage{
		Server: amnesia(),
	}},
	{name: "a missing claim is a release", invariant: "I10", kinds: engine.SetOf(engine.Claims, engine.Forced), sabotage: engine.Sabotage{Ghosts: true}},
	{name: "a moved claim is a release", invariant: "I10", kinds: engine.SetOf(engine.Claims, engine.Moves), sabotage: engine.Sabotage{Claim: func(c *metal.ServerClaim) {
		if _, moving := c.Annotations[moveAnnotation]; moving {
			now := c.CreationTimestamp
			c.Annotations, c.DeletionTimestamp = nil, &now
		}
	}}},
	{name: "off is read when a release is there", invariant: "I10", kinds: engine.SetOf(engine.Claims, engine.Releases, engine.DeafSystems), sabotage: engine.Sabotage{
		Reading: func(s *metal.Server, r *lifecycle.PowerReading) {
			if f := recordOf(s).Release; f != nil && f.OffAt == nil {
				r.State, r.Reason, r.At = metal.PowerOff, reasons.BMCAnswers, f.At.Add(2*time.Second)
			}
		},
	}},
	{name: "a claim lets go of a server that runs it", invariant: "I10", kinds: engine.SetOf(engine.Claims, engine.Releases), sabotage: engine.Sabotage{ForClaims: func(s *metal.Server) {
		if bound(s) {
			s.Spec.Record.Claim = nil
		}
	}}},
	{name: "claims name other bindings than their servers", invariant: "I11", kinds: engine.SetOf(engine.Claims, engine.Crash, engine.Timeouts), sabotage: engine.Sabotage{ForClaims: func(s *metal.Server) {
		if r := recordOf(s); r.Claim != nil {
			r.Claim.BindingID = "x" + r.Claim.BindingID
		}
	}}},
	{name: "every call for a config is the first", invariant: "I12", kinds: engine.SetOf(engine.Claims, engine.Thieves), sabotage: engine.Sabotage{ForConfigs: func(s *metal.Server) {
		if b := recordOf(s).Boot; b != nil {
			b.Config = nil
		}
	}}},
	{name: "a claim is overlooked", invariant: "I13", kinds: engine.SetOf(engine.Claims), sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if r := recordOf(s); bound(s) && r.Installed != nil && r.Installed.RunningAt != nil {
			r.Claim, r.Wipe = nil, nil
			r.Boot.Attempt = 1
		}
	}}},
	{name: "what other replicas hear is overlooked", invariant: "I13", kinds: engine.SetOf(engine.Claims, engine.Reboot, engine.Impostor, engine.LostReceipts), servers: 8, sabotage: engine.Sabotage{Server: func(s *metal.Server) {
		if i := recordOf(s).Installed; i != nil {
			i.HeardAt = nil
		}
	}}},
	{name: "no server is ever free", invariant: "L1", kinds: engine.SetOf(engine.Claims), sabotage: engine.Sabotage{ForClaims: func(s *metal.Server) {
		s.Status.Conditions = nil
	}}},
}

// amnesia forgets that a system was installed, once its machine read off.
func amnesia() func(*metal.Server) {
	off := map[string]bool{}
	return func(s *metal.Server) {
		if !bound(s) || s.Spec.Record.Installed == nil {
			return
		}
		id := s.Spec.Record.Claim.BindingID
		if p := s.Status.Power; p != nil && p.State == metal.PowerOff {
			off[id] = true
		}
		if off[id] {
			s.Spec.Record.Installed = nil
		}
	}
}
