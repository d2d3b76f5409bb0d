package backup

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/cli"
)

// page is how many Servers are read at once.
const page = 500

// Unverify marks every Server as restored, as Ingot itself, and returns how many there are. No controller may run meanwhile. It may be done again.
func Unverify(ctx context.Context, config *rest.Config, now time.Time) (int, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // our own API server, with nobody else on it
	c, err := client.New(config, client.Options{Scheme: cli.Scheme()})
	if err != nil {
		return 0, fmt.Errorf("connecting to the restored control plane: %w", err)
	}
	at, n, next := metav1.NewTime(now.UTC().Truncate(time.Second)), 0, ""
	for {
		list := &metal.ServerList{}
		if err := c.List(ctx, list, client.Limit(page), client.Continue(next)); err != nil {
			return n, fmt.Errorf("listing the restored servers: %w", err)
		}
		for i := range list.Items {
			s := &list.Items[i]
			patch := client.MergeFrom(s.DeepCopy())
			unverify(s, at)
			if err := c.Patch(ctx, s, patch); err != nil {
				return n, fmt.Errorf("marking server %s as restored: %w", s.Name, err)
			}
			n++
		}
		if next = list.Continue; next == "" {
			return n, nil
		}
	}
}

// unverify marks one. A power request that was not begun when the backup was made counts as done: what was wanted then must not happen now.
func unverify(s *metal.Server, at metav1.Time) {
	if s.Spec.Record == nil {
		s.Spec.Record = &metal.ServerRecord{}
	}
	r := s.Spec.Record
	r.Unverified = &metal.UnverifiedRecord{Reason: reasons.Restored, Since: at}
	if p := s.Spec.PowerRequest; p != nil && (r.Power == nil || r.Power.ID != p.ID) {
		r.Power = &metal.PowerRecord{ID: p.ID, Step: metal.PowerExpired, At: at}
	}
}
