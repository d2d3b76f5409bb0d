package bootserver

import (
	"context"
	"regexp"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// Bounds of a report. Longer lists are refused as a whole: a pxe-server of ours never sends them.
const (
	maxEvents   = 256
	maxStages   = 16
	maxConflict = 16
	maxNetworks = 64
	// maxSkew is how far a pxe-server's clock may be from ours before it is corrected, or, when it does not tell its time, stages are stamped with ours.
	maxSkew = 10 * time.Minute
	// maxDelay is how late a stage may be told of: a site may be isolated for as long.
	maxDelay = 31 * 24 * time.Hour
	// lateAfter is how old the news of a boot may be to count as one that happens now.
	lateAfter = 2 * time.Minute
)

var (
	wordForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
	targets  = []metal.BootTarget{metal.BootTargetAgent, metal.BootTargetOS, metal.BootTargetLocalDisk, metal.BootTargetIdle, metal.BootTargetNoAnswer}
	firmware = []string{"uefi-pxe", "uefi-http", "bios-pxe"}
	stages   = []string{"DHCP", "FirstStage", "Script", "Kernel", "Initramfs", "Loaded"}
)

// Report takes what a pxe-server saw into the timelines, and ends the boots whose script two addresses asked for. While that cannot be written the
// report is not taken: the pxe-server sends it again. One that cannot be ended keeps no other alive.
func (s *Server) Report(ctx context.Context, r *protocol.ReportRequest) (*protocol.ReportResponse, error) {
	if len(r.GetEvents()) > maxEvents || len(r.GetAssets()) > boot.MaxFiles || len(r.GetNetworks()) > maxNetworks {
		return nil, status.Errorf(codes.InvalidArgument, "more than %d events, %d files or %d networks in one report", maxEvents, boot.MaxFiles, maxNetworks)
	}
	own, err := s.scope(ctx)
	if err != nil {
		return nil, err
	}
	s.files(ctx, r.GetAssets())
	s.networks(ctx, r.GetNetworks())
	failed := false
	told := report{Server: s, own: own, clock: clock{now: s.cfg.Now()}}
	if sent := r.GetSentAtMicros(); sent != 0 {
		told.clock.sent = time.UnixMicro(sent)
	}
	for _, e := range r.GetEvents() {
		told.event(ctx, e)
		if err := told.second(ctx, e); err != nil {
			s.cfg.Log.Error(err, "Ending an expected boot that two addresses asked for", "server", e.GetServer(), "bootID", e.GetBootId())
			failed = true
		}
	}
	if failed {
		return nil, status.Error(codes.Unavailable, "the controller cannot write its servers: try again")
	}
	s.counts.reports.Inc()
	return &protocol.ReportResponse{}, nil
}

// report is one report of a pxe-server.
type report struct {
	*Server
	own   scope
	clock clock
}

// second voids the boot of an event that tells of a second source.
func (s *report) second(ctx context.Context, e *protocol.BootEvent) error {
	if !e.GetSecondSource() || !wordForm.MatchString(e.GetBootId()) || len(s.known(ctx, []string{e.GetServer()})) == 0 {
		return nil
	}
	return s.cfg.Void(ctx, e.GetServer(), e.GetBootId())
}

// event takes one event in as far as it makes sense.
func (s *report) event(ctx context.Context, e *protocol.BootEvent) {
	if known := s.known(ctx, e.GetConflict()); len(known) > 1 {
		s.cfg.Sightings.Conflict(known)
	}
	server := e.GetServer()
	if metal.BootTarget(e.GetTarget()) == metal.BootTargetLocalDisk && server != "" && len(s.known(ctx, []string{server})) > 0 {
		if !s.late(e) { // what a machine did while its site was isolated says nothing of how it fares now
			s.cfg.Sightings.LocalBoot(server)
		}
		s.cfg.Sightings.After(server, s.restart(e)...)
	}
	s.unserved(ctx, e)
	if !wordForm.MatchString(e.GetBootId()) || server != "" && len(s.known(ctx, []string{server})) == 0 {
		return
	}
	b := metal.BootTimeline{ID: e.GetBootId()}
	if t := metal.BootTarget(e.GetTarget()); slices.Contains(targets, t) {
		b.Target = t
	}
	if slices.Contains(firmware, e.GetFirmware()) {
		b.Firmware = e.GetFirmware()
	}
	for _, st := range e.GetStages()[:min(len(e.GetStages()), maxStages)] {
		if slices.Contains(stages, st.GetStage()) {
			b.Stages = append(b.Stages, metal.BootStage{Stage: st.GetStage(), At: s.clock.stamp(st.GetAtMicros())})
		}
	}
	s.cfg.Sightings.Boot(server, b)
}

// unserved notes whether a Server's machine gets the boot that was chosen for it. News of before say nothing of now.
func (s *report) unserved(ctx context.Context, e *protocol.BootEvent) {
	if e.GetServer() == "" || s.late(e) || len(s.known(ctx, []string{e.GetServer()})) == 0 {
		return
	}
	reason, arch := "", ""
	if e.GetUnserved() == reasons.AgentImageMissing && (e.GetArch() == boot.AMD64 || e.GetArch() == boot.ARM64) {
		reason, arch = reasons.AgentImageMissing, e.GetArch()
	}
	s.cfg.Sightings.Unserved(e.GetServer(), reason, arch)
}

// restart are the stages of a machine that netbooted and got its own disk: they belong to the boot that came before, which put its system there.
func (s *report) restart(e *protocol.BootEvent) (out []metal.BootStage) {
	names := map[string]string{metal.StageDHCP: metal.StageRestarted, metal.StageScript: metal.StageLocalDisk}
	for _, st := range e.GetStages()[:min(len(e.GetStages()), maxStages)] {
		if name, ok := names[st.GetStage()]; ok {
			out = append(out, metal.BootStage{Stage: name, At: s.clock.stamp(st.GetAtMicros())})
		}
	}
	return out
}

// late says that an event tells of a boot that is over: it waited while the controller could not be heard.
func (s *report) late(e *protocol.BootEvent) bool {
	for _, st := range e.GetStages()[:min(len(e.GetStages()), maxStages)] {
		if st.GetStage() == metal.StageScript {
			return s.clock.now.Sub(s.clock.stamp(st.GetAtMicros()).Time) > lateAfter
		}
	}
	return false
}

// clock is a pxe-server's beside ours.
type clock struct {
	now time.Time
	// sent is what the pxe-server's showed when it sent the report; zero when it did not tell.
	sent time.Time
}

// stamp believes a pxe-server's clock as long as it is near ours, and else what it says of how long ago something was.
func (c clock) stamp(micros int64) metav1.MicroTime {
	at, earliest := time.UnixMicro(micros), c.now.Add(-maxSkew)
	if !c.sent.IsZero() {
		earliest = c.now.Add(-maxDelay)
		if off := c.now.Sub(c.sent); off > maxSkew || off < -maxSkew {
			at = at.Add(off)
		}
	}
	if at.Before(earliest) || at.After(c.now.Add(maxSkew)) {
		at = c.now
	}
	return metav1.NewMicroTime(at.UTC())
}

// known keeps the names that are Servers of the caller's site: memory is not spent on made-up ones, and no site tells of another's.
func (s *report) known(ctx context.Context, names []string) []string {
	var out []string
	for _, n := range names[:min(len(names), maxConflict)] {
		var server metal.Server
		if len(n) > 63 || s.cfg.Reader.Get(ctx, types.NamespacedName{Name: n}, &server) != nil {
			continue
		}
		if !s.own.covers(&server) {
			s.refuse(n)
			continue
		}
		out = append(out, n)
	}
	return out
}

// refuse notes that a site told of a Server of another one. The rest of its report counts: a Server may have got another site while the report waited.
func (s *report) refuse(server string) {
	s.counts.foreign.Inc()
	if s.lines.AllowN(s.clock.now, 1) {
		s.cfg.Log.Info("Refusing what a site tells of a Server of another one: see spec.location.site", "site", s.own.site, "server", server)
	}
}
