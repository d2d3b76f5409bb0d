package launcher

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of the condition Available.
const (
	reasonHere    = "RunsInIngot"
	reasonRelease = "OtherRelease"
	reasonUnknown = "NothingRunsIt"
)

// verdict is what is said of a Deployment, and whether its program is wanted.
type verdict struct {
	available       bool
	reason, message string
	instances       int32
	wanted          bool
}

// judge says what is so. provider is nil for a Deployment that Ingot contains nothing for; release is what clusterctl's inventory says was installed, empty when
// nobody knows.
func judge(d *appsv1.Deployment, provider *Provider, s state, release string) verdict {
	if provider == nil {
		return verdict{reason: reasonUnknown, message: "`ingot up` runs no pods, and contains nothing that stands for this Deployment: use a management cluster for it"}
	}
	if release = asked(d, release); release != "" && !same(provider.Version, release) {
		return verdict{reason: reasonRelease, message: fmt.Sprintf("this Deployment is of %s %s, and this Ingot contains %s: run the Ingot that contains it, or install %s", provider.Label, release, provider.Version, provider.Version)}
	}
	v := verdict{wanted: d.DeletionTimestamp == nil && (d.Spec.Replicas == nil || *d.Spec.Replicas > 0), reason: string(s.phase), message: s.message}
	switch s.phase {
	case running:
		v.available, v.instances, v.reason = true, 1, reasonHere
		v.message = fmt.Sprintf("%s %s runs as a part of `ingot up`, once, and not in pods", provider.Label, provider.Version)
	case starting:
		v.message = "it is starting"
	case waiting:
		v.message = "it runs once the Deployments of all providers that are one program with it are there"
	case stopped, failed, refused: // the message says why
	}
	return v
}

// asked is the release that a Deployment is of: by clusterctl's inventory, else by the tags of its images, else unknown.
func asked(d *appsv1.Deployment, release string) string {
	if release != "" {
		return release
	}
	for _, c := range d.Spec.Template.Spec.Containers {
		if _, tag, ok := strings.Cut(c.Image[strings.LastIndexByte(c.Image, '/')+1:], ":"); ok && len(tag) > 1 && tag[0] == 'v' && tag[1] >= '0' && tag[1] <= '9' {
			return tag
		}
	}
	return ""
}

// same says whether a build is of a release. A development build is of the release that it becomes.
func same(build, release string) bool { return strings.TrimSuffix(build, "-dev") == release }

// conditionType of the condition that says where to look.
const conditionType = appsv1.DeploymentAvailable

// status is a Deployment's status as the verdict has it.
func status(d *appsv1.Deployment, v verdict, now metav1.Time) appsv1.DeploymentStatus {
	s := *d.Status.DeepCopy()
	n := v.instances
	s.ObservedGeneration, s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas = d.Generation, n, n, n, n
	s.UnavailableReplicas = 0
	if d.Spec.Replicas != nil && *d.Spec.Replicas > 0 && n == 0 {
		s.UnavailableReplicas = 1
	}
	c := appsv1.DeploymentCondition{Type: conditionType, Status: corev1.ConditionFalse, Reason: v.reason, Message: limit(v.message), LastUpdateTime: now, LastTransitionTime: now}
	if v.available {
		c.Status = corev1.ConditionTrue
	}
	i := slices.IndexFunc(s.Conditions, func(x appsv1.DeploymentCondition) bool { return x.Type == conditionType })
	if i < 0 {
		s.Conditions = append(s.Conditions, c)
		return s
	}
	old := s.Conditions[i]
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
		c.LastUpdateTime = old.LastUpdateTime
	}
	s.Conditions[i] = c
	return s
}

// limit bounds what errors of programs put into a status.
func limit(s string) string {
	const most = 1000
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
