package claim

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metal "ingot.dev/ingot/crds/metal/v1alpha1"
	"ingot.dev/ingot/crds/reasons"
	"ingot.dev/ingot/metal-controller/allocate"
)

// terms are what servers are chosen by in one run.
type terms struct {
	request allocate.Request
	// seen are Servers that were read uncached in this run: they are newer than the cache.
	seen map[string]*metal.Server
	// inventories by name, as the last choice saw them.
	inventories map[string]*metal.ServerInventory
	// patience is when to look again after no server was found.
	patience time.Duration
}

// terms gathers what the claim may have, or says why it can have nothing whatever servers there are.
func (r *Reconciler) terms(ctx context.Context, claim *metal.ServerClaim) (*terms, *allocate.Reason, error) {
	var class metal.ServerClass
	err := r.Client.Get(ctx, client.ObjectKey{Name: claim.Spec.ClassName}, &class)
	if apierrors.IsNotFound(err) {
		return nil, refuse(reasons.ClassMissing, "The ServerClass "+claim.Spec.ClassName+" does not exist. Waiting for an operator to make it, or for the claim to name another one."), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading ServerClass %s: %w", claim.Spec.ClassName, err)
	}
	in, err := allocate.NamespaceAllowed(&class, claim.Namespace, func() (map[string]string, error) { return r.labels(ctx, claim.Namespace) })
	if err != nil {
		return nil, nil, err
	}
	if !in {
		return nil, refuse(reasons.NamespaceNotAllowed, "The class "+class.Name+" does not let the namespace "+claim.Namespace+" take servers. Waiting for an operator to name it in the class's allowedNamespaces."), nil
	}
	if why := allocate.Invalid(&class, r.CEL.Check); why != "" {
		return nil, refuse(reasons.InvalidClass, "The class "+class.Name+" cannot be used, and its author has to mend it: "+why), nil
	}
	return r.offers(ctx, claim, &class)
}

// offers adds what there is to boot, and who else belongs to the claim's owner.
func (r *Reconciler) offers(ctx context.Context, claim *metal.ServerClaim, class *metal.ServerClass) (*terms, *allocate.Reason, error) {
	t := &terms{seen: map[string]*metal.Server{}, patience: refresh}
	t.request = allocate.Request{Claim: claim, Class: class, Installation: r.Installation, Environments: map[string]*metal.Environment{}, Fit: r.fit}
	var environments metal.EnvironmentList
	if err := r.Client.List(ctx, &environments, client.UnsafeDisableDeepCopy); err != nil { // only read
		return nil, nil, fmt.Errorf("listing Environments: %w", err)
	}
	for i := range environments.Items {
		t.request.Environments[environments.Items[i].Name] = &environments.Items[i]
	}
	if wrong := allocate.EnvironmentWish(claim, class, t.request.Environments); len(wrong) > 0 {
		return nil, refuse(wrong[0].Reason, "Waiting for an operator, or for the claim to name another one: "+wrong[0].Message+"."), nil
	}
	if class.Spec.SpreadKey == "" && claim.Spec.Spread == nil {
		return t, nil, nil
	}
	var claims metal.ServerClaimList
	if err := r.Client.List(ctx, &claims, client.InNamespace(claim.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("listing the ServerClaims of %s: %w", claim.Namespace, err)
	}
	t.request.Siblings = allocate.Siblings(claim, claims.Items)
	return t, nil, nil
}

// labels of a namespace, read one by one: namespaces are not watched.
func (r *Reconciler) labels(ctx context.Context, namespace string) (map[string]string, error) {
	var ns corev1.Namespace
	if err := r.Live.Get(ctx, client.ObjectKey{Name: namespace}, &ns); err != nil {
		return nil, fmt.Errorf("reading the namespace %s: %w", namespace, err)
	}
	return ns.Labels, nil
}

// choose picks a server and notes that it is being taken. One claim chooses at a time, so that claims that came together see each other's choices, which
// the cache does not show yet.
func (r *Reconciler) choose(ctx context.Context, t *terms) (*allocate.Choice, []metal.Unfit, error) {
	r.taken.choosing.Lock()
	defer r.taken.choosing.Unlock()
	candidates, err := r.candidates(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	choice, unfit := allocate.Choose(t.request, candidates)
	if choice != nil {
		r.taken.put(choice.Server, key(t.request.Claim), r.Now())
	}
	return choice, unfit, nil
}

// candidates are all Servers with their inventories. They are the cache's own, and only read.
func (r *Reconciler) candidates(ctx context.Context, t *terms) ([]allocate.Candidate, error) {
	var servers metal.ServerList
	var inventories metal.ServerInventoryList
	if err := r.Client.List(ctx, &servers, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing Servers: %w", err)
	}
	if err := r.Client.List(ctx, &inventories, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing ServerInventories: %w", err)
	}
	t.inventories = make(map[string]*metal.ServerInventory, len(inventories.Items))
	for i := range inventories.Items {
		t.inventories[inventories.Items[i].Name] = &inventories.Items[i]
	}
	out := make([]allocate.Candidate, len(servers.Items))
	for i := range servers.Items {
		server := &servers.Items[i]
		if newer := t.seen[server.Name]; newer != nil {
			server = newer
		}
		c := allocate.Candidate{Server: server, Inventory: t.inventories[server.Name]}
		if by, ok := r.taken.by(server, r.Now()); ok && by != key(t.request.Claim) {
			c.TakenBy, t.patience = &by, soon
		}
		out[i] = c
	}
	return out, nil
}

// still is the choice if the Server, read uncached, can be had still.
func (t *terms) still(server *metal.Server) *allocate.Choice {
	t.seen[server.Name] = server.DeepCopy()
	choice, _ := allocate.Choose(t.request, []allocate.Candidate{{Server: server, Inventory: t.inventories[server.Name]}})
	return choice
}

func refuse(reason, message string) *allocate.Reason {
	return &allocate.Reason{Reason: reason, Message: message}
}

// noServer sums up why a claim has to wait.
func noServer(unfit []metal.Unfit) string {
	if len(unfit) == 0 {
		return "There is no Server yet. Waiting for a machine to register."
	}
	var parts []string
	for _, u := range unfit {
		parts = append(parts, fmt.Sprintf("%d %s", u.Count, u.Reason))
	}
	return "No server can be had now (" + strings.Join(parts, ", ") + "): status.unfit says why. It goes on by itself when one can."
}
