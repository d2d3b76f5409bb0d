package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/lifecycle"
)

// Purposes of capabilities; see docs/claims.md.
const (
	forConfig = "config"
	forSignal = "signal"
)

var errRefused = errors.New("refused")

// config does what the port for machine configs does: check the capability, let lifecycle judge, write what it says, and only then answer. It returns
// what the config makes; nil when none left.
func (p *process) config(b osBoot, source string) *system {
	verdict := lifecycle.VerdictRefused
	err := p.call(func() error {
		return p.records.Update(background(), b.server, func(s *metal.Server) (record *metal.ServerRecord, err error) {
			digest := p.w.configOf(s)
			r := s.Spec.Record
			if digest == "" || r == nil || r.Boot == nil || !p.w.key.Check(b.token, forConfig, b.server, b.boot, r.Boot.BindingID) {
				return nil, errRefused
			}
			record, verdict = lifecycle.ReleaseConfig(s, b.boot, digest, source, p.clock())
			if verdict != lifecycle.VerdictFirst && verdict != lifecycle.VerdictAgain {
				err = errRefused
			}
			return record, err
		})
	})
	p.w.log(b.server, "%s asks for the config of boot %.6s: %s %s", source, b.boot, verdict, text(err))
	p.w.check.asksConfig(verdict)
	if err != nil {
		return nil
	}
	p.w.check.configLeaves(p, b, source)
	every := time.Duration(2+p.w.hardware.upTo(4)) * time.Minute
	return &system{osBoot: b, signal: p.w.key.Token(forSignal, b.server, b.binding), every: every}
}

// signal does what the port for signals does, and says whether the word was taken.
func (p *process) signal(s *system, g lifecycle.Signal) bool {
	err := p.call(func() error {
		if !p.w.key.Check(s.signal, forSignal, s.server, s.binding) {
			return errRefused
		}
		err := p.records.Update(background(), s.server, func(server *metal.Server) (*metal.ServerRecord, error) {
			record, verdict := lifecycle.TakeSignal(server, s.binding, g, p.clock())
			switch {
			case verdict == lifecycle.VerdictRefused:
				return nil, errRefused
			case verdict == lifecycle.VerdictAgain && g.Phase == lifecycle.PhaseRunning && !p.leads:
				record = lifecycle.Hear(server, p.clock())
			}
			return record, nil
		})
		if err == nil {
			p.seen.Told(s.server)
		}
		return err
	})
	return err == nil
}

// localBoot is what the pxe-server tells of a script for the local disk.
func (p *process) localBoot(server, bootID string) {
	stages := []metal.BootStage{{Stage: "LocalDisk", At: metav1.NewMicroTime(p.clock())}}
	_ = p.call(func() error { // a hint
		p.seen.LocalBoot(server)
		p.seen.Boot(server, metal.BootTimeline{ID: bootID, Target: metal.BootTargetLocalDisk, Stages: stages})
		return nil
	})
}

// conflict is what the pxe-server tells of a machine that several Servers describe.
func (p *process) conflict(servers []string) {
	_ = p.call(func() error { p.seen.Conflict(servers); return nil }) // a hint
}

// configOf is the digest of the machine config of a claimed server; empty when there is none.
func (w *World) configOf(s *metal.Server) string {
	c := recordOf(s).Claim
	if c == nil {
		return ""
	}
	version := w.operator.configs[c.Namespace+"/"+c.Name]
	if version < 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(c.BindingID + strconv.Itoa(version)))
	return hex.EncodeToString(sum[:])
}
