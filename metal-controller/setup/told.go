package setup

import (
	"fmt"
	"hash/fnv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
)

// longest is how long a message may be: the API takes 1,024 bytes, and refuses an event with more.
const longest = 1000

// tell records one event. The events API joins all of six minutes that agree in everything but their note into a series, which shows the first note alone: an
// alarm about one boot would hide in that of another. So the action, which counts for that, differs with the message.
func tell(to events.EventRecorder, about runtime.Object, warning bool, reason, action, message string) {
	kind := corev1.EventTypeNormal
	if warning {
		kind = corev1.EventTypeWarning
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(message)) // it never fails
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "") + "…"
	}
	to.Eventf(about, nil, kind, reason, fmt.Sprintf("%s.%08x", action, h.Sum32()), "%s", message)
}
