package environment

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/bootfiles"
)

// merge joins what sites told this replica of a file with what status shows of it. What another replica's site said stays until that replica takes it
// back, unless something worse is known here.
func merge(f bootfiles.File, shown *metal.AssetStatus, reports []bootfiles.Report, known func(site string) bool) metal.AssetStatus {
	theirs := shown != nil && shown.State != bootfiles.Unknown && !known(siteOf(shown.Message))
	switch {
	case len(reports) == 0 && theirs:
		return *shown
	case len(reports) == 0:
		return metal.AssetStatus{Name: f.Name, SHA256: f.SHA256, State: bootfiles.Unknown, Message: "no pxe-server has told of this file"}
	}
	own := reports[0]
	if theirs && shown.State != bootfiles.Cached && bootfiles.Worse(bootfiles.Report{State: shown.State, Percent: shown.Percent}, own) < 0 {
		return *shown
	}
	return metal.AssetStatus{Name: f.Name, SHA256: f.SHA256, State: own.State, Percent: own.Percent, Message: message(own), OtherBytes: own.OtherBytes}
}

// message names the site first, so that a replica knows whether it is one of its own. A cached file needs no words.
func message(r bootfiles.Report) string {
	switch r.State {
	case bootfiles.Cached:
		return ""
	case bootfiles.Fetching:
		return r.Site + ": it is being fetched"
	}
	return r.Site + ": " + r.Message
}

func siteOf(message string) string {
	site, _, _ := strings.Cut(message, ": ")
	return site
}

// unresolved is what the leader says of a release of Talos whose files are not known, in the condition Resolved.
func unresolved(env *metal.Environment) (reason, message string) {
	c := meta.FindStatusCondition(env.Status.Conditions, reasons.Resolved)
	if c == nil || c.Status == metav1.ConditionTrue || c.ObservedGeneration != env.Generation {
		return reasons.Resolving, "waiting for the controller to look at spec.talos"
	}
	return c.Reason, c.Message
}

// changed says whether what was pinned is not what the Image Factory has now.
func changed(env *metal.Environment) bool {
	return env.Spec.Talos != nil && len(env.Spec.Talos.Boot) == 0 && slices.ContainsFunc(env.Status.Assets, func(a metal.AssetStatus) bool { return a.OtherBytes })
}

// mend says what helps against a file that cannot be had.
func mend(env *metal.Environment) string {
	const put = "put the file there: ingot assets import FILE"
	switch {
	case env.Spec.Talos == nil:
		return "Mend the URL or the digest in spec.boot, or " + put
	case len(env.Spec.Talos.Boot) > 0:
		return "Mend the URL or the digest in spec.talos.boot, or " + put
	case changed(env):
		return fmt.Sprintf("They are refused: the files of %s were pinned on %s. If you know why they changed, take them by another spec.talos.version, or by "+
			"`kubectl annotate environment %s %s=%s --overwrite`; or %s", env.Spec.Talos.Version, env.Status.Talos.PinnedAt.UTC().Format(time.DateOnly),
			env.Name, metal.ForgetPin, PinName(env.Status.Talos), put)
	}
	return "It is tried again by itself; or " + put
}

// PinName is how the annotation ForgetPin names a pin.
func PinName(pin *metal.TalosPin) string { return pin.PinnedAt.UTC().Format(time.RFC3339) }

// judge sums the files up.
func judge(env *metal.Environment) metav1.Condition {
	c := metav1.Condition{Type: reasons.Ready, Status: metav1.ConditionFalse}
	if env.Spec.Talos != nil && len(env.Unresolved()) > 0 {
		c.Reason, c.Message = unresolved(env)
		return c
	}
	var failed, waiting []string
	for _, a := range env.Status.Assets {
		switch a.State {
		case bootfiles.Cached:
		case bootfiles.Failed:
			failed = append(failed, a.Name+": "+a.Message)
		case bootfiles.Fetching:
			waiting = append(waiting, fmt.Sprintf("%s (%s, %d %%)", a.Name, siteOf(a.Message), a.Percent))
		default:
			waiting = append(waiting, a.Name+" ("+a.Message+")")
		}
	}
	switch {
	case len(failed) > 0:
		c.Reason, c.Message = reasons.AssetsFailed, strings.Join(failed, "; ")+". "+mend(env)
		if changed(env) {
			c.Reason = reasons.AssetsChanged
		}
	case len(waiting) > 0:
		c.Reason, c.Message = reasons.AssetsFetching, "waiting for "+strings.Join(waiting, ", ")
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, reasons.AssetsCached, "every site that told has all files"
	}
	return c
}
