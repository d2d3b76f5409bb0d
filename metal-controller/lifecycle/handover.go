package lifecycle

import (
	"net/netip"
	"regexp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// Verdict says what a machine's call for its config, or its signal, came to.
type Verdict string

// The verdicts.
const (
	// VerdictRefused: no such boot or binding, or not now. Nothing changes.
	VerdictRefused Verdict = "Refused"
	// VerdictFirst: it counts, and the record that says so is to be written before the answer.
	VerdictFirst Verdict = "First"
	// VerdictAgain: it counted before, and the same counts again. Nothing changes.
	VerdictAgain Verdict = "Again"
	// VerdictContested: a second address asked for the config of the boot, which is void now for both.
	VerdictContested Verdict = reasons.ConfigContested
	// VerdictChanged: the config is not the one that left before; the boot is void, and the next one gets the new one.
	VerdictChanged Verdict = reasons.ConfigChanged
)

// Phases of a Signal.
const (
	PhaseInstalled = "installed"
	PhaseRunning   = "running"
)

// maxEverySeconds is the longest promise to tell again: a day.
const maxEverySeconds = 86400

// Signal is what an operating system tells with the capability in its config.
type Signal struct {
	// Phase is installed or running.
	Phase string
	// BootID is the boot that installed it; only installed names one.
	BootID string
	// EverySeconds is how often it promises to tell that it runs; 0 promises nothing.
	EverySeconds int32
}

// digest is the SHA-256 of a config as records keep it.
var digest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ConfigOpen says whether the machine config of a boot may leave now: it is the operating system's boot of a complete binding, its BMC read on, and it
// is neither over nor late. A binding that ends, a quarantine, or a record of a backup closes it.
func ConfigOpen(s *metal.Server, bootID string, now time.Time) bool {
	return installing(s.Spec.Record, bootID, now) && s.Spec.Record.Quarantine == nil
}

// installing is ConfigOpen for a signal: a machine that was quarantined after it got its config still tells a fact.
func installing(r *metal.ServerRecord, bootID string, now time.Time) bool {
	if r == nil || r.Boot == nil || !holds(r, r.Boot.BindingID) || r.Unverified != nil {
		return false
	}
	b := r.Boot
	return bootID != "" && b.ID == bootID && b.Target == metal.BootTargetOS && b.Phase == metal.BootBooting && !now.After(b.Deadline.Time)
}

// holds says that the server has that binding: both sides of it were seen, and nobody gave it back.
func holds(r *metal.ServerRecord, bindingID string) bool {
	return r.Claim != nil && r.Claim.BoundAt != nil && bindingID != "" && r.Claim.BindingID == bindingID && r.Release == nil
}

// ReleaseConfig judges a call for the machine config of a boot, made of bytes with that SHA-256, by an address. The record that it returns is to be
// written, fenced by the resourceVersion of the Server that was read uncached, before the first byte leaves; nil when nothing changes. The bytes may
// leave on VerdictFirst and VerdictAgain only: the same ones, to the same address, until the boot is over.
func ReleaseConfig(s *metal.Server, bootID, sha256, source string, now time.Time) (*metal.ServerRecord, Verdict) {
	from, err := netip.ParseAddr(source)
	if err != nil || from.IsUnspecified() || !digest.MatchString(sha256) || !ConfigOpen(s, bootID, now) {
		return nil, VerdictRefused
	}
	source = from.Unmap().WithZone("").String()
	switch was := s.Spec.Record.Boot.Config; {
	case was == nil:
		out, at := s.Spec.Record.DeepCopy(), whole(now)
		out.Boot.Config = &metal.ConfigRelease{SHA256: sha256, Source: source, At: at}
		if out.Claim.ConfigAt == nil {
			out.Claim.ConfigAt = &at
		}
		return out, VerdictFirst
	case was.Source != source:
		return VoidBoot(s, bootID, reasons.ConfigContested, now), VerdictContested
	case was.SHA256 != sha256:
		return VoidBoot(s, bootID, reasons.ConfigChanged, now), VerdictChanged
	}
	return nil, VerdictAgain
}

// TakeSignal judges a signal with the capability of a binding. The record that it returns is to be written as that of ReleaseConfig, before it is
// acknowledged.
func TakeSignal(s *metal.Server, bindingID string, g Signal, now time.Time) (*metal.ServerRecord, Verdict) {
	r := s.Spec.Record
	if r == nil || !holds(r, bindingID) {
		return nil, VerdictRefused
	}
	switch g.Phase {
	case PhaseInstalled:
		return takeInstalled(r, g.BootID, now)
	case PhaseRunning:
		return takeRunning(r, g.EverySeconds, now)
	}
	return nil, VerdictRefused
}

// takeInstalled ends the boot that installed the system. From then on the machine is left to its own disk.
func takeInstalled(r *metal.ServerRecord, bootID string, now time.Time) (*metal.ServerRecord, Verdict) {
	if i := r.Installed; i != nil && bootID != "" && i.BootID == bootID && i.BindingID == r.Claim.BindingID {
		return nil, VerdictAgain
	}
	if !installing(r, bootID, now) || r.Boot.Config == nil { // without the config nothing can have been installed by it
		return nil, VerdictRefused
	}
	out := r.DeepCopy()
	out.Installed = &metal.InstalledRecord{
		BootID: bootID, At: whole(now), BindingID: r.Claim.BindingID, Environment: r.Claim.Environment, Config: r.Boot.Config.DeepCopy(),
	}
	out.Boot.Phase, out.Boot.At, out.Boot.Reason = metal.BootVoid, whole(now), ""
	return out, VerdictFirst
}

// takeRunning notes once that the installed system runs from its disk.
func takeRunning(r *metal.ServerRecord, everySeconds int32, now time.Time) (*metal.ServerRecord, Verdict) {
	i := r.Installed
	switch {
	case i == nil, i.BindingID != r.Claim.BindingID, everySeconds < 0, everySeconds > maxEverySeconds:
		return nil, VerdictRefused
	case i.RunningAt != nil:
		return nil, VerdictAgain
	}
	out, at := r.DeepCopy(), whole(now)
	out.Installed.RunningAt, out.Installed.EverySeconds = &at, everySeconds
	return out, VerdictFirst
}

// whole is a moment as records keep it: in whole seconds.
func whole(now time.Time) metav1.Time { return metav1.NewTime(now.UTC().Truncate(time.Second)) }
