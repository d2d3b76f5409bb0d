package setup

import (
	"cmp"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/networks"
)

// network tells of a site's DHCP servers, in the log and in an event. A network is no object of the API, so the event is about the system namespace.
func (r *recorder) network(log logr.Logger) func(networks.Change) {
	return func(c networks.Change) {
		log.Info(c.Message(), "reason", c.Trouble, "site", c.Site, "interface", c.Interface, "servers", c.Servers)
		about := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metal.SystemNamespace}}
		tell(r.events, about, c.Trouble != "", cmp.Or(c.Trouble, reasons.DHCPAsExpected), "Listen", c.Message())
	}
}
