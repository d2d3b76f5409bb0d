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
	"ingot.dev/ingot/pxe-server/boot"
	"ingot.dev/ingot/pxe-server/protocol"
)

// Bounds of a report. Longer lists are refused as a whole: a pxe-server of ours never sends them.
const (
	maxEvents   = 256
	maxStages   = 16
	maxConflict = 16
	maxNetworks = 64
	// maxSkew is how far a pxe-server's clock may be from ours; stages outside are stamped with our time.
	maxSkew = 10 * time.Minute
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
	s.files(ctx, r.GetAssets())
	s.networks(ctx, r.GetNetworks())
	failed := false
	for _, e := range r.GetEvents() {
		s.event(ctx, e)
		if err := s.second(ctx, e); err != nil {
			s.cfg.Log.Error(err, "Ending an expected boot that two addresses asked for", "server", e.GetServer(), "bootID", e.GetBootId())
			failed = true
		}
	}
	if failed {
		return nil, status.Error(codes.Unavailable, "the controller cannot write its servers: try again")
	}
	return &protocol.ReportResponse{}, nil
}

// second voids the boot of an event that tells of a second source.
func (s *Server) second(ctx context.Context, e *protocol.BootEvent) error {
	if !e.GetSecondSource() || !wordForm.MatchString(e.GetBootId()) || len(s.known(ctx, []string{e.GetServer()})) == 0 {
		return nil
	}
	return s.cfg.Void(ctx, e.GetServer(), e.GetBootId())
}

// event takes one event in as far as it makes sense.
func (s *Server) event(ctx context.Context, e *protocol.BootEvent) {
	if known := s.known(ctx, e.GetConflict()); len(known) > 1 {
		s.cfg.Sightings.Conflict(known)
	}
	server := e.GetServer()
	if metal.BootTarget(e.GetTarget()) == metal.BootTargetLocalDisk && server != "" && len(s.known(ctx, []string{server})) > 0 {
		s.cfg.Sightings.LocalBoot(server)
		s.cfg.Sightings.After(server, s.restart(e)...)
	}
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
			b.Stages = append(b.Stages, metal.BootStage{Stage: st.GetStage(), At: s.stamp(st.GetAtMicros())})
		}
	}
	s.cfg.Sightings.Boot(server, b)
}

// restart are the stages of a machine that netbooted and got its own disk: they belong to the boot that came before, which put its system there.
func (s *Server) restart(e *protocol.BootEvent) (out []metal.BootStage) {
	names := map[string]string{metal.StageDHCP: metal.StageRestarted, metal.StageScript: metal.StageLocalDisk}
	for _, st := range e.GetStages()[:min(len(e.GetStages()), maxStages)] {
		if name, ok := names[st.GetStage()]; ok {
			out = append(out, metal.BootStage{Stage: name, At: s.stamp(st.GetAtMicros())})
		}
	}
	return out
}

// stamp believes a pxe-server's clock as long as it is near ours.
func (s *Server) stamp(micros int64) metav1.MicroTime {
	now := s.cfg.Now()
	at := time.UnixMicro(micros)
	if d := now.Sub(at); d > maxSkew || d < -maxSkew {
		at = now
	}
	return metav1.NewMicroTime(at.UTC())
}

// known keeps the names that are Servers: memory is not spent on made-up ones.
func (s *Server) known(ctx context.Context, names []string) []string {
	var out []string
	for _, n := range names[:min(len(names), maxConflict)] {
		var server metal.Server
		if len(n) <= 63 && s.cfg.Reader.Get(ctx, types.NamespacedName{Name: n}, &server) == nil {
			out = append(out, n)
		}
	}
	return out
}
