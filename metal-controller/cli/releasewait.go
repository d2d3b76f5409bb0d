package cli

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// releaseStuck are the reasons at which a release waits for a person.
var releaseStuck = []string{reasons.FencingUnconfirmed, reasons.ReleasePaused, reasons.ClaimMissing, reasons.UnmanagedHere}

// followClaim waits until a deleted claim is gone, which it is when its server no longer belongs to it.
func (r *release) followClaim(ctx context.Context, c client.WithWatch, claim *metal.ServerClaim) error {
	if b := claim.Spec.Binding; b != nil {
		err := r.followServer(ctx, c, b.Server, b.BindingID, "")
		if err != nil && !apierrors.IsForbidden(err) {
			return err
		}
	}
	waiting, cancel := within(ctx, r.timeout)
	defer cancel()
	var told []string
	err := watchOne(waiting, c, &metal.ServerClaimList{}, client.ObjectKeyFromObject(claim), func(o client.Object) (bool, error) {
		now, ok := o.(*metal.ServerClaim)
		if !ok || now.UID != claim.UID {
			return true, nil
		}
		told = tell(r.env.Streams.ErrOut, "claim/"+now.Name, told, claimStages(now))
		return false, nil
	})
	if waiting.Err() != nil {
		return stoppedWaiting(ctx, r.timeout, "the end of "+claimName(claim), orNothing(told), lookAt(claim))
	}
	if err == nil {
		fmt.Fprintf(r.env.Streams.Out, "claim/%s is gone\n", claim.Name)
	}
	return err
}

// followServer waits until a server no longer belongs to a binding. With an id it says when the controller dropped that request.
func (r *release) followServer(ctx context.Context, c client.WithWatch, name, binding, id string) error {
	waiting, cancel := within(ctx, r.timeout)
	defer cancel()
	var told []string
	err := watchOne(waiting, c, &metal.ServerList{}, client.ObjectKey{Name: name}, func(o client.Object) (bool, error) {
		s, ok := o.(*metal.Server)
		if !ok {
			return true, fmt.Errorf("server/%s was deleted", name)
		}
		told = tell(r.env.Streams.ErrOut, "server/"+name, told, releaseStages(s))
		done, err := freed(s, binding, id)
		if done && err == nil {
			fmt.Fprintf(r.env.Streams.Out, "server/%s no longer belongs to the claim\n", name)
		}
		return done, err
	})
	if waiting.Err() != nil {
		return stoppedWaiting(ctx, r.timeout, "the release of "+name, orNothing(told), "ingot why "+name)
	}
	return err
}

// orNothing is the last thing that was told.
func orNothing(told []string) string {
	if len(told) == 0 {
		return "the controller did not take it up; is it running?"
	}
	return told[len(told)-1]
}

// releaseStages is what the condition Released says; nothing before the controller has set it.
func releaseStages(s *metal.Server) []string {
	if c := condition(s, reasons.Released); c != nil {
		return []string{reasonLine(c)}
	}
	return nil
}

// freed says whether a server no longer belongs to a binding, or why that will not come by itself.
func freed(s *metal.Server, binding, id string) (bool, error) {
	r := recordOf(s)
	if r.Claim == nil || r.Claim.BindingID != binding {
		return true, nil
	}
	if id != "" && r.ReleaseRequest != id {
		return false, nil
	}
	if id != "" && (r.Release == nil || r.Release.BindingID != binding) {
		return true, fmt.Errorf("%s: the controller dropped the request; does this machine's clock agree with the controller's? See `ingot why %s`", s.Name, s.Name)
	}
	c := condition(s, reasons.Released)
	if c == nil || c.ObservedGeneration < s.Generation || !slices.Contains(releaseStuck, c.Reason) {
		return false, nil
	}
	return true, fmt.Errorf("%s waits for a person: %s; see `ingot why %s`", s.Name, reasonLine(c), s.Name)
}
