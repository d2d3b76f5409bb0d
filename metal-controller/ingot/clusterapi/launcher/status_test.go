package launcher

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func deployment(replicas int32, image string) *appsv1.Deployment {
	d := &appsv1.Deployment{}
	d.Spec.Replicas = &replicas
	d.Spec.Template.Spec.Containers = []corev1.Container{{Image: image}}
	return d
}

// TestJudge: available is what runs here in the release that is asked for, and nothing else.
func TestJudge(t *testing.T) {
	p := &Provider{Label: "bootstrap-talos", Version: "v0.6.12"}
	gone := deployment(1, "x")
	gone.DeletionTimestamp = &metav1.Time{}
	for _, c := range []struct {
		name      string
		d         *appsv1.Deployment
		provider  *Provider
		phase     phase
		release   string
		available bool
		wanted    bool
		reason    string
	}{
		{"it runs", deployment(1, "r.example/p:v0.6.12"), p, running, "v0.6.12", true, true, reasonHere},
		{"it runs, and nobody knows the release", deployment(1, "r.example:5000/p"), p, running, "", true, true, reasonHere},
		{"it runs, of an image without a release", deployment(1, "r.example/p:main"), p, running, "", true, true, reasonHere},
		{"the inventory names another release", deployment(1, "r.example/p:v0.6.12"), p, running, "v0.7.0", false, false, reasonRelease},
		{"the image is of another release", deployment(1, "r.example/p:v0.7.0"), p, running, "", false, false, reasonRelease},
		{"it starts", deployment(1, "x"), p, starting, "", false, true, "Starting"},
		{"it failed", deployment(1, "x"), p, failed, "", false, true, "Failed"},
		{"scaled to zero, and still running", deployment(0, "x"), p, running, "", true, false, reasonHere},
		{"scaled to zero", deployment(0, "x"), p, stopped, "", false, false, "Stopped"},
		{"being deleted", gone, p, running, "", true, false, reasonHere},
		{"unknown", deployment(1, "x"), nil, running, "", false, false, reasonUnknown},
	} {
		v := judge(c.d, c.provider, state{phase: c.phase}, c.release)
		if v.available != c.available || v.wanted != c.wanted || v.reason != c.reason || v.message == "" && c.phase != failed && c.phase != stopped {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
	dev := judge(deployment(2, "x:v0.1.0"), &Provider{Version: "v0.1.0-dev"}, state{phase: running}, "")
	if !dev.available {
		t.Errorf("a development build of the release: %+v", dev)
	}
}

// TestStatus: the condition keeps its times until it changes, and one instance is one, whatever was asked for.
func TestStatus(t *testing.T) {
	at := func(s int) metav1.Time { return metav1.NewTime(time.Unix(int64(s), 0)) }
	d := deployment(2, "x")
	d.Generation = 7
	d.Status = status(d, verdict{reason: "Starting", message: "a"}, at(1))
	if s := d.Status; s.UnavailableReplicas != 1 || s.Replicas != 0 || s.ObservedGeneration != 7 || s.Conditions[0].Status != corev1.ConditionFalse {
		t.Errorf("%+v", s)
	}
	d.Status = status(d, verdict{available: true, instances: 1, reason: reasonHere, message: "b"}, at(2))
	d.Status = status(d, verdict{available: true, instances: 1, reason: reasonHere, message: "b"}, at(3))
	if s := d.Status; len(s.Conditions) != 1 || s.AvailableReplicas != 1 || s.UnavailableReplicas != 0 || !s.Conditions[0].LastTransitionTime.Equal(new(at(2))) || !s.Conditions[0].LastUpdateTime.Equal(new(at(2))) {
		t.Errorf("%+v", s)
	}
	d.Status = status(d, verdict{available: true, instances: 1, reason: reasonHere, message: "c"}, at(4))
	if c := d.Status.Conditions[0]; !c.LastTransitionTime.Equal(new(at(2))) || !c.LastUpdateTime.Equal(new(at(4))) {
		t.Errorf("%+v", c)
	}
}
