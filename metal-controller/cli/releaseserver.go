package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
)

// holder is what became of the claim that a server is bound to.
type holder int

const (
	claimUnknown holder = iota // the person may not read claims
	claimLives
	claimGone
)

// byServer records a person's word about a bound server.
func (r *release) byServer(ctx context.Context, c client.WithWatch, name string) error {
	s, err := r.env.server(ctx, c, name)
	if err != nil {
		return err
	}
	h, err := holderOf(ctx, c, s)
	if err != nil {
		return err
	}
	if err := r.refuse(s, h); err != nil {
		return err
	}
	fmt.Fprintln(r.env.Streams.Out, r.meaning(s))
	if r.dryRun {
		fmt.Fprintln(r.env.Streams.Out, "Nothing was changed (dry run).")
		return nil
	}
	if !r.yes {
		if err := r.env.typed(name, fmt.Sprintf("Type the name of the server to release it (%s): ", where(s))); err != nil {
			return err
		}
	}
	id := r.env.ID()
	if err := r.ask(ctx, c, s, id); err != nil {
		return err
	}
	fmt.Fprintf(r.env.Streams.Out, "server/%s: asked to release it; see `ingot why %s`\n", name, name)
	if !r.wait {
		return nil
	}
	return r.followServer(ctx, c, name, recordOf(s).Claim.BindingID, id)
}

// holderOf looks for the claim that a server is bound to. One of the same name with another binding is another claim.
func holderOf(ctx context.Context, c client.Client, s *metal.Server) (holder, error) {
	bound := recordOf(s).Claim
	if bound == nil {
		return claimGone, nil
	}
	claim := &metal.ServerClaim{}
	err := c.Get(ctx, client.ObjectKey{Namespace: bound.Namespace, Name: bound.Name}, claim)
	switch {
	case apierrors.IsForbidden(err):
		return claimUnknown, nil
	case apierrors.IsNotFound(err):
		return claimGone, nil
	case err != nil:
		return claimUnknown, explain(err)
	case claim.Spec.Binding != nil && claim.Spec.Binding.BindingID != bound.BindingID:
		return claimGone, nil
	}
	return claimLives, nil
}

// refuse says why the word does not fit what is so. The controller judges again.
func (r *release) refuse(s *metal.Server, h holder) error {
	bound := recordOf(s).Claim
	if bound == nil {
		return refused("%s belongs to no claim, so there is nothing to release; `ingot wipe %s` wipes it again", s.Name, s.Name)
	}
	begun := releasing(s) // by then the wish to release was recorded, and the claim lives on until the machine is proven off
	missing := h == claimGone || h == claimUnknown && hasReason(s, reasons.ClaimMissing)
	switch {
	case !begun && !missing && h == claimUnknown:
		return refused("%s belongs to the claim %s/%s, which you may not read; whoever may: ingot release %s -n %s", s.Name, bound.Namespace, bound.Name, bound.Name, bound.Namespace)
	case !begun && !missing:
		return refused("%s belongs to the claim %s/%s, which exists. Release that first: ingot release %s -n %s", s.Name, bound.Namespace, bound.Name, bound.Name, bound.Namespace)
	case !r.confirmed && begun:
		return refused("the release of %s is under way, and waits only for proof that the machine is off. If you saw that it is: ingot release --server %s --confirm-powered-off", s.Name, s.Name)
	case r.confirmed && saysOn(s):
		return refused("the BMC of %s says that it is on (%s). Switch it off, which is proof as well: ingot power off %s", s.Name, powerLine(s, r.env.Now()), s.Name)
	}
	return nil
}

// releasing says that the release of the present binding is recorded and not proven yet.
func releasing(s *metal.Server) bool {
	r := recordOf(s)
	return r.Release != nil && r.Claim != nil && r.Release.BindingID == r.Claim.BindingID && r.Release.OffAt == nil
}

// saysOn says that the BMC answers, and says on.
func saysOn(s *metal.Server) bool {
	return isTrue(s, reasons.BMCReachable) && s.Status.Power != nil && s.Status.Power.State == metal.PowerOn
}

// hasReason says that some condition has this reason.
func hasReason(s *metal.Server, reason string) bool {
	return slices.ContainsFunc(s.Status.Conditions, func(c metav1.Condition) bool { return c.Reason == reason })
}

// meaning says what the word comes to.
func (r *release) meaning(s *metal.Server) string {
	bound := recordOf(s).Claim
	text := fmt.Sprintf("server/%s (%s) belongs to the claim %s/%s", s.Name, where(s), bound.Namespace, bound.Name)
	if !releasing(s) {
		text += ", which is gone without having been released"
	}
	text += ".\n"
	if !r.confirmed {
		return text + fmt.Sprintf("It will be shut down, proven off by its BMC, and all data on %s will be gone for good. If the claim shall live, apply it again instead.", wipedDisks(s))
	}
	return text + fmt.Sprintf("You confirm that this machine is powered off and stays so until Ingot starts it: if it runs on, its workload runs twice. Its power: %s.\nThen it is free of the claim, and all data on %s will be gone for good.",
		powerLine(s, r.env.Now()), wipedDisks(s))
}

// ask writes the request, if the server still is what was shown.
func (r *release) ask(ctx context.Context, c client.Client, shown *metal.Server, id string) error {
	s := shown
	for range attempts {
		changed := s.DeepCopy()
		changed.Spec.ReleaseRequest = r.request(s, id)
		err := c.Patch(ctx, changed, client.MergeFromWithOptions(s, client.MergeFromWithOptimisticLock{}))
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("releasing %s: %w", shown.Name, explain(err))
		}
		if s, err = r.env.server(ctx, c, shown.Name); err != nil {
			return err
		}
		if !r.sameWord(shown, s) {
			break
		}
	}
	return refused("%s changed while you looked at it, so what was shown may be wrong; nothing was done. Look again: ingot why %s", shown.Name, shown.Name)
}

// sameWord says whether all that the word rests on is as it was shown.
func (r *release) sameWord(shown, now *metal.Server) bool {
	a, b := recordOf(shown), recordOf(now)
	return shown.UID == now.UID && equality.Semantic.DeepEqual(a.Claim, b.Claim) && equality.Semantic.DeepEqual(a.Release, b.Release) &&
		equality.Semantic.DeepEqual(a.Wipe, b.Wipe) && equality.Semantic.DeepEqual(shown.Spec.ReleaseRequest, now.Spec.ReleaseRequest) &&
		(!r.confirmed || !saysOn(now))
}

// joinWords writes "a", "a and b", "a, b and c".
func joinWords(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
