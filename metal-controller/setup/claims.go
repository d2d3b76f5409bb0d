package setup

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/metal-controller/allocate/expr"
	"ingot.dev/ingot/metal-controller/reconcilers/claim"
	"ingot.dev/ingot/metal-controller/reconcilers/class"
)

// addClaims sets up what binds claims to servers, and counts the servers of classes. Both evaluate the same expressions.
func (a *app) addClaims(ctx context.Context, cel *expr.Evaluator) error {
	if err := claim.Index(ctx, a.manager.GetFieldIndexer()); err != nil {
		return err
	}
	claims := &claim.Reconciler{
		Client: a.manager.GetClient(), Live: a.manager.GetAPIReader(), Indexed: true, Events: a.claimEvents(), CEL: cel,
		Installation: a.trust.installation, Now: a.cfg.Now, Random: a.cfg.Random,
	}
	if err := claims.SetupWithManager(a.manager); err != nil {
		return fmt.Errorf("setting up the ServerClaim reconciler: %w", err)
	}
	classes := &class.Reconciler{Client: a.manager.GetClient(), CEL: cel, Installation: a.trust.installation, Now: a.cfg.Now}
	if err := classes.SetupWithManager(a.manager); err != nil {
		return fmt.Errorf("setting up the ServerClass reconciler: %w", err)
	}
	return nil
}

// claimRecorder writes events about ServerClaims.
type claimRecorder struct{ recorder }

func (a *app) claimEvents() claimRecorder {
	return claimRecorder{recorder{reader: a.manager.GetClient(), events: a.manager.GetEventRecorder("ingot.dev/metal-controller")}}
}

// Event records one event.
func (r claimRecorder) Event(name types.NamespacedName, warning bool, reason, message string) {
	var c metal.ServerClaim
	if r.reader.Get(context.Background(), name, &c) != nil {
		return // the claim is gone, and its timeline with it
	}
	tell(r.events, &c, warning, reason, "Bind", message)
}
