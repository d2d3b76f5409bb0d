package backup

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/cli"
	"ingot.dev/ingot/metal-controller/lifecycle"
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
	n, next := 0, ""
	for {
		list := &metal.ServerList{}
		if err := c.List(ctx, list, client.Limit(page), client.Continue(next)); err != nil {
			return n, fmt.Errorf("listing the restored servers: %w", err)
		}
		for i := range list.Items {
			s := &list.Items[i]
			patch := client.MergeFrom(s.DeepCopy())
			lifecycle.Unverify(s, now)
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
