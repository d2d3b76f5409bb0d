package environment

import (
	"fmt"
	"strings"

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
	return metal.AssetStatus{Name: f.Name, SHA256: f.SHA256, State: own.State, Percent: own.Percent, Message: message(own)}
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

// judge sums the files up.
func judge(env *metal.Environment) metav1.Condition {
	c := metav1.Condition{Type: reasons.Ready, Status: metav1.ConditionFalse}
	if env.Spec.Talos != nil {
		c.Status, c.Reason = metav1.ConditionUnknown, reasons.TalosNotYet
		c.Message = "Talos releases by version and schematic come with the next release of Ingot (part 4); until then name kernel and initramfs, or a UKI, in spec.boot"
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
		c.Reason = reasons.AssetsFailed
		c.Message = strings.Join(failed, "; ") + ". Mend the URL or the digest in spec.boot, or put the file there: ingot assets import FILE"
	case len(waiting) > 0:
		c.Reason, c.Message = reasons.AssetsFetching, "waiting for "+strings.Join(waiting, ", ")
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, reasons.AssetsCached, "every site that told has all files"
	}
	return c
}
